# SPDX-License-Identifier: BSD-3-Clause
"""--ps: finds what runs Python, says what can be profiled, shows hostile words safely."""
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile

import pytest

from conftest import BINARY, PYTHON

SLEEP = "import sys; print('ready', flush=True); sys.stdin.readline()"


@pytest.fixture
def start():
    """Starts a command that prints "ready"; all are ended at the end."""
    started = []

    def begin(*command, **options):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def version():
    done = subprocess.run([PYTHON, "-c", "import platform; print(platform.python_version())"],
                          capture_output=True, text=True)
    return done.stdout.strip()


def row_of(tool, pid):
    """(cells, rest of the line) of a process in the table; None when it is not there."""
    done = tool.run("--ps")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    header, *lines = done.stdout.splitlines()
    assert header.split() == "PID USER PYTHON CPU % AGE CAN PROFILE COMMAND".split()
    pids = [int(line.split()[0]) for line in lines]
    assert pids == sorted(pids)
    at = header.index("COMMAND")
    for line in lines:
        if int(line.split()[0]) == pid:
            return line[:at].split(), line[at:]
    return None


def test_finds_a_python(tool, start):
    process = start(PYTHON, "-c", SLEEP, "two words")
    (pid, user, python, cpu, age, can), command = row_of(tool, process.pid)
    assert (python, can) == (version(), "yes")
    assert float(cpu) >= 0 and re.fullmatch(r"\d+s", age)
    assert command.startswith(PYTHON) and command.endswith("'two words'")


def test_json(tool, start):
    process = start(PYTHON, "-c", SLEEP)
    done = tool.run("--ps", "--json")
    assert done.returncode == 0, done.stderr
    entry, = [e for e in json.loads(done.stdout) if e["pid"] == process.pid]
    assert entry["python"] == version() and entry["can_profile"] == "yes" and entry["uid"] == os.getuid()
    assert PYTHON in entry["command"] and entry["age"] >= 0 and entry["cpu_percent"] >= 0


def test_others_are_not_listed(tool):
    process = subprocess.Popen(["sleep", "60"])
    try:
        assert row_of(tool, process.pid) is None
        assert row_of(tool, os.getppid()) is None or "python" in os.readlink(f"/proc/{os.getppid()}/exe")
    finally:
        process.kill()
        process.wait()


def test_a_program_that_is_not_called_python(tool, start):
    """Neither its name nor its libraries say so, only its symbols."""
    source = os.path.realpath(PYTHON)
    copy = tool.folder / "server"
    shutil.copy(source, copy)
    env = dict(os.environ, PYTHONHOME=subprocess.run(
        [PYTHON, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True).stdout.strip())
    process = start(str(copy), "-S", "-c", SLEEP, env=env)
    (_, _, python, _, _, can), command = row_of(tool, process.pid)
    assert (python, can) == (version(), "yes") and "server" in command


def test_arguments_cannot_steer_the_terminal(tool, start):
    process = start(PYTHON, "-c", SLEEP, "\x1b]0;x\x07\u202e\u7dda\n")
    done = tool.run("--ps")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)
    _, command = row_of(tool, process.pid)
    assert r"\x1b]0;x\x07\u202e" in command
    machine = tool.run("--ps", "--json").stdout
    assert machine.isascii()
    entry, = [e for e in json.loads(machine) if e["pid"] == process.pid]
    assert "\x1b]0;x\x07\u202e\u7dda\n" in entry["command"]


def test_a_command_is_cut_to_the_terminal(tool, start):
    process = start(PYTHON, "-c", SLEEP, "\u7dda" * 300)
    _, text = tool.terminal("--ps")
    line, = [line for line in text.split("\n") if line.split() and line.split()[0] == str(process.pid)]
    assert line.endswith("...") and len(line) <= 80


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become another user")
def test_another_user_needs_sudo(tool, start):
    process = start(PYTHON, "-c", SLEEP)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = shutil.copy(BINARY, folder)
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", copy,
                               "--ps", "--json"], capture_output=True, text=True, timeout=30, cwd="/")
    entry, = [e for e in json.loads(done.stdout) if e["pid"] == process.pid]
    assert entry["can_profile"] == "sudo" and entry["code"] == "ptrace-uid", entry
    assert "python" not in entry


def test_what_cannot_be_profiled_says_why(tool, start):
    """A program that is called pypy and holds no CPython is another implementation."""
    fake = tool.folder / "pypy3"
    shutil.copy("/bin/sh", fake)
    process = start(str(fake), "-c", "echo ready; read line; true")
    (_, _, python, _, _, *can), _ = row_of(tool, process.pid)
    assert (python, can) == ("?", ["no", "(not-cpython)"])


def test_it_is_cheap(tool, start):
    """At most 50 ms of CPU on a machine with a hundred processes."""
    ours = [start(PYTHON, "-c", SLEEP) for _ in range(10)]
    others = [subprocess.Popen(["sleep", "60"]) for _ in range(60)]
    try:
        costs = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = tool.run("--ps", "--json")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        listed = {e["pid"] for e in json.loads(done.stdout)}
        assert listed >= {p.pid for p in ours} and not listed & {p.pid for p in others}
        processes = sum(name.isdigit() for name in os.listdir("/proc"))
        assert min(costs) <= 0.050 * max(1, processes / 100), (costs, processes)
    finally:
        for process in others:
            process.kill()
            process.wait()
