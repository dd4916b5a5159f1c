# SPDX-License-Identifier: BSD-3-Clause
"""Eight hours at 1 kHz, replayed: what a recording holds, what its file takes, and reading one again.

The recorder is the real one; its clock and its target only count, so that CPU is that of recording
alone. Memory is the largest resident set of the process, at half time and at the end.
"""

import os
import subprocess
import tempfile

import bench

HOURS_8 = 28_800_000
MILLION = 1_000_000


def call(program, *words):
    done = subprocess.run([program, *map(str, words)], stdout=subprocess.PIPE, check=True, timeout=600)
    return [float(word) for word in done.stdout.split()]


def run(settings):
    program = bench.compiled(settings, "long", "-lcmocka")
    rounds = HOURS_8 // 10 if settings.quick else HOURS_8
    rows, verdicts = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.pyirec")
        for mode in ("timeline", "aggregate", "pyirec"):
            samples, records, held, half, whole, cpu = call(program, mode, rounds, path)
            size = os.path.getsize(path) if mode == "pyirec" else 0
            rows.append([mode, "%d" % samples, "%d" % records, "%.2f" % (held / samples),
                         "%.1f MB" % (half / 1e6), "%.1f MB" % (whole / 1e6),
                         "%.2f" % (size / samples) if size else "-", "%.2f us" % (1e6 * cpu / samples)])
            if mode == "timeline":
                verdicts.append("in memory at most 4 bytes a sample: " + bench.verdict(held <= 4 * samples))
            if mode == "aggregate":
                good = whole <= 64e6 and whole <= half * 1.05
                verdicts.append("sums flat and at most 64 MB: " + bench.verdict(good))
            if size:
                verdicts.append("file at most 4 bytes a sample: " + bench.verdict(size <= 4 * samples))
        call(program, "pyirec", MILLION, path)
        samples, records, _, _, whole, cpu = call(program, "load", path)
        rows.append(["load and render", "%d" % samples, "%d" % records, "-", "-", "%.1f MB" % (whole / 1e6),
                     "-", "%.2f us" % (1e6 * cpu / samples)])
        verdicts.append("a million samples read and rendered in 1 s and 150 MB: "
                        + bench.verdict(cpu <= 1 and whole <= 150e6))
    settings.say("Eight hours at 1 kHz, one thread" + (" (a tenth of it)" if settings.quick else ""))
    settings.table(["what", "samples", "records", "held / sample", "RSS at half", "RSS", "file / sample",
                    "CPU / sample"], rows)
    for verdict in verdicts:
        settings.say("  " + verdict)
    settings.say()
