# SPDX-License-Identifier: BSD-3-Clause
"""Reads a page of -r html back: its elements, strictly, and the payload decoded to plain lists."""

import base64
import hashlib
import html
import json
import re
import zlib
from html.parser import HTMLParser

VOID = {"meta", "link"}
ELEMENTS = ["html", "head", "meta", "meta", "title", "meta", "link", "style", "body", "div", "pre",
            "script", "script"]


class Reader(HTMLParser):
    """Every element with its attributes and its own text; anything else is an error."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.doctypes = [], [], []

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "attributes": dict(attributes), "text": "",
                   "parent": self.open[-1]["tag"] if self.open else None}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1]["tag"] == tag, "%s ends nothing" % tag
        self.open.pop()

    def handle_data(self, data):
        assert self.open, "text outside: %r" % data[:40]
        self.open[-1]["text"] += data

    def handle_decl(self, declaration):
        self.doctypes.append(declaration)

    def refuse(self, text):
        raise AssertionError("unexpected: %r" % text[:60])

    handle_comment = handle_pi = unknown_decl = refuse


def column(text, signed=False):
    numbers, value, shift = [], 0, 0
    for byte in base64.b64decode(text, validate=True):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            assert value <= 1 << 53
            numbers.append(value >> 1 ^ -(value & 1) if signed else value)
            value = shift = 0
    assert shift == 0, "the column ends inside a number"
    return numbers


class Page:
    def __init__(self, data):
        self.bytes = data
        text = data.decode("utf-8")  # strictly
        reader = Reader()
        reader.feed(text)
        reader.close()
        assert reader.doctypes == ["doctype html"] and not reader.open
        self.elements = reader.elements
        assert [e["tag"] for e in self.elements] == ELEMENTS
        by = self.elements
        assert by[0]["attributes"] == {"lang": "en"} and by[2]["attributes"] == {"charset": "utf-8"}
        self.policy = by[3]["attributes"]["content"]
        assert by[3]["attributes"]["http-equiv"] == "Content-Security-Policy"
        self.title, self.style, self.static = by[4]["text"], by[7]["text"], by[10]["text"]
        assert by[9]["attributes"] == {"id": "app"} and by[10]["attributes"] == {"id": "static"}
        assert by[11]["attributes"] == {"type": "application/json", "id": "session"}
        assert by[12]["attributes"] == {}
        self.script, self.json = by[12]["text"], by[11]["text"]
        self.payload = json.loads(self.json, parse_constant=self.no_constant)
        self.decode()

    @staticmethod
    def no_constant(name):
        raise AssertionError("%s is no JSON" % name)

    def check_policy(self):
        def digest(text):
            return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        style, script = self.unfold()
        assert self.policy == (
            "default-src 'none'; script-src %s %s; style-src %s %s; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'" % (
                digest(script), digest(self.script), digest(style), digest(self.style)))

    def unfold(self):
        """The style and the program that the script inserts: deflated, five letters for four bytes."""
        packed = max(re.findall(r'"([^"]*)"', self.script), key=len)
        letters = [chr(code) for code in range(33, 126) if chr(code) not in "\"$&'<>\\`"]
        assert len(letters) == 85
        usual = ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~")
        words = base64.b85decode(packed.translate(str.maketrans("".join(letters), usual)))
        text = zlib.decompressobj(-15).decompress(words).decode("ascii")
        style = int(re.search(r'"style",0,(\d+)\)', self.script).group(1))
        return text[:style], text[style:]

    def overhead(self):
        """Bytes of the page that do not come from the session."""
        return len(self.bytes) - sum(len(html.escape(text, False).encode()) for text in (
            self.json, self.static, self.title))

    def decode(self):
        payload = self.payload
        assert payload["v"] == 1 and payload["strings"][0] == ""
        strings = self.strings = payload["strings"]
        assert len(set(strings)) == len(strings)
        funcs, nodes = payload["funcs"], payload["nodes"]
        columns = {key: column(value) for key, value in funcs.items() if key != "n"}
        assert all(len(values) == funcs["n"] for values in columns.values())
        self.functions = []
        for i in range(funcs["n"]):
            row = {key: values[i] for key, values in columns.items()}
            self.functions.append({
                "name": strings[row["name"]], "path": strings[row["dir"]] + strings[row["base"]],
                "short": strings[row["short"]], "line": row["line"], "class": strings[row["cls"]],
                "kind": row["kind"], "flags": row["flags"]})
        self.nodes = []
        for parent, function, line in zip(*(column(nodes[k]) for k in ("parent", "func", "line")),
                                          strict=True):
            here = len(self.nodes)
            assert parent <= here and function < funcs["n"]
            self.nodes.append((here - parent if parent else None, function, line))
        assert len(self.nodes) == nodes["n"]
        self.threads = [self.thread(row) for row in payload["threads"]]
        self.base = [self.thread(row) for row in payload.get("base", [])]

    def thread(self, row):
        runs = row["runs"]
        lists = {key: column(row[key], key == "node") for key in ("node", "dur", "count")}
        lists["gap"] = column(row["gap"]) if "gap" in row else [0] * runs
        node, lists["nodes"] = 0, []
        for step in lists.pop("node"):
            node += step
            assert 0 <= node <= len(self.nodes)
            lists["nodes"].append(node)
        states = column(row["state"]) if "state" in row else [0, runs]
        lists["state"] = []
        for code, length in zip(states[::2], states[1::2]):
            lists["state"] += [code] * length
        assert all(len(values) == runs for values in lists.values())
        assert "gap" not in row or any(lists["gap"])
        return dict(row, **lists, name=self.strings[row["name"]], function=self.functions[row["func"]])

    def stack(self, node):
        """(function, executing line) from the outside in."""
        frames = []
        at = node if node < len(self.nodes) else None
        while at is not None:
            parent, function, line = self.nodes[at]
            frames.append((self.functions[function], line))
            at = parent
        return frames[::-1]
