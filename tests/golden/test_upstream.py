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
import reports
import run

FILES = sorted(glob.glob(os.path.join(lab.ROOT, "fixtures", "expected", "*.txt")))
SESSIONS = {**dict(generate.all_made()), **dict(run.recorded())}


@pytest.fixture(scope="module")
def ours():
    program = run.Ours()
    yield program
    program.close()


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
