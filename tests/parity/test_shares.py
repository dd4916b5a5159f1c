# SPDX-License-Identifier: BSD-3-Clause
"""Shares of time against pyinstrument 5.1.3 inside the program: same program, same moments.

Both look at one run at once: the package inside it, ours from outside. That is the only way to see
the same time: the package makes each call dearer, so that a run of its own has other shares, and
on a busy machine two runs of the package agree with each other no better than this.

Shares are per function and C function below it. Two differences are on purpose and folded:

- A C function that calls Python functions back (sorted and list.sort with a key, re.sub with a
  function, open, which asks for codecs, join and sum over a generator). The package learns of
  time when something is called, and then knows only the Python function below; ours says the C
  function's name. Both count for the Python function here.
- What a function leaves behind is freed as it returns: the caller's time there, its own here.
"""

import collections
import os
import subprocess

import lab
import pyi
import pytest
import upstream

CALLS_BACK = {"sorted", "list.sort", "Pattern.sub", "open", "sum", "str.join", "bytes.join"}
WORK = ("text", "template", "classes")
SECONDS = 8


class Runs:
    def __init__(self):
        try:
            upstream.ensure()
        except upstream.Unavailable as error:
            pytest.skip("no root with pyinstrument 5.1.3: %s" % error)
        place = lab.Interpreter("upstream", "3.14.10",
                                ["chroot", upstream.ROOT_FOLDER, "/usr/bin/python3"])
        self.command = place.command
        self.folder, self.inside = lab.place(place, [os.path.join(lab.TARGETS, "shares.py")])

    def start(self, work, name):
        return lab.Target([*self.command, "-m", "pyinstrument", "-r", "session", "-o",
                           "%s/%s" % (self.inside, name), self.inside + "/shares.py", work,
                           str(SECONDS)], folder=None, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)


def shares(path):
    counts = collections.Counter()
    for stack, seconds in pyi.Session(path).records:
        names = [frame.function for frame in stack]
        if "program" not in names or names[-1].startswith("["):
            continue  # starting, ending, or a moment in which nobody looked
        stack = stack[names.index("program"):]
        if any("pyinstrument" in (frame.path or "") for frame in stack):
            continue  # the package at its own work
        leaf = stack.pop().function if stack[-1].path == "<built-in>" else None
        function = "program" if stack[-1].function in WORK else stack[-1].function
        counts[function, None if leaf in CALLS_BACK else leaf] += seconds
    total = sum(counts.values())
    assert total >= 0.5 * SECONDS, counts
    return {key: value / total for key, value in counts.items()}


def overlap(one, two):
    return sum(min(one.get(key, 0), two.get(key, 0)) for key in set(one) | set(two))


@pytest.mark.parametrize("work", WORK)
def test_shares(work, tmp_path, record_property):
    runs = Runs()
    try:
        for name in ("first", "second"):
            target = runs.start(work, name)
            try:
                target.process.wait(timeout=120)
            finally:
                target.close()
        target = runs.start(work, "both")
        try:
            ours = tmp_path / "ours"
            done = pyi.run("-q", "--pid", target.pid, "-r", "session", "-o", ours, timeout=120)
            assert done.status == 0, done
            target.process.wait(timeout=120)
        finally:
            target.close()
        first, second, theirs = [shares(os.path.join(runs.folder, name))
                                 for name in ("first", "second", "both")]
    finally:
        subprocess.run(["rm", "-rf", runs.folder], check=True)
    ours = shares(ours)
    between, found = overlap(first, second), overlap(ours, theirs)
    line = "%s: overlap with the package %.1f %%, of two runs of the package %.1f %%" % (
        work, 100 * found, 100 * between)
    record_property("figure", line)
    print(line)
    for key in sorted(set(ours) | set(theirs),
                      key=lambda key: -abs(ours.get(key, 0) - theirs.get(key, 0)))[:12]:
        print("    %s ours %.1f theirs %.1f" % (
            key, 100 * ours.get(key, 0), 100 * theirs.get(key, 0)))
    assert found >= min(0.92, between - 0.03)
