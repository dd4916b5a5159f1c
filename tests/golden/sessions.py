#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the hand-made sessions of the golden table: one edge case of trees and reports each.

usage: sessions.py FOLDER
"""
import json
import os
import sys

PROJECT = "/home/u/proj/"
LIB = "/usr/lib/python3/"
THREAD = "MainThread\0<thread>\x001000"
MODULE = "<module>\0" + PROJECT + "main.py\x001"


def frame(name, path=PROJECT + "main.py", line=1, *attributes):
    return "\0".join([name, path, str(line)]) + "".join("\x01" + a for a in attributes)


def lib(package, name="f", line=5, *attributes):
    return frame(name, LIB + package + "/core.py", line, *attributes)


def session(records, below=(THREAD, MODULE), **other):
    records = [[list(below) + list(stack), time] for stack, time in records]
    total = sum(time for _, time in records)
    values = {
        "start_time": 1700000000.25, "duration": total, "min_interval": 0.001,
        "max_interval": 0.001, "sample_count": len(records),
        "start_call_stack": [THREAD, MODULE], "target_description": "Program: main.py",
        "cpu_time": total / 2, "sys_path": ["/home/u/proj", "/usr/lib/python3"],
        "sys_prefixes": ["/usr", "/usr"], "frame_records": records,
    }
    values.update(other)
    return values


a, b, c, x, y = (frame(n, PROJECT + "main.py", i) for n, i in zip("abcxy", (10, 20, 30, 5, 6)))
sleep = frame("sleep", "<built-in>", 0)
long_libs = [lib("library_number_%d_with_a_name" % i) for i in range(5)]
launcher = [THREAD, frame("<module>", "/usr/bin/pyinstrument", 1),
            frame("main", LIB + "pyinstrument/__main__.py", 30)]
run = [frame("<module>", "<string>", 1), frame("run_path", "<frozen runpy>", 200),
       frame("_run_code", "<frozen runpy>", 80)]
T2 = "worker\0<thread>\x00140737353971520"

SESSIONS = {
    "worked": session([([s], 0.1) for s in (a, b, c, b, a, c)] + [([], 0.1), ([], 0.1)] +
                      [([a, x], 0.1), ([a, y], 0.1), ([a, x], 0.1), ([a, y], 0.1)]),
    "empty": session([]),
    "one": session([([a, sleep], 0.25)]),
    "ties": session([([n, m], 0.125) for n in (c, b, a) for m in (y, x)] + [([b], 0.25)]),
    "threshold": session([([a], 0.98), ([b], 0.01), ([c], 0.0099), ([x, y], 0.0101)],
                         max_interval=0.0001),
    "groups": session([
        ([a, lib("two"), lib("two", "g")], 0.1),
        ([b, lib("three"), lib("three", "g"), lib("three", "h")], 0.1),
        ([c, lib("requests", "get"), lib("requests", "request"), lib("urllib3", "send"),
          lib("ssl", "recv"), frame("read", "<built-in>", 0)], 0.35),
        ([c, lib("requests", "get"), lib("requests", "request"), lib("urllib3", "send"),
          lib("ssl", "hook"), frame("callback", PROJECT + "main.py", 33, "cHooks")], 0.1),
        ([c, lib("requests", "get"), lib("requests", "request"), lib("urllib3", "send"),
          lib("ssl", "hook")], 0.04)]),
    "libraries": session([([a] + long_libs + [sleep], 0.5), ([b] + long_libs[:2] + [x], 0.1),
                          ([c, frame("r", "/srv/x.py", 1)] + [frame("up", "/usr/up.py", 1)] +
                           long_libs[:1], 0.1)]),
    "roots": session([([THREAD, MODULE, a], 0.1), ([], 0.05), ([T2, b], 0.2), (["[self]"], 0.01),
                      ([THREAD, MODULE, a], 0.1)], below=()),
    "surrogates": session([([frame("f", "/home/u/\udc80\udcff/f.py", 3)], 0.1),
                           ([frame("日本", "/home/é/ü.py", 3, "cÜ")], 0.2),
                           ([frame("g", "/usr/ü\udc80nï/f.py", 3)], 0.2)],
                          target_description="Program: \udc80 \"é\" \\"),
    "await": session([([a, b, "[await]"], 0.2), ([a, c, "[await]"], 0.1), ([a, c], 0.1),
                      ([a, "[out-of-context]"], 0.05), ([a, b, "[await]"], 0.02)]),
    "classes": session([([frame("m", PROJECT + "k.py", 1, "cA", "l3")], 0.1),
                        ([frame("m", PROJECT + "k.py", 1, "cB", "l4")], 0.15),
                        ([frame("m", PROJECT + "k.py", 1, "cA", "l3"), a], 0.05),
                        ([frame("e", PROJECT + "k.py", 9, "c")], 0.05),
                        ([frame("h", PROJECT + "k.py", 9, "l1", "h1"), b], 0.1)]),
    "importlib": session([([a, frame("_load", "<frozen importlib._bootstrap>", 9),
                            frame("exec", "<frozen importlib._bootstrap_external>", 8), b], 0.1),
                          ([a, frame("_load", "<frozen importlib._bootstrap>", 9)], 0.03),
                          ([a], 0.02), ([a, frame("_load", "<frozen importlib._bootstrap>", 9),
                                         c], 0.05)]),
    "launcher": session([(run + [MODULE, a], 0.5), (run + [MODULE], 0.1), (run[:1], 0.01)],
                        below=launcher, start_call_stack=launcher),
    "strings": session([([frame("f", "<string>", 1), frame("g", "<string>", 2)], 0.1),
                        ([lib("gen"), frame("g", "<string>", 2), frame("h", "<stdin>", 2)], 0.2),
                        ([frame("c", "<ipython-input-3-ab>", 2), frame("t", "<template>", 2)],
                         0.2)]),
    "zero": session([([a], 0), ([b], 0)]),
    "whole": session([([a], 2), ([b, c], 1)], max_interval=1, duration=3, cpu_time=0),
}

if __name__ == "__main__":
    for name, value in SESSIONS.items():
        with open(os.path.join(sys.argv[1], name + ".pyisession"), "w", encoding="ascii") as file:
            json.dump(value, file)
