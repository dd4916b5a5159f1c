# SPDX-License-Identifier: BSD-3-Clause
"""Compares our output with that of real pyinstrument 5.1.3, byte for byte.

usage: run.py [--fuzz COUNT] [--first SEED] [--only TEXT] [--show N] [FILE...]

Every session (hand-made, random, recorded, or the FILEs) with every option set. Masked on both
sides: group ids, the version line, marshal's encoding of pstats (its content is compared).
Where upstream fails with an uncaught error that it could avoid (FORGIVEN), we may do better.
"""

import argparse
import concurrent.futures
import glob
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import generate  # noqa: E402
import options as option_sets  # noqa: E402
import pyi  # noqa: E402
import reports  # noqa: E402
import upstream  # noqa: E402
from lab import BINARY, ROOT  # noqa: E402

RECORDED = os.path.join(ROOT, "fixtures", "sessions", "upstream")

# Uncaught errors of upstream's that a user gains nothing from: dividing by a total of zero in
# the flat table, its own recursion limit, an empty start stack, a character it cannot encode,
# a frame whose line is no number.
FORGIVEN = (b"ZeroDivisionError", b"RecursionError", b"UnicodeEncodeError", b"IndexError: pop",
            b"ValueError: invalid literal for int()")
# Session and options where we refuse what upstream only overlooks because there is no tree.
STRICTER = {("empty", ("-p", "processor_options=3"))}


class Ours:
    """Runs our program over one session at a time, in folders of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pyi-parity-")
        self.env = pyi.environment(home=os.path.join(self.folder, "store"))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, data):
        path = os.path.join(self.folder, name + ".pyisession")
        with open(path, "wb") as file:
            file.write(data)
        return path

    def run(self, path, arguments, binary=BINARY):
        work = tempfile.mkdtemp(dir=self.folder)
        outfile = None
        command = [binary]
        for argument in arguments:
            if argument.startswith("{out}"):
                argument = outfile = os.path.join(work, argument.replace("{out}", "out"))
            command.append(path if argument == "{session}" else argument)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.env, cwd="/", timeout=120)
        written = None
        if outfile is not None and os.path.exists(outfile):
            with open(outfile, "rb") as file:
                written = file.read()
        shutil.rmtree(work)
        return upstream.Answer(done.returncode, done.stdout, written, done.stderr)


def fails_by_itself(theirs):
    """Upstream ends with an uncaught error of its own: there are no bytes to compare."""
    return theirs.status == 1 and any(name in theirs.err for name in FORGIVEN)


def judge(arguments, theirs, ours, session=b""):
    """None when both agree, else the difference in words. A text report of ours shows control
    characters in names of the session as \\xNN: so does upstream's for the comparison."""
    if fails_by_itself(theirs):
        return None if ours.status in (0, 1) else "status %d where upstream fails" % ours.status
    if theirs.status != ours.status:
        return "status: upstream %d (%r), here %d (%r)" % (
            theirs.status, theirs.err[-120:], ours.status, ours.err[-200:])
    if theirs.status != 0:
        return None if ours.err else "fails without a word"
    renderer = reports.renderer_of(arguments)
    for what, a, b in (("stdout", theirs.out, ours.out), ("outfile", theirs.outfile, ours.outfile)):
        try:
            a, b = reports.masked(a, renderer), reports.masked(b, renderer)
            if a and renderer == "text":
                a = reports.with_visible_controls(a, session)
        except Exception as error:
            return "%s cannot be decoded: %s: %s" % (what, type(error).__name__, error)
        if a != b:
            return "%s: %s" % (what, reports.first_difference(a, b))
    return None


class Tally:
    def __init__(self, show):
        self.compared = self.without_answer = 0
        self.differences = []
        self.by_options = {}
        self.by_session = {}
        self.show = show

    def add(self, name, arguments, difference):
        self.compared += 1
        if difference is None:
            return
        self.differences.append((name, arguments, difference))
        for table, key in ((self.by_options, " ".join(arguments)), (self.by_session, name)):
            table[key] = table.get(key, 0) + 1
        if len(self.differences) <= self.show:
            print("DIFFERS %s: %s\n    %s" % (name, " ".join(arguments), difference), flush=True)

    def summary(self):
        lines = []
        for table, what in ((self.by_options, "options"), (self.by_session, "sessions")):
            for key, count in sorted(table.items(), key=lambda item: -item[1])[:12]:
                lines.append("%6d  %s: %s" % (count, what, key))
        return "\n".join(lines)


def recorded():
    for path in sorted(glob.glob(os.path.join(RECORDED, "*.pyisession"))):
        with open(path, "rb") as file:
            yield "recorded-" + os.path.basename(path)[: -len(".pyisession")], file.read()


def compare(sessions, choose, show=10):
    """`choose(number, name)` gives the option sets of a session. Returns the tally."""
    tally = Tally(show)
    ours = Ours()
    workers = concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2)
    try:
        with upstream.Upstream() as real:
            for number, (name, data) in enumerate(sessions):
                path = ours.write("session", data)
                sets = [option_sets.command(chosen) for chosen in choose(number, name)]
                mine = [workers.submit(ours.run, path, arguments) for arguments in sets]
                theirs = [real.ask(data, arguments) for arguments in sets]
                for arguments, their, my in zip(sets, theirs, mine):
                    if (name, tuple(arguments[:2])) in STRICTER and my.result().status == 1:
                        continue
                    tally.without_answer += fails_by_itself(their)
                    tally.add(name, arguments, judge(arguments, their, my.result(), data))
            print("%d comparisons, %d differences, %d where upstream fails by itself (%d of %d answers "
                  "remembered)" % (tally.compared, len(tally.differences), tally.without_answer,
                                   real.remembered, real.asked))
    finally:
        workers.shutdown()
        ours.close()
    return tally


def everything(number, name):
    return option_sets.EVERY


def some(number, name):
    """Five option sets for a fuzzed session; together they come round to all."""
    sets = option_sets.RENDERING
    return [sets[(number * 5 + i * 11) % len(sets)] for i in range(5)]


def fuzzed(first, count):
    for seed in range(first, first + count):
        yield "fuzz-%d" % seed, generate.encoded(generate.random_session(seed))


def files(paths):
    for path in paths:
        with open(path, "rb") as file:
            yield os.path.basename(path), file.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fuzz", type=int, default=0, help="random sessions instead of the made ones")
    parser.add_argument("--first", type=int, default=1000, help="seed of the first of them")
    parser.add_argument("--only", default="", help="sessions whose name contains this")
    parser.add_argument("--show", type=int, default=10, help="differences to print in full")
    parser.add_argument("files", nargs="*")
    chosen = parser.parse_args()
    choose = everything
    if chosen.files:
        sessions = files(chosen.files)
    elif chosen.fuzz:
        sessions, choose = fuzzed(chosen.first, chosen.fuzz), some
    else:
        sessions = [*generate.all_made(), *recorded()]
    try:
        tally = compare([s for s in sessions if chosen.only in s[0]], choose, chosen.show)
    except upstream.Unavailable as reason:
        print("cannot compare: %s" % reason)
        return 77
    print(tally.summary())
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
