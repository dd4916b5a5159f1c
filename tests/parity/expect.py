# SPDX-License-Identifier: BSD-3-Clause
"""Writes fixtures/expected: answers of real 5.1.3 for a small part of the comparison.

usage: expect.py
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import generate  # noqa: E402
import golden  # noqa: E402
import options as option_sets  # noqa: E402
import reports  # noqa: E402
import run  # noqa: E402
import upstream  # noqa: E402
from lab import ROOT  # noqa: E402

FOLDER = os.path.join(ROOT, "fixtures", "expected")
# These get every option set, the others a share that rotates.
WHOLE = {"worked-example", "group-example", "recorded-words-3.14"}
LEFT_OUT = {"siblings", "recursion-300", "nan-time", "infinite-time"}
LARGEST = 30_000


def chosen_sets(number, name):
    if name in WHOLE:
        return option_sets.EVERY
    sets = option_sets.RENDERING
    if name.startswith("bad-"):
        return [sets[0], ["-r", "json"], ["-o", "{out}.pyisession"]]
    if name.startswith("recorded-"):
        return [*option_sets.TEN, *(s for s in sets[number % 5 :: 5] if s not in option_sets.TEN)]
    return [sets[0], *(sets[(number * 7 + i * 5) % len(sets)] for i in range(6))]


def answers(real, number, name, data):
    for chosen in chosen_sets(number, name):
        arguments = option_sets.command(chosen)
        answer = real.ask(data, arguments)
        if answer.status == 1 and any(error in answer.err for error in run.FORGIVEN):
            continue
        renderer = reports.renderer_of(arguments)
        kind = "stdout" if answer.outfile is None else "outfile"
        body = answer.out if answer.outfile is None else answer.outfile
        body = reports.masked(body, renderer) if answer.status == 0 else b""
        if renderer == "text":
            body = reports.with_visible_controls(body, data)
        if len(body) <= LARGEST:
            yield answer.status, kind, arguments, body


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for old in os.listdir(FOLDER):
        if old.endswith(".txt"):
            os.unlink(os.path.join(FOLDER, old))
    total = 0
    with upstream.Upstream() as real:
        for number, (name, data) in enumerate([*generate.all_made(), *run.recorded()]):
            if name in LEFT_OUT:
                continue
            path = os.path.join(FOLDER, name + ".txt")
            golden.write(path, answers(real, number, name, data))
            total += os.path.getsize(path)
    print("%d bytes" % total)


if __name__ == "__main__":
    main()
