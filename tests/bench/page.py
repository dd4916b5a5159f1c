# SPDX-License-Identifier: BSD-3-Clause
"""The page of -r html as the C program makes it: size, CPU and memory for sessions made in memory.

Small, medium and large as in the page's own budgets; the order of stacks is random, which is the
worst for its columns. Then the same pages in a browser, when node, chromium and playwright-core are there: CPU
of its main thread until the tree is drawn, per frame of scrolling and zooming, and what the clock said.
"""

import os
import re
import shutil
import subprocess
import tempfile

import bench

# name, samples, nodes, runs; budgets: bytes, seconds, memory beyond the session in sessions
SIZES = [
    ("S", 4000, 500, 3600, 250e3, 0.05, None),
    ("M", 100000, 50000, 92000, 2.5e6, 0.3, 2),
    ("L", 1000000, 400000, 900000, 12e6, 3.0, 2),
]


def write(settings, folder):
    """S.html, M.html and L.html."""
    program = bench.compiled(settings, "page")
    for name, samples, nodes, runs, *_ in SIZES:
        subprocess.run([program, *map(str, (samples, nodes, runs, 1)), os.path.join(folder, name + ".html")],
                       stdout=subprocess.DEVNULL, check=True, timeout=300)


def in_browser(settings):
    node = shutil.which("node")
    settings.say("The same pages in a browser: CPU ms (and by the clock), MB; limits are those of a quiet machine")
    if not node:
        return settings.say("  skipped: node is not installed")
    with tempfile.TemporaryDirectory() as folder:
        write(settings, folder)
        env = dict(os.environ, PYI_REPORT_PAGES=folder, PYI_REPORT_STRICT="1", PYI_PROGRAM=settings.binary)
        done = subprocess.run([node, os.path.join(bench.ROOT, "tests/report/browser/run.mjs"), "--only", "^13 "],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=900)
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        found = re.match(r"(ok|skip|FAIL) 13 budgets \w: (?:\w+Error.*?: )?(.*)", line) or \
            re.match(r"\+? +'()(.* > .*)'", line)
        if found:
            settings.say("  %s%s" % (found.group(1) + " " if found.group(1) else "  over: ", found.group(2)))
    return settings.say()


def run(settings):
    program = bench.compiled(settings, "page")
    rows, verdicts = [], []
    for name, samples, nodes, runs, size, seconds, memory in SIZES:
        done = subprocess.run([program, *map(str, (samples, nodes, runs, 3 if settings.quick else 7))],
                              stdout=subprocess.PIPE, check=True, timeout=300)
        got = [float(word) for word in done.stdout.split()]
        rows.append([name, samples, nodes, runs, "%.2f MB" % (got[0] / 1e6), "%.4f" % got[1],
                     "%.1f MB" % (got[2] / 1e3), "%.1f MB" % (got[3] / 1e3)])
        good = got[0] <= size and got[1] <= seconds and (
            memory is None or got[3] <= memory * got[2])
        verdicts.append("%s (%.2g MB, %.2g s%s): %s" % (
            name, size / 1e6, seconds, "" if memory is None else ", %d sessions" % memory,
            bench.verdict(good)))
    settings.say("Session in memory to page, without source text")
    settings.table(["size", "samples", "nodes", "runs", "page", "CPU s", "session", "more at most"], rows)
    settings.say("  budgets " + "; ".join(verdicts))
    settings.say()
    in_browser(settings)
