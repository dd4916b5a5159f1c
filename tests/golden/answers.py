#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes upstream's answers and the golden table. Needs pyinstrument 5.1.3 and no other module,
so that it also runs inside a bare root.

usage: TZ=UTC answers.py FOLDER    (which holds the sessions)

The table has one line per answer: session, renderer, file of the answer, options as the command
line's -p has them, separated by tabs. Equal answers share a file.
"""
import glob
import hashlib
import json
import os
import sys

from pyinstrument import renderers
from pyinstrument.session import Session

NONE = {"hide_regex": None, "show_regex": None}
OPTIONS = [
    ("text", {}), ("text", {"color": True}), ("text", {"unicode": False}),
    ("text", {"show_all": True}), ("text", {"timeline": True}), ("text", {"flat": True}),
    ("text", {"flat": True, "flat_time": "total", "color": True}),
    ("text", {"flat": True, "show_all": True}),
    ("text", {"time": "percent_of_total", "color": True}), ("text", {"short_mode": True}),
    ("text", {"short_mode": True, "flat": True}),
    ("text", {"timeline": True, "show_all": True, "color": True}),
    ("text", {"processor_options": dict(NONE, filter_threshold=0)}),
    ("text", {"processor_options": dict(NONE, filter_threshold=0.25)}),
    ("text", {"processor_options": dict(NONE, hide_regex=".*proj")}),
    ("text", {"processor_options": dict(NONE, show_regex=".*(ssl|number_[13])")}),
    ("text", {"processor_options": {"show_regex": ".*"}, "show_all": True}),
    ("json", {}), ("json", {"show_all": True, "timeline": True}),
    ("speedscope", {}), ("speedscope", {"show_all": True}), ("pyisession", {}),
]
CLASSES = {"text": renderers.ConsoleRenderer, "json": renderers.JSONRenderer,
           "speedscope": renderers.SpeedscopeRenderer, "pyisession": renderers.SessionRenderer}


def answer(path, name, options):
    options = dict(options)
    if name == "text":
        options = dict({"unicode": True, "color": False}, **options)
    if name != "pyisession":
        options.setdefault("processor_options", NONE)
    try:
        text = CLASSES[name](**options).render(Session.load(path))
    except ZeroDivisionError:  # flat tables of sessions without time
        return None
    return text.encode("utf8", "surrogateescape")


def main(folder):
    lines = []
    for path in sorted(glob.glob(os.path.join(folder, "*.pyisession"))):
        session = os.path.basename(path)
        for name, options in OPTIONS:
            data = answer(path, name, options)
            if data is None:
                continue
            stem = session.split(".")[0] + "-" + hashlib.sha256(data).hexdigest()[:8]
            if name == "json":  # group names are random
                stem = "%s-json%d" % (session.split(".")[0], len(options))
            with open(os.path.join(folder, stem + ".out"), "wb") as file:
                file.write(data)
            given = ["%s=%s" % (key, json.dumps(value)) for key, value in options.items()]
            lines.append("\t".join([session, name, stem + ".out"] + given))
    with open(os.path.join(folder, "golden.tsv"), "w") as file:
        file.write("\n".join(lines) + "\n")


main(sys.argv[1])
