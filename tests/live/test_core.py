# SPDX-License-Identifier: BSD-3-Clause
"""--core against what the target said of itself before it was dumped, by the kernel and by gcore."""

import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import lab
import pyi
import pytest

FILES = ("truth.py", "situations.py")


def entry(frame):
    return [frame["function"], frame["file"], frame["first_line"], frame["line"], frame.get("class"),
            frame["count"]]


def compare(truth, seen):
    threads = {t["ident"]: t for t in seen["threads"] if t["interpreter"] == 0}
    wrong = []
    for told in truth["threads"]:
        thread = threads.get(told["ident"])
        want = [e[:5] + e[6:] for e in told["stack"]]
        have = [entry(f) for f in thread["frames"] if f["first_line"] > 0] if thread else None
        if want != have:
            wrong.append((told["name"], [p for p in zip(want, have or []) if p[0] != p[1]][:1]))
        elif told["name"] and thread["name"] != told["name"]:
            wrong.append((told["name"], thread["name"]))
    assert not wrong, wrong


def look(core, *options, home):
    run = pyi.run("--core", core, "--json", *options, home=home)
    assert run.status == 0 and run.errors == "", run
    return json.loads(run.out)


def plain_pattern():
    with open("/proc/sys/kernel/core_pattern") as file:
        return file.read().strip() in ("core", "core.%p")


def allow_cores(pid=0):
    hard = resource.prlimit(pid, resource.RLIMIT_CORE)[1]
    if hard != resource.RLIM_INFINITY:
        pytest.skip("core dumps are limited here")
    resource.prlimit(pid, resource.RLIMIT_CORE, (hard, hard))


def found_core(folder, before):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        cores = [n for n in os.listdir(folder) if n.startswith("core") and n not in before]
        if cores:
            return os.path.join(folder, cores[0])
        time.sleep(0.02)
    raise AssertionError("no core dump in %s" % folder)


@pytest.fixture(scope="module", params=lab.supported(), ids=repr)
def dumped(request, tmp_path_factory):
    """What a target said, and the core that the kernel made of it then."""
    if not plain_pattern():
        pytest.skip("the kernel hands core dumps to another program")
    home = tmp_path_factory.mktemp("home")
    target = lab.start(request.param, "stacks.py", files=FILES)
    try:
        truth = target.json()
        target.wait_asleep()
        folder = os.readlink("/proc/%d/cwd" % target.pid)
        kept = str(home / "core")
        allow_cores(target.pid)
        with open(os.path.join(tempfile.gettempdir(), "pyi-core.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # all cores of a folder have one name
            before = os.listdir(folder)
            os.kill(target.pid, signal.SIGABRT)
            target.process.wait(120)
            shutil.move(found_core(folder, before), kept)
        yield request.param, truth, kept, home
        os.unlink(kept)
    finally:
        target.close()


def test_stacks_are_what_the_target_said(dumped):
    interpreter, truth, core, home = dumped
    if interpreter.root:
        pytest.skip("its files lie in another root: see the test below")
    seen = look(core, "--reverse", home=home)
    assert seen["python"].startswith(interpreter.text)
    compare(truth, seen)
    for thread in seen["threads"]:
        assert thread["state"] in ("", "holds the GIL") and thread["consistent"], thread
    assert "locals" in look(core, "--locals", home=home)["threads"][0]["frames"][0]


def test_files_that_are_not_here_are_named(dumped):
    """What ran in another root names files as it saw them there."""
    interpreter, truth, core, home = dumped
    if not interpreter.root:
        pytest.skip("its files are here")
    run = pyi.run("--core", core, "--json", "--reverse", home=home)
    assert run.status == 3, run
    found = re.search(r"leaves out what is in (\S+), and that is (not here|another file now)", run.errors)
    assert found, run
    compare(truth, look(core, "--reverse", "--libpython", interpreter.root + found.group(1), home=home))


CRASH = """
import os, sys, threading, time
def leaf(word):
    if sys.argv[1:]:
        os.abort()
    print("ready", flush=True)
    while True:
        pass
def f(n):
    return f(n - 1) if n else leaf('given')
event = threading.Event()
threading.Thread(target=event.wait, name="waits", daemon=True).start()
f(5)
"""


def check_crash(core, home):
    seen = look(core, "--locals", home=home)
    frames = seen["threads"][0]["frames"]
    named = [(f["function"], f["count"]) for f in frames if f["first_line"] > 0]
    assert named == [("leaf", 1), ("f", 6), ("<module>", 1)]
    assert seen["threads"][0]["gil"] == "holder"
    leaf = next(f for f in frames if f["function"] == "leaf")
    assert {"name": "word", "value": "'given'"} in leaf["locals"]
    assert [t["name"] for t in seen["threads"]][1:] == ["waits"]
    assert [f["function"] for f in seen["threads"][1]["frames"]][-1] == "Thread._bootstrap"[7:]


@pytest.mark.skipif(not plain_pattern(), reason="the kernel hands core dumps to another program")
def test_a_program_that_aborts(tmp_path):
    script = tmp_path / "crash.py"
    script.write_text(CRASH)
    process = subprocess.Popen(["/usr/bin/python3", script, "abort"], cwd=tmp_path,
                               stdin=subprocess.DEVNULL, preexec_fn=allow_cores)
    assert process.wait(60) == -signal.SIGABRT
    check_crash(found_core(tmp_path, ["crash.py"]), tmp_path)


def test_of_a_program_that_goes_on(tmp_path):
    """gcore leaves out other parts than the kernel does."""
    if shutil.which("gcore") is None:
        pytest.skip("gcore (of gdb) is not installed")
    script = tmp_path / "crash.py"
    script.write_text(CRASH)
    process = subprocess.Popen(["/usr/bin/python3", script], cwd=tmp_path, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        done = subprocess.run(["gcore", "-o", "gcore", str(process.pid)], cwd=tmp_path, timeout=120,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, done
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    check_crash(tmp_path / f"gcore.{process.pid}", tmp_path)


def test_what_is_no_core(tmp_path):
    for path, word in ((os.devnull, "it is no core dump"), (tmp_path / "absent", "cannot open"),
                       (lab.BINARY, "it is no core dump")):
        run = pyi.run("--core", path, home=tmp_path)
        assert run.status == 1 and word in run.errors, run
    run = pyi.run("--core", os.devnull, "--pid", 1, home=tmp_path)
    assert run.status == 2 and "--core cannot be combined with --pid" in run.errors
