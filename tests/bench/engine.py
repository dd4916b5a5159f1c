# SPDX-License-Identifier: BSD-3-Clause
"""The sampling engine alone, on workloads that know which calls are possible.

Four tables: CPU per sample flat out beside a bare vectored read; CPU per sample paced beside a
bare timer loop; impossible stacks of the engine; the same for recorded sessions. A stack is torn
when a function stands above one that never calls it, and a session would keep it: calls without
proof by the end are folded away there. `raw` counts what was impossible as delivered. `share` is the part of the time the target
had a CPU: figures of tearing mean nothing when it is small.
"""

import os

import bench
import pyi
import record

COSTS = ["W1", "W2", "W3", "W4", "W4 160", "W6"]  # "W4 160": with so many threads
WAITING = {"W4 160": 158}
TEARS = ["W1", "W2", "W2adv", "W3", "W4", "W4 160", "W6", "W7", "W8", "raise", "callers"]
GOALS = {"W1": 2.0, "W2": 2.5, "W3": 3.0}
HEAP_GOAL = 1.5     # 3.8-3.10, against a call with as many ranges as frames are read again
HEAP_RANGES = 12
PACED_MORE = 6.0    # microseconds above a bare timer loop
LEAST_SHARE = 0.5  # of a CPU the target must have had
ENOUGH = 100000    # delivered samples of a version
FLAT = 0


def each(slices, key):
    return bench.median([part[key] / max(part["samples"], 1) for part in slices])


def cpu_share(slices):
    return bench.median([part["target_cpu"] / part["wall"] for part in slices])


def costs(settings):
    settings.say("CPU per sample, flat out, interleaved with a bare read (one call, two ranges; "
                 "%d ranges below 3.11)" % HEAP_RANGES)
    rows = []
    for interpreter in bench.interpreters(settings):
        heap = interpreter.version < (3, 11)
        for name in ["W1", "W2", "W3"] if settings.quick else COSTS:
            ranges = HEAP_RANGES if heap else 2
            more = [WAITING[name]] if name in WAITING else []
            try:
                with bench.Workload(interpreter, name.split()[0], *more) as workload:
                    got = bench.ask_helper(settings, "cost", workload.pid,
                                           0.1 if settings.quick else 0.25, FLAT, ranges)["slices"]
            except bench.Skip as reason:
                rows.append([interpreter.name, name] + ["-"] * 8 + [str(reason)])
                continue
            bare = bench.median([part["bare"] for part in got])
            ours = [part["cpu"] / max(part["samples"], 1) * 1e6 for part in got]
            ratio = bench.median([mine / part["bare"] for mine, part in zip(ours, got)])
            goal = HEAP_GOAL if heap else GOALS.get(name)
            samples = sum(part["samples"] for part in got)
            rows.append([
                interpreter.name, name, "%.2f" % bench.median(ours), "%.2f" % bare, "%.2f" % ratio,
                "%.0f %%" % (bench.spread(ours) * 100),
                "%.0fk/s" % (bench.median([p["samples"] / p["wall"] for p in got]) / 1e3),
                "%.2f" % bench.median([p["calls"] / max(p["rounds"], 1) for p in got]),
                "%.2f %%" % (100 * sum(p["lost"] for p in got) / max(samples, 1)),
                "%.2f" % cpu_share(got),
                "" if goal is None else "%.1f %s" % (goal, bench.verdict(ratio <= goal))])
    settings.table(["python", "load", "us", "bare", "ratio", "noise", "rate", "reads/round", "lost",
                    "share", "goal"], rows)


def paced(settings):
    settings.say("CPU per sample of the engine, paced, interleaved with a bare timer loop (goal: "
                 "%.0f us more)" % PACED_MORE)
    rows = []
    for interpreter in bench.interpreters(settings):
        for name in ["W2"] if settings.quick else ["W1", "W2", "W6"]:
            row = [interpreter.name, name]
            try:
                with bench.Workload(interpreter, name) as workload:
                    for interval in (1000000, 100000):
                        got = bench.ask_helper(settings, "cost", workload.pid,
                                               0.1 if settings.quick else 0.3, interval, 2)["slices"]
                        bare = [part["bare"] for part in got]
                        ours = [part["cpu"] / max(part["samples"], 1) * 1e6 for part in got]
                        more = bench.median([a - b for a, b in zip(ours, bare)])
                        noise = (max(bare) - min(bare)) / 2
                        row += ["%.1f" % bench.median(ours), "%.1f" % bench.median(bare),
                                "%+.1f" % more, "+-%.1f" % noise,
                                "%.0f/s" % bench.median([p["samples"] / p["wall"] for p in got]),
                                "%.2f" % cpu_share(got), bench.verdict(more <= PACED_MORE)
                                if noise <= PACED_MORE else "inconclusive"]
            except bench.Skip as reason:
                row += [str(reason)]
                row += ["-"] * (16 - len(row))
            rows.append(row)
    columns = ["us", "timer", "more", "noise", "rate", "share", "goal"]
    settings.table(["python", "load"] + ["1k " + c for c in columns] + ["10k " + c for c in columns],
                   rows)


def states(settings):
    """Every recording asks for them, the tables above do not."""
    settings.say("CPU per sample with states of threads, beside the same engine without, paced")
    rows = []
    for interpreter in bench.interpreters(settings):
        for name in ["W2"] if settings.quick else ["W1", "W2", "W4", "W6"]:
            row = [interpreter.name, name]
            try:
                with bench.Workload(interpreter, name) as workload:
                    for interval in (1000000, 100000):
                        got = bench.ask_helper(settings, "states", workload.pid,
                                               0.1 if settings.quick else 0.3, interval, 2)["slices"]
                        plain = [part["bare"] for part in got]
                        with_states = [part["cpu"] / max(part["samples"], 1) * 1e6 for part in got]
                        row += ["%.1f" % bench.median(plain), "%.1f" % bench.median(with_states),
                                "%.2f" % bench.median([a / b for a, b in zip(with_states, plain)]),
                                "%.2f" % cpu_share(got)]
            except bench.Skip as reason:
                row += [str(reason)]
                row += ["-"] * (10 - len(row))
            rows.append(row)
    columns = ["without", "with", "ratio", "share"]
    settings.table(["python", "load"] + ["1k " + c for c in columns] + ["10k " + c for c in columns], rows)


def checked(settings, workload, seconds, interval):
    got = bench.ask_helper(settings, "check", workload.pid, seconds, interval, workload.legal_file())
    total = got["samples"] + got["lost"]
    return (got, "%d/%d" % (got["torn"], got["samples"]), got["raw"],
            "%.2f %%" % (100 * got["folded"] / max(got["samples"], 1)),
            "%.2f %%" % (100 * got["lost"] / max(total, 1)))


def bias(workload, before, got):
    """W7: share of the time in still() that was seen, minus what the program logged."""
    if workload.name != "W7":
        return ""
    after = workload.counters()
    still, moving = after[1] - before[1], after[2] - before[2]
    seen = got["inclusive"]["still"] / max(got["inclusive"]["still"] + got["inclusive"]["moving"], 1)
    return "%+.3f" % (seen - still / max(still + moving, 1))


def judged(torn, delivered, share):
    """A target that hardly ran, or was hardly looked at, cannot show that its stacks are read well."""
    if torn:
        return "MISSED"
    if delivered < ENOUGH:
        return "inconclusive (below %d samples)" % ENOUGH
    return "met" if share >= LEAST_SHARE else "inconclusive (share below %.1f)" % LEAST_SHARE


def tears(settings):
    settings.say("Impossible stacks that a session would keep: torn/samples, raw (as delivered), folded, lost, "
                 "share of CPU the target had")
    rows, torn_of = [], {}
    for interpreter in bench.interpreters(settings):
        for name in ["W2", "W2adv", "W8"] if settings.quick else TEARS:
            row = [interpreter.name, name]
            more = [WAITING[name]] if name in WAITING else []
            try:
                with bench.Workload(interpreter, name.split()[0], *more) as workload:
                    first = ""
                    for seconds, interval in ((0.2 if settings.quick else 0.8, FLAT),
                                              (0.3 if settings.quick else 1.0, 100000)):
                        before = workload.counters()
                        got, *figures = checked(settings, workload, seconds, interval)
                        row += [*figures, "%.0f %%" % (100 * got["verified"] / max(got["samples"], 1)),
                                "%.2f" % (got["target_cpu"] / got["wall"]), bias(workload, before, got)]
                        first = first or (got["first_torn"] or [""])[0]
                        mine = torn_of.setdefault(interpreter, [0, 0, 0, 0, []])
                        for i, key in enumerate(("torn", "folded", "lost", "samples")):
                            mine[i] += got[key]
                        mine[4].append(got["target_cpu"] / got["wall"])
            except bench.Skip as reason:
                row += [str(reason)] + ["-"] * 13
                first = ""
            rows.append(row + [first])
    columns = ["torn", "raw", "folded", "lost", "verified", "share", "W7 bias"]
    settings.table(["python", "load"] + ["flat " + c for c in columns] + ["10k " + c for c in columns]
                   + ["e.g."], rows)
    settings.table(["python", "torn", "folded", "lost", "delivered", "share", "no impossible stack"],
                   [[interpreter.name, torn, folded, lost, delivered, "%.2f" % bench.median(shares),
                     judged(torn, delivered, bench.median(shares))]
                    for interpreter, (torn, folded, lost, delivered, shares) in torn_of.items()])


def sessions(settings):
    settings.say("Recorded sessions at 10 kHz, what a user gets (goal 3.11-3.15: no impossible stack)")
    rows = []
    for interpreter in bench.interpreters(settings):
        for name in ["W2"] if settings.quick else ["W1", "W2", "W2adv", "W3", "W6", "W7", "W8",
                                                   "raise", "callers"]:
            try:
                with bench.scratch(settings) as home, bench.Workload(interpreter, name) as workload:
                    out = os.path.join(home, "out.pyisession")
                    figure = bench.used(settings, [
                        settings.binary, "--pid", workload.pid, "-d", "1", "-i", "0.0001", "-q",
                        "-o", out], home=home, timeout=60, workload=workload)
                    if figure.status:
                        raise bench.Skip("status %d" % figure.status)
                    session = pyi.Session(out)
                    got = record.judge_session(session, workload)
            except bench.Skip as reason:
                rows.append([interpreter.name, name] + ["-"] * 7 + [str(reason)])
                continue
            attach = session.attach
            rows.append([
                interpreter.name, name, "%d/%d" % (got.torn, got.stacks),
                session.raw["sample_count"], attach.get("truncated", "-"), attach.get("lost", "-"),
                attach.get("missed", "-"), "%.1f" % (figure.cpu / max(session.raw["sample_count"], 1) * 1e6),
                "%.2f" % figure.share, got.example])
    settings.table(["python", "load", "torn/records", "samples", "truncated", "lost", "missed",
                    "us/sample", "share", "e.g."], rows)


def run(settings):
    costs(settings)
    paced(settings)
    states(settings)
    tears(settings)
    sessions(settings)
