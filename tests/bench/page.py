# SPDX-License-Identifier: BSD-3-Clause
"""The page of -r html as the C program makes it: size, CPU and memory for sessions made in memory.

Small, medium and large as in the page's own budgets; the order of stacks is random, which is the
worst for its columns. Opening pages in a browser is measured with the page's own tests.
"""

import subprocess

import bench

# name, samples, nodes, runs; budgets: bytes, seconds, memory beyond the session in sessions
SIZES = [
    ("S", 4000, 500, 3600, 250e3, 0.05, None),
    ("M", 100000, 50000, 92000, 2.5e6, 0.3, 2),
    ("L", 1000000, 400000, 900000, 12e6, 3.0, 2),
]


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
