# SPDX-License-Identifier: BSD-3-Clause
"""--self-check: measures, says what it found, and its status agrees with it."""
import json
import signal
import subprocess
import time

import pytest

from conftest import LIMIT, PYTHON

PHASES = ["arithmetic", "calls", "builtins", "callbacks", "generators", "exceptions", "sleep"]
BOUNDS = ["shares", "impossible", "lost", "truncated", "cpu"]


def agrees(status, result, exceeded):
    """A busy machine may keep the program from running, which shows nothing; all else is wrong."""
    if result == "inconclusive":
        assert "cpu" in exceeded and not {"impossible", "lost", "truncated"} & exceeded
        assert status == 1
    else:
        assert (status, result, exceeded) == (0, "ok", set())


def test_json(tool):
    done = tool.run("--self-check", "--python", PYTHON, "-d", "1", "--json")
    found = json.loads(done.stdout)
    assert done.stderr == ""
    assert [bound["name"] for bound in found["bounds"]] == BOUNDS
    agrees(done.returncode, found["result"],
           {bound["name"] for bound in found["bounds"] if not bound["met"]})
    shares, stacks = found["shares"], found["stacks"]
    assert [phase["name"] for phase in shares["phases"]] == PHASES
    logged = sum(phase["logged"] for phase in shares["phases"])
    recorded = sum(phase["recorded"] for phase in shares["phases"])
    observed = shares["seconds"] - shares["unobserved"]
    assert logged == pytest.approx(observed, rel=0.05)
    assert recorded == pytest.approx(observed, rel=0.05)
    assert stacks["samples"] > 100 and stacks["impossible"] == 0
    assert stacks["deepest"] > 50
    for half in (shares, stacks):
        assert 0 < half["us_per_sample"] < 1000 and 0 < half["core"] <= 1
        assert half["reads_per_sample"] >= 1


def test_text(tool):
    done = tool.run("--self-check", "--python", PYTHON, "-d", "0.5")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("pyinstrument ") and "self-check with Python 3." in lines[0]
    for name in PHASES:
        assert any(line.split()[:1] == [name] for line in lines), name
    last = "Within all bounds." if done.returncode == 0 else "Inconclusive: "
    assert any(line.startswith(last) for line in lines), done.stdout
    exceeded = {line.split(":")[0].strip() for line in lines
                if line.startswith("  ") and line.split(":")[0].strip() in BOUNDS}
    agrees(done.returncode, "ok" if done.returncode == 0 else "inconclusive", exceeded)


def test_the_shortest(tool):
    """The log has whole rounds of the program, however soon it is told to end."""
    done = tool.run("--self-check", "--python", PYTHON, "-d", "0.001", "--json")
    assert done.stderr == ""
    assert [phase["name"] for phase in json.loads(done.stdout)["shares"]["phases"]] == PHASES


def test_no_such_interpreter(tool):
    done = tool.run("--self-check", "--python", "/nowhere/python3")
    assert done.returncode == 1 and done.stdout == ""
    assert "cannot start /nowhere/python3" in done.stderr and "try:" in done.stderr


@pytest.mark.parametrize("words", ["exit 3", "echo hello"])
def test_no_python(tool, words):
    path = tool.write("python3", "#!/bin/sh\n%s\n" % words)
    path.chmod(0o755)
    done = tool.run("--self-check", "--json-errors", "--python", path)
    assert done.returncode == 1 and done.stdout == ""
    assert json.loads(done.stderr)["code"] == "self-check-program"


def test_not_with_another_command(tool):
    done = tool.run("--self-check", "--pid", "1")
    assert done.returncode == 2 and "--self-check cannot be combined with --pid" in done.stderr


def children(pid):
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]


def test_interrupted_it_leaves_nothing_running(tool):
    process = tool.start("--self-check", "--python", PYTHON, "-d", "60")
    end = time.monotonic() + LIMIT
    while not (program := children(process.pid)):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT)
    assert process.returncode == -signal.SIGINT
    # It notices the end of its input.
    while subprocess.run(["ps", "-o", "stat=", "-p", str(program[0])],
                         capture_output=True).stdout.strip()[:1] not in (b"", b"Z"):
        assert time.monotonic() < end
        time.sleep(0.05)
