#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes fixtures/processors: what the page's list of processors makes of the golden sessions.

An independent model, written from the description of the steps and as naive as possible
(recursive, lists, no memos). C and the page are both tested against its answers.

usage: processors.py SESSIONS FOLDER
"""
import glob
import json
import os
import re
import sys

SYNTHETIC = ("[await]", "[self]", "[out-of-context]", "[root]")
OPTIONS = [
    {"filter_threshold": 0.001},
    {"filter_threshold": 0},
    {"filter_threshold": 0.2},
    {"filter_threshold": 0.001, "hide_regex": "proj"},
    {"filter_threshold": 0.001, "show_regex": "ssl|number_[13]"},
    {"filter_threshold": 0.001, "show_all": True},
]


class Frame:
    def __init__(self, info=""):
        self.identifier = info.split("\x01")[0]
        self.time = self.absorbed = 0.0
        self.attributes, self.children, self.parent, self.group = {}, [], None, None
        self.record(info, 0)

    def record(self, info, time):
        self.time += time
        for attribute in (info.split("\x01", 1) + [""])[1].split("\x01"):
            if attribute:
                self.attributes[attribute] = self.attributes.get(attribute, 0) + time

    @property
    def parts(self):
        return (self.identifier.split("\0") + [None, None])[:3]

    @property
    def path(self):
        return self.parts[1] or ""

    @property
    def self_time(self):
        time = self.time
        for child in self.children:
            if child.identifier not in SYNTHETIC:
                time -= child.time
        return time

    def add(self, child):
        self.children.append(child)
        child.parent = self
        return child

    def detach(self):
        if self.parent:
            self.parent.children.remove(self)
        self.parent = None

    def dissolve(self):
        parent, at = self.parent, self.parent.children.index(self)
        parent.children[at + 1:at + 1] = self.children
        for child in self.children:
            child.parent = parent
        parent.absorbed += self.absorbed
        self.children = []
        self.detach()

    def drop(self):
        self.parent.absorbed += self.time
        self.parent.absorbed += self.absorbed
        self.detach()

    def query(self, marker):
        best = None
        for name, time in self.attributes.items():
            if name[0] == marker and (best is None or time > best[1]):
                best = name[1:], time
        return best and best[0]


def build(session):
    root = Frame("[root]")
    opened = [root]
    for stack, time in session["frame_records"]:
        root.record("", time)
        for depth, info in enumerate(stack, 1):
            if depth == len(opened) or opened[depth].identifier != info.split("\x01")[0]:
                del opened[depth:]
                opened.append(opened[-1].add(Frame(info)))
            opened[depth].record(info, time)
        del opened[len(stack) + 1:]
        if opened[-1].identifier not in SYNTHETIC[:3]:
            opened[-1].add(Frame("[self]")).time = time
    if not root.children:
        return None
    if len(root.children) == 1:
        root = root.children[0]
        root.detach()
    stem = [info.split("\x01")[0] for info in session["start_call_stack"]]
    if stem and stem.pop(0) == root.identifier:
        while root.self_time == 0 and len(root.children) == 1 and stem:
            if root.children[0].identifier != stem.pop(0):
                break
            root = root.children[0]
    root.detach()
    return root


def dissolve_where(frame, wanted):
    for child in list(frame.children):
        dissolve_where(child, wanted)
        if wanted(child):
            child.dissolve()


def merge_self(frame):
    run = None
    for child in list(frame.children):
        if child.identifier != "[self]":
            run = None
        elif run:
            run.time += child.time
            child.detach()
        else:
            run = child
    for child in frame.children:
        merge_self(child)


def aggregate(frame):
    first = {}
    for child in list(frame.children):
        into = first.setdefault(child.identifier, child)
        if into is child:
            continue
        into.absorbed += child.absorbed
        into.time += child.time
        for name, time in child.attributes.items():
            into.attributes[name] = into.attributes.get(name, 0) + time
        for grandchild in child.children:
            into.add(grandchild)
        child.detach()
    for child in frame.children:
        aggregate(child)
    frame.children.sort(key=lambda child: child.time, reverse=True)


def drop_lone_self(frame):
    if len(frame.children) == 1 and frame.children[0].identifier == "[self]":
        frame.children[0].drop()
    for child in frame.children:
        drop_lone_self(child)


def drop_small(frame, total, threshold):
    for child in list(frame.children):
        if child.time / total < threshold:
            child.drop()
    for child in frame.children:
        drop_small(child, total, threshold)


def strip_launcher(root):
    def large(frame):
        return frame.parent.time and frame.time / frame.parent.time > 0.8

    def is_runpy(frame):
        return large(frame) and frame.children and (
            re.search("runpy.py", frame.path) or "<frozen runpy>" in frame.path)

    def longest(frame):
        return max(frame.children, key=lambda child: child.time)

    if not re.search(r"pyinstrument[/\\]__main__.py", root.path) or not root.children:
        return root
    frame = longest(root)
    if not large(frame) or "<string>" not in frame.path or not frame.children:
        return root
    frame = longest(frame)
    if not is_runpy(frame):
        return root
    while is_runpy(frame):
        frame = longest(frame)
    frame.detach()
    return frame


def is_application(frame, prefixes):
    if frame.identifier in SYNTHETIC or not frame.path:
        return False
    if any(frame.path.startswith(prefix) for prefix in prefixes):
        return False
    if frame.path in ("<string>", "<stdin>"):
        return is_application(frame.parent, prefixes) if frame.parent else True
    return frame.path[0] != "<" or frame.path.startswith("<ipython-input-")


def group(root, options, prefixes):
    groups = []

    def hidden(frame):
        show, hide = options.get("show_regex"), options.get("hide_regex")
        if show is not None and re.search(show, frame.path):
            return False
        if hide is not None and re.search(hide, frame.path):
            return True
        return not is_application(frame, prefixes)

    def add(frame, members):
        frame.group = members
        members.append(frame)
        for child in frame.children:
            if hidden(child):
                add(child, members)

    def process(frame):
        for child in frame.children:
            if child.group is None and hidden(child) and any(map(hidden, child.children)):
                groups.append([])
                add(child, groups[-1])
            process(child)

    process(root)
    for members in groups:
        if len(members) < 3:
            for frame in members:
                frame.group = None


def page(session, options):
    root = build(session)
    if not root:
        return None
    everything = options.get("show_all")
    if not everything:
        dissolve_where(root, lambda f: "<frozen importlib._bootstrap" in f.path)
        dissolve_where(root, lambda f: f.query("h") == "1")
    merge_self(root)
    aggregate(root)
    drop_lone_self(root)
    if not everything:
        drop_small(root, root.time if root.time > 0 else 1e-44, options["filter_threshold"])
    root = strip_launcher(root)
    if not everything:
        group(root, options, session["sys_prefixes"])
    return root


def describe(frame, numbers):
    function, path, line = frame.parts
    number = None
    if frame.group is not None:
        number = numbers.setdefault(id(frame.group), len(numbers))
    return {"function": function, "path": path, "line": line and int(line), "time": frame.time,
            "absorbed": frame.absorbed, "class": frame.query("c"), "group": number,
            "children": [describe(child, numbers) for child in frame.children]}


def main(sessions, folder):
    for path in sorted(glob.glob(os.path.join(sessions, "*.pyisession"))):
        with open(path, encoding="ascii") as file:
            session = json.load(file)
        cases = []
        for options in OPTIONS:
            root = page(session, options)
            cases.append({"options": options, "tree": root and describe(root, {})})
        name = os.path.basename(path)
        with open(os.path.join(folder, name.split(".")[0] + ".json"), "w") as file:
            json.dump({"session": name, "list": "page", "cases": cases}, file, indent=1)
            file.write("\n")


main(*sys.argv[1:])
