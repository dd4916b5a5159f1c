# SPDX-License-Identifier: BSD-3-Clause
"""Whether the engine says where the time went.

Two tables. Bias: the total variation distance of self time, by depth of the stack or by function,
between the engine at 10 kHz and stops at random moments of the same target in the same seconds;
`floor` is the distance of two halves of those stops, `own` of two halves of the engine's samples: a
distance no larger than these says nothing. Shares: --self-check again and again, idle and with
programs that want every processor: the mean error of a phase's share against the program's own log,
above that of a perfect sampler on the same grid.
"""

import json
import os
import subprocess
import sys

import bench

LOADS = {"W1": "depth", "W2": "depth", "W2adv": "depth", "W3": "depth", "W4": "depth", "W6": "name",
         "W7": "depth"}
GOALS = {"W1": 0.05, "W2": 0.05, "W3": 0.05, "W4": 0.05, "W6": 0.08, "W7": 0.05}
QUIET = {"PYI_BENCH_NO_CALLS": "1"}  # see bench_common.py
JUDGED = (3, 12)    # from this version on
LEAST_SHARE = 0.5   # of a CPU the target must have had
SHARE_GOAL = 0.3    # percentage points above a perfect sampler


def judged(tvd, noise, share, goal):
    """What is within the noise of a bound, or was measured while the target stood still, is open."""
    if share < LEAST_SHARE:
        return "inconclusive (share below %.1f)" % LEAST_SHARE
    if tvd <= goal:
        return "met (at most %.2f)" % goal
    return ("MISSED (at most %.2f)" if tvd - noise > goal else "inconclusive (bound %.2f)") % goal


def measure(settings, workload, key, seconds):
    done = subprocess.run([bench.compiled(settings, "bias"), str(workload.pid), str(seconds), "100000",
                           key], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds + 60)
    if done.returncode:
        raise bench.Skip(done.stderr.decode("utf-8", "replace").strip() or "the helper failed")
    return json.loads(done.stdout)


def bias(settings):
    settings.say("Distance of self time at 10 kHz from stops at random moments (goals from %d.%d on)" % JUDGED)
    rows = []
    for interpreter in bench.interpreters(settings):
        for name in ["W2", "W6"] if settings.quick else LOADS:
            try:
                with bench.Workload(interpreter, name, env=QUIET) as workload:
                    runs = [measure(settings, workload, LOADS[name], 2 if settings.quick else 12)]
            except bench.Skip as reason:
                rows.append([interpreter.name, name] + ["-"] * 8 + [str(reason)])
                continue
            tvd, floor, own = [bench.median([run[key] for run in runs]) for key in ("tvd", "floor", "own")]
            share = bench.median([run["target_cpu"] / run["wall"] for run in runs])
            # Halves have half the samples: what the whole has of noise is less by the root of two.
            noise = (floor ** 2 + own ** 2) ** 0.5 / 2
            goal = GOALS.get(name) if interpreter.version >= JUDGED else None
            rows.append([
                interpreter.name, name, LOADS[name], "%.3f" % tvd, "%.3f" % floor, "%.3f" % own,
                sum(run["samples"] for run in runs), sum(run["stops"] for run in runs), "%.2f" % share,
                " ".join("%s %+.3f" % (key, mine - theirs) for key, mine, theirs in runs[0]["worst"]),
                "" if goal is None else judged(tvd, noise, share, goal)])
    settings.table(["python", "load", "by", "distance", "floor", "own", "samples", "stops", "share",
                    "worst", "goal"], rows)


class Busy:
    """As many programs as processors that never rest, until the end of a `with`."""

    def __init__(self, count):
        self.count, self.programs = count, []

    def __enter__(self):
        for _ in range(self.count):
            self.programs.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        return self

    def __exit__(self, *ignored):
        for program in self.programs:
            program.kill()
        for program in self.programs:
            program.wait()


def self_check(settings, interpreter, seconds, home):
    done = subprocess.run([settings.binary, "--self-check", "--json", "-d", str(seconds), "--python",
                           *interpreter.command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=bench.clean_environment(home), timeout=2 * seconds + 60)
    if not done.stdout:
        raise bench.Skip(done.stderr.decode("utf-8", "replace").splitlines()[0])
    return json.loads(done.stdout)


def shares(settings):
    runs = 3 if settings.quick else 20
    seconds = 2 if settings.quick else 5
    settings.say("Shares against the program's own log, %d recordings of %d s at 1 kHz each (goal: %.1f points "
                 "above a perfect sampler)" % (runs, seconds, SHARE_GOAL))
    rows = []
    local = [i for i in bench.interpreters(settings) if len(i.command) == 1]
    for interpreter in local[-1:] if settings.quick else local:
        for what, busy in (("idle", 0), ("loaded", os.cpu_count())):
            try:
                with bench.scratch(settings) as home, Busy(busy):
                    got = [self_check(settings, interpreter, seconds, home)["shares"] for _ in range(runs)]
            except bench.Skip as reason:
                rows.append([interpreter.name, what] + ["-"] * 7 + [str(reason)])
                continue
            more = [100 * (one["mean_error"] - one["perfect_mean_error"]) for one in got]
            low, high = bench.bounds(more)
            share = bench.median([one["program_cpu"] / one["program_cpu_asked"] for one in got])
            rows.append([
                interpreter.name, what, runs, "%.3f" % (100 * bench.median([o["mean_error"] for o in got])),
                "%.3f" % (100 * bench.median([o["perfect_mean_error"] for o in got])),
                "%+.3f" % (sum(more) / len(more)), "%+.3f..%+.3f" % (low, high),
                "%.2f s" % sum(one["unobserved"] for one in got), "%.2f" % share,
                "met" if high <= SHARE_GOAL else "MISSED" if low > SHARE_GOAL else "inconclusive"])
    settings.table(["python", "machine", "runs", "error", "perfect", "more", "95 %", "unobserved", "share",
                    "goal"], rows)


def run(settings):
    bias(settings)
    shares(settings)
