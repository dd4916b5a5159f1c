# SPDX-License-Identifier: BSD-3-Clause
"""--dump: format, choice of threads, repetition, refusals, hostile names."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import PYTHON

PROGRAM = """\
import sys, threading
def recurse(n):
    if n:
        return recurse(n - 1)
    threading.Event().wait()
class Job:
    def run(self):
        recurse(9)
def ending(gate):
    gate.wait()
def main():
    gate = threading.Event()
    for name in ("worker", "evil\\x1b[2J\\u202e\\n\\u7dda"):
        threading.Thread(target=Job().run, name=name, daemon=True).start()
    last = threading.Thread(target=ending, args=(gate,), name="ending")
    last.start()
    print("ready", flush=True)
    sys.stdin.readline()
    gate.set()
    last.join()
    print("joined", flush=True)
    sys.stdin.readline()
main()
"""


def run_states(pid):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/stat") as stat:
            yield stat.read().rpartition(")")[2].split()[0]


@pytest.fixture
def program(tool):
    script = tool.write("shop.py", PROGRAM)
    process = subprocess.Popen([PYTHON, str(script), "two words"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout.readline() == "ready\n"
    while set(run_states(process.pid)) != {"S"}:
        time.sleep(0.001)
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def blocks(text):
    """{first line: frames} of a dump."""
    found = {}
    for block in text.split("\n\n")[1:]:
        head, *rest = block.rstrip("\n").split("\n")
        found[head] = rest
    return found


def test_format(tool, program):
    done = tool.run("--dump", "--pid", program.pid)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    head = done.stdout.split("\n")[0]
    assert re.fullmatch(rf"pid {program.pid}  \S+ \S+shop\.py 'two words'   Python 3\.\d+\.\S+   "
                        r"4 threads   \d+\.\d ms to read", head), head
    found = blocks(done.stdout)
    assert re.fullmatch(rf"MainThread +{program.pid}   waiting \[(select|poll|read pipe|futex|nanosleep)\]", next(iter(found)))
    worker, = [rest for first, rest in found.items() if first.startswith("worker ")]
    names = [line.split()[0] for line in worker]
    assert names[:6] == ["lock.acquire", "Condition.wait", "Event.wait", "recurse", "recurse", "Job.run"]
    assert re.fullmatch(r"    recurse +shop\.py:5", worker[3])
    assert re.fullmatch(r"    recurse +shop\.py:4 +\u00d79", worker[4])
    places = {line.index(".py") - len(line.split()[1].split(":")[0]) for line in worker if ".py" in line}
    assert len(places) == 1, "the places stand below each other"


def test_reverse_and_full(tool, program):
    normal = tool.run("--dump", "--thread", "worker", "--pid", program.pid).stdout.split("\n")[3:-1]
    turned = tool.run("--dump", "--thread", "worker", "--reverse", "--pid", program.pid).stdout
    assert turned.split("\n")[3:-1] == normal[::-1]
    full = tool.run("--dump", "--thread", "worker", "--full", "--pid", program.pid).stdout
    assert full.count(" recurse ") == 10 and "\u00d7" not in full


def test_colour_and_characters(tool, program):
    plain = tool.run("--dump", "--no-unicode", "--pid", program.pid).stdout
    assert "    x9\n" in plain and "\u00d7" not in plain and "\x1b" not in plain
    coloured = tool.run("--dump", "--color", "--pid", program.pid).stdout
    assert "\x1b[1mMainThread\x1b[0m" in coloured and "\x1b[2mshop.py:5\x1b[0m" in coloured
    _, terminal = tool.terminal("--dump", "--pid", program.pid)
    assert "\x1b[1mMainThread" in terminal
    _, dull = tool.terminal("--dump", "--pid", program.pid, env={"NO_COLOR": "1"})
    assert "\x1b" not in dull


def test_names_cannot_steer_the_terminal(tool, program):
    done = tool.run("--dump", "--locals", "--pid", program.pid)
    assert r"evil\x1b[2J\u202e\x0a" in done.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", done.stdout)
    machine = tool.run("--dump", "--json", "--pid", program.pid).stdout
    assert machine.isascii() and "\x1b" not in machine
    assert "evil\x1b[2J\u202e\n\u7dda" in {t["name"] for t in json.loads(machine)["threads"]}


@pytest.mark.parametrize("which, names", [("main", {"MainThread"}), ("w*", {"worker"}),
                                          ("TID", {"MainThread"})])
def test_choice_of_threads(tool, program, which, names):
    which = str(program.pid) if which == "TID" else which
    done = tool.run("--dump", "--json", "--thread", which, "--pid", program.pid)
    assert {t["name"] for t in json.loads(done.stdout)["threads"]} == names


def test_no_such_thread(tool, program):
    done = tool.run("--dump", "--thread", "nobody", "--pid", program.pid)
    assert done.returncode == 5 and "nobody" not in done.stdout
    assert done.stderr.startswith("pyinstrument: error: ")


def test_repeat_prints_differences_only(tool, program):
    done = tool.run("--dump", "--repeat", "3", "--every", "50ms", "--pid", program.pid)
    assert done.returncode == 0, done.stderr
    first, second, third = re.split(r"^after \d\.\d\d s: ", done.stdout, flags=re.M)
    assert first.count(" recurse ") == 4
    assert second == "0 of 4 threads changed\n\n" and third == "0 of 4 threads changed\n"


def test_repeat_tells_of_changes_and_ends(tool, program):
    process = tool.start("--dump", "--json", "--repeat", "1000", "--every", "20ms", "--pid", program.pid)
    first = json.loads(process.stdout.readline())
    assert first["after"] == 0 and len(first["threads"]) == 4
    program.stdin.write("\n")
    assert program.stdout.readline() == "joined\n"
    for line in process.stdout:
        look = json.loads(line)
        assert all(t["name"] in ("MainThread", "ending") for t in look["threads"])
        if look["ended"]:
            assert look["ended"] == ["ending"]
            break
    program.stdin.write("\n")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert re.search("has ended|is ending", err), err


@pytest.mark.parametrize("arguments", [["--dump"], ["--dump", "script.py"], ["--locals", "--pid", "1"],
                                       ["--reverse", "x.py"], ["--repeat", "2", "--pid", "1"],
                                       ["--dump", "--every", "1", "--pid", "1"],
                                       ["--dump", "--repeat", "0", "--pid", "1"],
                                       ["--dump", "--repeat", "x", "--pid", "1"],
                                       ["--dump", "-o", "f", "--pid", "1"], ["--json", "--pid", "1"],
                                       ["--dump", "--ps", "--pid", "1"], ["--ps", "x.py"],
                                       ["--dump", "--pid", "1", "x.py"]])
def test_usage(tool, arguments):
    done = tool.run(*arguments)
    assert done.returncode == 2 and done.stdout == "", done
    assert "error: " in done.stderr


def test_a_stopped_process_does_not_hold_us_up(tool, program):
    program.send_signal(signal.SIGSTOP)
    while set(run_states(program.pid)) != {"T"}:
        time.sleep(0.001)
    done = tool.run("--dump", "--json", "--pid", program.pid)
    told = json.loads(done.stdout)
    assert {t["state"] for t in told["threads"]} == {"stopped"} and told["seconds"] < 5
    assert all(t["consistent"] for t in told["threads"])
    program.send_signal(signal.SIGCONT)


def test_the_child_that_is_python_is_named(tool):
    shell = subprocess.Popen(["/bin/sh", "-c", f"{PYTHON} -c 'print(0, flush=True); input()'; true"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert shell.stdout.readline() == "0\n"
        with open(f"/proc/{shell.pid}/task/{shell.pid}/children") as children:
            child = children.read().split()[0]
        done = tool.run("--dump", "--pid", shell.pid)
        assert done.returncode == 3
        assert f"--dump --pid {child}" in done.stderr
    finally:
        shell.stdin.close()
        shell.wait()
        shell.stdout.close()


def test_not_python(tool):
    process = subprocess.Popen(["sleep", "60"])
    try:
        done = tool.run("--dump", "--pid", process.pid)
        assert done.returncode == 3 and done.stdout == "", done.stderr
        assert "is not running Python" in done.stderr
        told = json.loads(tool.run("--dump", "--json-errors", "--pid", process.pid).stderr)
        assert (told["code"], told["exit"]) == ("not-python", 3)
    finally:
        process.kill()
        process.wait()


def test_no_process(tool):
    process = subprocess.Popen(["true"])
    process.wait()
    done = tool.run("--dump", "--pid", process.pid)
    assert done.returncode == 5 and done.stdout == ""
    assert f"no process with PID {process.pid}" in done.stderr
