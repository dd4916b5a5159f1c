# SPDX-License-Identifier: BSD-3-Clause
"""The whole product of sessions and option sets, and fuzzed sessions, against real 5.1.3."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import generate
import lab
import options
import record
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


def agree(figure, what, sessions, sets, tally):
    figure("parity, %s: %d sessions × %d option sets = %d comparisons, %d different (%d of them where 5.1.3 "
           "fails by itself and only the status counts)", what, sessions, sets, tally.compared,
           len(tally.differences), tally.without_answer)
    assert not tally.differences, words(tally)


def test_there_are_enough(figure):
    """At least 60 sessions, 10 of them of different real programs on all of 3.8 to 3.15."""
    made, recorded = list(generate.all_made()), list(run.recorded())
    names = {name for name, _ in recorded}
    kept = [r for r in record.RECORDINGS if "recorded-" + r[0] in names]
    programs = {next(word for word in arguments if not word.startswith("-")) for _, _, arguments in kept}
    versions = {version for _, version, _ in kept}
    figure("parity: %d made and %d recorded sessions of %d programs on %s; %d option sets", len(made),
           len(recorded), len(programs), " ".join(sorted(versions, key=lambda v: int(v[2:]))),
           len(options.EVERY))
    assert len(kept) == len(recorded)
    assert len(made) + len(recorded) >= 60
    assert len(programs) >= 10
    assert versions == {"3.%d" % minor for minor in range(8, 16)}
    assert len(options.RENDERING) >= 30
    assert len({tuple(chosen) for chosen in options.EVERY}) == len(options.EVERY)


def test_made_sessions(figure):
    sessions = list(generate.all_made())
    agree(figure, "made", len(sessions), len(options.EVERY), run.compare(sessions, run.everything, show=0))


def test_recorded_sessions(figure):
    sessions = list(run.recorded())
    agree(figure, "recorded", len(sessions), len(options.EVERY),
          run.compare(sessions, run.everything, show=0))


def test_fuzzed_sessions(figure):
    agree(figure, "fuzzed", FUZZED, 5, run.compare(run.fuzzed(1000, FUZZED), run.some, show=0))


def test_line_beyond_64_bits():
    """The documented difference: printed there, left out here, everything else equal."""
    digits = b"18446744073709551615"
    info = "f\x00/srv/app/m.py\x00" + digits.decode()
    data = generate.encoded(generate.session([(generate.under(info), 0.5)]))
    arguments = options.command([])
    program = run.Ours()
    try:
        mine = program.run(program.write("session", data), arguments)
        with upstream.Upstream() as real:
            theirs = real.ask(data, arguments)
    finally:
        program.close()
    assert b":" + digits in theirs.out and digits not in mine.out
    theirs.out = theirs.out.replace(b":" + digits, b"")
    assert run.judge(arguments, theirs, mine) is None
