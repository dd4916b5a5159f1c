# SPDX-License-Identifier: BSD-3-Clause
"""Ours and other profilers, as whole programs on the same target in turn: CPU per sample, rate,
impossible stacks. What a program uses for starting is taken off: a recording of its own with next
to no samples.
"""

import bench
import record

LOADS = ["W1", "W2", "W2adv", "W3", "W4", "W6"]
FLAT_LOADS = ["W1", "W2", "W3"]
SECONDS = 2


def pairs(settings):
    """(interpreter, tools) whose figures may be compared."""
    newest = bench.lab.by_version("3.15")
    if newest and newest.root:
        yield newest, [record.Ours, record.Tachyon]
    local = [i for i in bench.lab.local() if i.version == (3, 13)]
    if local:
        yield local[0], [record.Ours, record.Austin,
                         lambda s: record.PySpy(s, "--nonblocking"), record.PySpy]


def one(settings, tool, workload, interval, start):
    with bench.scratch(settings) as folder:
        figure, samples, judged = tool.record(workload, SECONDS, interval, folder)
    return {"us": (figure.cpu - start) / max(samples, 1) * 1e6, "rate": samples / SECONDS,
            "torn": judged.torn, "stacks": judged.stacks, "share": figure.share, "peak": figure.peak}


def starting(settings, tool, workload):
    with bench.scratch(settings) as folder:
        return tool.record(workload, 1, 0.1, folder)[0].cpu


def measure(settings, tools, workload, interval):
    """Tool name to its runs, the tools in turn."""
    starts, runs = {}, {tool.name: [] for tool in tools}
    rounds = 1 if settings.quick or workload.name not in ("W1", "W2", "W3") else 3
    for number in range(-1, rounds):
        for tool in tools:
            try:
                if number < 0:
                    starts[tool.name] = starting(settings, tool, workload)
                elif tool.name in starts:
                    runs[tool.name].append(one(settings, tool, workload, interval,
                                               starts[tool.name]))
            except bench.Skip as reason:
                settings.say("  skipped: %s on %s: %s" % (tool.name, workload.name, reason))
    return runs


def run(settings):
    for interpreter, makers in pairs(settings):
        tools = record.available(settings, makers[:2] if settings.quick else makers)
        for title, interval in (("1 kHz", 1e-3), ("as fast as it goes", 1e-6)):
            if interval < 1e-5:  # py-spy does not leave ticks out: it would never end
                tools = [tool for tool in tools if not isinstance(tool, record.PySpy)]
            settings.say("%s, %s (the whole program, its start taken off; torn: of samples, ours of "
                         "records)" % (interpreter.name, title))
            rows = []
            for name in ["W2"] if settings.quick else LOADS if interval > 1e-5 else FLAT_LOADS:
                with bench.Workload(interpreter, name) as workload:
                    runs = measure(settings, tools, workload, interval)
                ours = bench.median([r["us"] for r in runs[record.Ours.name]])
                for tool in tools:
                    got = runs[tool.name]
                    if not got:
                        continue
                    each = bench.median([r["us"] for r in got])
                    rows.append([
                        name, tool.name, len(got), "%.1f" % each, "%.3f" % (ours / each),
                        "%.0f" % bench.median([r["rate"] for r in got]),
                        "%d/%d" % (sum(r["torn"] for r in got), sum(r["stacks"] for r in got)),
                        "%.2f %%" % (100 * sum(r["torn"] for r in got)
                                     / max(sum(r["stacks"] for r in got), 1)),
                        "%.2f" % bench.median([r["share"] for r in got]),
                        "%.0f MB" % (max(r["peak"] for r in got) / 1e6)])
            settings.table(["load", "profiler", "runs", "us/sample", "ours/it", "samples/s", "torn",
                            "torn share", "target share", "peak"], rows)
