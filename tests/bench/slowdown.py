# SPDX-License-Identifier: BSD-3-Clause
"""What being watched costs the target: work per CPU second, with the profiler and without.

One process, windows in turn: off, on, off, off, on, off, ... The loss is 1 - on / mean of the two
neighbours; the noise is the same of two windows without a profiler. Where that noise is wider
than the bound, nothing is said about the bound. Work per wall second is printed, not judged.
"""

import signal
import subprocess
import time

import bench
import record

WINDOW = 0.6


class Window:
    """Work per CPU second and per wall second between two moments."""

    def __init__(self, workload, seconds):
        work, cpu, wall = workload.work(), workload.cpu(), time.monotonic()
        time.sleep(seconds)
        self.wall = time.monotonic() - wall
        self.cpu = workload.cpu() - cpu
        self.work = workload.work() - work

    @property
    def speed(self):
        return self.work / self.cpu if self.cpu > 0 else float("nan")


def watched(settings, workload, tool, interval, window, folder):
    """A window in the middle of a recording."""
    if isinstance(tool, record.Ours):
        command = [settings.binary, "--pid", workload.pid, "-d", window + 30, "-i", "%.7f" % interval,
                   "-q", "-o", folder + "/out.pyisession"]
    else:
        out = workload.folder if isinstance(tool, record.Tachyon) else folder
        inside = out[len(tool.root):] if isinstance(tool, record.Tachyon) else out
        command = tool.command(workload, round(window + 30), interval, inside + "/watch")
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=bench.clean_environment(folder), start_new_session=True)
    try:
        time.sleep(0.15 if isinstance(tool, record.Ours) else 0.8)
        got = Window(workload, window)
        if process.poll() is not None:
            raise bench.Skip("%s ended early with status %d" % (tool.name, process.returncode))
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return got


def rounds_of(settings, interpreter, name, arguments, tool, interval, rounds):
    """(losses, noises, wall losses) in percent, one of each per round."""
    losses, noises, walls = [], [], []
    with bench.scratch(settings) as folder, bench.Workload(interpreter, name, *arguments) as workload:
        time.sleep(0.3)
        before = Window(workload, WINDOW)
        for _ in range(rounds):
            on = watched(settings, workload, tool, interval, WINDOW, folder)
            first = Window(workload, WINDOW)
            second = Window(workload, WINDOW)
            plain = (before.speed + first.speed) / 2
            losses.append((1 - on.speed / plain) * 100)
            noises.append((1 - second.speed / first.speed) * 100)
            base = (before.work / before.wall + first.work / first.wall) / 2
            walls.append((1 - on.work / on.wall / base) * 100)
            before = second
    return losses, noises, walls


def in_process(settings, rounds):
    """The original inside the program: two programs in turn, one of them under it."""
    import upstream
    try:
        upstream.ensure()
    except upstream.Unavailable as reason:
        raise bench.Skip("pyinstrument 5.1.3: %s" % reason) from None
    root = upstream.ROOT_FOLDER
    inside = bench.lab.Interpreter("upstream", "3.0", ["chroot", root, "/usr/bin/python3"])
    losses, noises = [], []
    with bench.Workload(inside, "W2") as plain, bench.Workload(inside, "W2") as other, \
            bench.Workload(inside, "W2", before=["-m", "pyinstrument"]) as profiled:
        time.sleep(0.5)
        for _ in range(rounds):
            a, on, b = [Window(w, WINDOW).speed for w in (plain, profiled, other)]
            losses.append((1 - on / a) * 100)
            noises.append((1 - b / a) * 100)
    return losses, noises, [float("nan")]


def row(what, rounds, got, bound):
    losses, noises, walls = got
    low, high = bench.bounds(losses)
    quiet_low, quiet_high = bench.bounds(noises)
    noise = (quiet_high - quiet_low) / 2
    if bound is None:
        judged = ""
    elif low > bound:
        judged = "MISSED (at most %g %%)" % bound
    elif noise > bound:
        judged = "inconclusive (bound %g %%)" % bound
    else:
        judged = "met (at most %g %%)" % bound
    return [*what, rounds, "%+.2f %%" % bench.median(losses), "%+.2f..%+.2f" % (low, high),
            "%+.2f..%+.2f" % (quiet_low, quiet_high), "%+.1f %%" % bench.median(walls), judged]


def plans(settings):
    """(python version, workload, its arguments, tool, interval, bound in percent)."""
    yield "3.13", "W2", [], record.Ours, 1e-3, 1
    if settings.quick:
        return
    for name in ("W1", "W6"):
        yield "3.13", name, [], record.Ours, 1e-3, 1
    for name in ("W1", "W2", "W6"):
        yield "3.13", name, [], record.Ours, 1e-4, 3
    yield "3.13", "W4", [158], record.Ours, 1e-2, 1
    for version in ("3.8", "3.11", "3.15"):
        yield version, "W2", [], record.Ours, 1e-3, 1
    yield "3.15", "W2", [], record.Tachyon, 1e-3, None
    yield "3.15", "W2", [], lambda s: record.Tachyon(s, "--blocking"), 1e-3, None
    yield "local 3.13", "W2", [], record.Austin, 1e-3, None
    yield "local 3.13", "W2", [], lambda s: record.PySpy(s, "--nonblocking"), 1e-3, None
    yield "local 3.13", "W2", [], record.PySpy, 1e-3, None


def run(settings):
    rounds = 3 if settings.quick else 9
    settings.say("Loss of work per CPU second, %d rounds of on/off with off/off between, 95 %% intervals"
                 % rounds)
    rows = []
    for version, name, arguments, make, interval, bound in plans(settings):
        local = [i for i in bench.lab.local() if version.endswith("%d.%d" % i.version)]
        interpreter = (local[0] if local else None) if version.startswith("local") \
            else bench.lab.by_version(version)
        if interpreter is None:
            settings.say("  skipped: there is no Python %s" % version)
            continue
        for tool in record.available(settings, [make]):
            load = name if not arguments else "%s, %d threads" % (name, arguments[0] + 2)
            try:
                got = rounds_of(settings, interpreter, name, arguments, tool, interval,
                                rounds if bound is not None else min(rounds, 5))
            except bench.Skip as reason:
                settings.say("  skipped: %s" % reason)
                continue
            rows.append(row([tool.name, interpreter.name, load, "%g Hz" % (1 / interval)],
                            len(got[0]), got, bound))
    if not settings.quick:
        try:
            rows.append(row(["pyinstrument 5.1.3, inside", "upstream", "W2", "1000 Hz"], rounds,
                            in_process(settings, rounds), None))
        except (bench.Skip, AssertionError) as reason:
            settings.say("  skipped: %s" % reason)
    settings.table(["profiler", "python", "load", "rate", "rounds", "loss", "95 %", "off/off 95 %",
                    "wall loss", "bound"], rows)
