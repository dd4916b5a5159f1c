# SPDX-License-Identifier: BSD-3-Clause
"""Sessions recorded by us load in real pyinstrument 5.1.3 and look the same there as here."""

import os
import sys

import lab
import pyi
import pytest
import reports
import upstream

sys.path.insert(0, os.path.join(lab.ROOT, "tests", "parity"))
import run as parity

PROGRAMS = os.path.join(lab.ROOT, "fixtures", "programs")
OPTIONS = [[], ["--no-unicode", "--color"], ["-t"], ["--show-all"], ["-p", "flat"], ["-r", "json"],
           ["-r", "speedscope"], ["-r", "pstats"]]


@pytest.fixture(scope="module")
def real():
    try:
        upstream.ensure()
    except upstream.Unavailable as reason:
        pytest.skip("no real pyinstrument: %s" % reason)
    with upstream.Upstream() as server:
        yield server


def compare(real, out, home, figure):
    data = out.read_bytes()
    problems = []
    for options in OPTIONS:
        theirs = real.ask(data, [*options, "--load", "{session}"])
        more = ["--idle"] if reports.renderer_of(options) == "text" else []
        mine = pyi.run(*options, *more, "--load", out, home=home, cwd="/")
        answer = upstream.Answer(mine.status, mine.out, None, mine.err)
        assert theirs.status == 0, theirs.err
        difference = parity.judge(options, theirs, answer, data)
        if difference:
            problems.append("%s: %s" % (options, difference))
    figure("recorded here (%d records), rendered by 5.1.3 and here in %d ways: %d different",
           len(pyi.Session(out).records), len(OPTIONS), len(problems))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("program", ["log_scan.py", "queens.py", "pool.py", "crawl.py"])
def test_launched(real, home, tmp_path, program, figure):
    out = tmp_path / "out.pyisession"
    run = pyi.run("--python", lab.any_one().executable, "-o", out, os.path.join(PROGRAMS, program),
                  home=home)
    assert out.exists(), run
    compare(real, out, home, figure)


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_attached(real, home, tmp_path, targets, interpreter, figure):
    # Deep threads are beyond upstream's own recursion limit, lone surrogates beyond its output.
    target = lab.start(interpreter, "stacks.py", "recursion", "mutual_recursion", "surrogate_files",
                       files=("truth.py", "situations.py"))
    targets.append(target)
    target.json()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "0.2", "-o", out, home=home)
    assert run.status == 0, run
    compare(real, out, home, figure)


def test_attached_busy(real, home, tmp_path, targets, figure):
    target = lab.start(lab.any_one(), "phases.py")
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "1", "-o", out, home=home)
    assert run.status == 0, run
    compare(real, out, home, figure)
