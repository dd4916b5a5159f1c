# SPDX-License-Identifier: BSD-3-Clause
"""Our output against answers of real pyinstrument 5.1.3 that are kept in fixtures/expected."""

import glob
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "parity"))
import generate
import golden
import lab
import options as option_sets
import reports
import run

FILES = sorted(glob.glob(os.path.join(lab.ROOT, "fixtures", "expected", "*.txt")))
SESSIONS = {**dict(generate.all_made()), **dict(run.recorded())}


@pytest.fixture(scope="module")
def ours():
    program = run.Ours()
    yield program
    program.close()


def test_ten_recorded_sessions(figure):
    """At least ten sessions of real pyinstrument, each as Unicode and ASCII, in colour, flat, percent,
    short, show-all and timeline: the same bytes. (What is in the files is compared below.)"""
    recorded = [file for file in FILES if os.path.basename(file).startswith("recorded-")]
    count = 0
    for file in recorded:
        kept = [arguments for status, _, arguments, _ in golden.read(file) if status == 0]
        missing = [chosen for chosen in option_sets.TEN if option_sets.command(chosen) not in kept]
        assert not missing, (file, missing)
        count += len(kept)
    assert len(recorded) >= 10
    figure("golden: %d sessions recorded by 5.1.3, %d answers of it", len(recorded), count)


def test_there_are_enough():
    assert len(FILES) >= 60


@pytest.mark.parametrize("file", FILES, ids=lambda path: os.path.basename(path)[:-4])
def test_expected(ours, file):
    path = ours.write("session", SESSIONS[os.path.basename(file)[:-4]])
    problems = []
    for status, kind, arguments, expected in golden.read(file):
        answer = ours.run(path, arguments)
        found = answer.out if kind == "stdout" else answer.outfile
        if answer.status != status:
            problems.append("%s: status %d, not %d: %r" % (
                " ".join(arguments), answer.status, status, answer.err[-200:]))
        elif status == 0:
            found = reports.masked(found, reports.renderer_of(arguments))
            if found != expected:
                problems.append("%s: %s" % (
                    " ".join(arguments), reports.first_difference(expected, found)))
        elif not answer.err:
            problems.append("%s: fails without a word" % " ".join(arguments))
    assert not problems, "%d differ\n%s" % (len(problems), "\n".join(problems[:5]))
