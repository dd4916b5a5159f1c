# SPDX-License-Identifier: BSD-3-Clause
"""The whole product of sessions and option sets, and fuzzed sessions, against real 5.1.3."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import generate
import lab
import options
import run
import upstream

FUZZED = 2000 if lab.FULL else 200


@pytest.fixture(scope="module", autouse=True)
def real():
    try:
        return upstream.ensure()
    except upstream.Unavailable as reason:
        pytest.skip("no real pyinstrument: %s" % reason)


def words(tally):
    parts = ["%s: %s\n  %s" % (name, " ".join(args), what) for name, args, what in tally.differences[:10]]
    return "%d of %d differ\n%s\n%s" % (
        len(tally.differences), tally.compared, "\n".join(parts), tally.summary())


def test_made_sessions():
    sessions = list(generate.all_made())
    assert len(sessions) >= 60 and len(options.RENDERING) >= 30
    tally = run.compare(sessions, run.everything, show=0)
    assert not tally.differences, words(tally)


def test_recorded_sessions():
    sessions = list(run.recorded())
    assert len(sessions) >= 10
    tally = run.compare(sessions, run.everything, show=0)
    assert not tally.differences, words(tally)


def test_fuzzed_sessions():
    tally = run.compare(run.fuzzed(1000, FUZZED), run.some, show=0)
    assert not tally.differences, words(tally)
