# SPDX-License-Identifier: BSD-3-Clause
"""Ends of either side in the middle of a recording: nobody is harmed, everybody gets a report."""

import os
import random
import signal
import time

import lab
import pyi
import pytest

KILLS = 200 if lab.FULL else 10
ROUNDS = 25 if lab.FULL else 1


class Counter:
    def __init__(self, targets, tmp_path, interpreter=None, threads=0):
        self.interpreter = interpreter or lab.any_one()
        folder, inside = lab.place(self.interpreter, [])
        self.path = os.path.join(folder, "count")
        self.target = lab.start(self.interpreter, "counter.py", os.path.join(inside, "count"), threads)
        self.folder = folder
        targets.append(self)
        assert self.target.line() == b"ready"
        self.pid = self.target.pid

    def close(self):
        self.target.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        os.rmdir(self.folder)

    def value(self):
        with open(self.path, "rb") as file:
            return int(file.read() or b"0")

    def must_advance(self, within=1.0):
        before, deadline = self.value(), time.monotonic() + within
        while time.monotonic() < deadline:
            if self.value() > before:
                return
            time.sleep(0.005)
        raise AssertionError("the counter stands still: %r" % self.target.status()["State"])

    def must_be_undisturbed(self):
        status = self.target.status()
        assert status["State"][0] in "RSD", status["State"]
        assert status["TracerPid"] == "0"
        self.must_advance()


@pytest.mark.timeout(1200)
def test_profiler_killed(targets, tmp_path, home, figure):
    """SIGKILL at random moments, from before the attach to deep inside the recording."""
    counter = Counter(targets, tmp_path, threads=2)
    dice = random.Random(20)
    for number in range(KILLS):
        out = tmp_path / ("%d.pyisession" % number)
        process = pyi.start("--pid", counter.pid, "-d", "60", "-o", out, home=home)
        time.sleep(dice.random() ** 2 * 0.3)
        assert process.poll() is None, pyi.finish(process)
        process.kill()
        pyi.finish(process)
        counter.must_be_undisturbed()
        assert not out.exists(), "a killed recording left a file that looks finished"
    figure("%d SIGKILLs of the profiler: target alive, untraced and advancing after each", KILLS)


def report_of(out):
    session = pyi.Session(out)
    threads = [(t["name"], t["samples"], t["records"]) for t in session.attach["threads"]]
    assert session.raw["sample_count"] > 0, session.attach
    assert session.seconds_with("main") > 0, (session.raw["duration"], threads, session.records[:2])
    return session


def ended_report(counter, home, out, disturb):
    """Records, disturbs the target once samples come in, and returns the finished run."""
    process = pyi.start("--pid", counter.pid, "-d", "30", "-o", out, home=home)
    pyi.wait_ticking(process)
    disturb()
    return pyi.finish(process, timeout=20)


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
@pytest.mark.parametrize("how", ["killed", "exits", "fails"])
def test_target_ends(targets, tmp_path, home, interpreter, how, figure):
    orders = {"exits": b"exit 0\n", "fails": b"exit 7\n"}
    for number in range(ROUNDS):
        counter = Counter(targets, tmp_path, interpreter)
        out = tmp_path / ("%s-%d.pyisession" % (how, number))

        def disturb():
            if how == "killed":
                os.kill(counter.pid, signal.SIGKILL)
            else:
                counter.target.say(orders[how])

        run = ended_report(counter, home, out, disturb)
        assert run.status == 0, run
        session = report_of(out)
        assert session.raw["duration"] < 25
        assert str(counter.pid) in run.errors, "not a word about the end of the target: %r" % run
        targets.pop().close()
    figure("target %s in mid-recording, %s: %d times a report and status 0", how, interpreter, ROUNDS)


def test_target_is_reaped_while_recording(targets, tmp_path, home):
    counter = Counter(targets, tmp_path)
    out = tmp_path / "out.pyisession"
    process = pyi.start("--pid", counter.pid, "-d", "30", "-o", out, home=home)
    pyi.wait_ticking(process)
    os.kill(counter.pid, signal.SIGKILL)
    counter.target.process.wait(timeout=10)
    run = pyi.finish(process, timeout=20)
    assert run.status == 0, run
    report_of(out)


@pytest.mark.timeout(900)
def test_target_becomes_another_program(targets, tmp_path, home, figure):
    for number in range(ROUNDS * 4):
        counter = Counter(targets, tmp_path)
        out = tmp_path / ("%d.pyisession" % number)
        run = ended_report(
            counter, home, out, lambda: counter.target.say(b"exec /bin/sleep 60\n"))
        assert run.status == 0, run
        assert report_of(out).raw["duration"] < 25
        assert "sleep" in run.errors, run
        targets.pop().close()
    figure("target exec'd in mid-recording: %d times a report and status 0", ROUNDS * 4)


def test_target_becomes_another_python(targets, tmp_path, home):
    """The same session goes on in the new interpreter, with a note."""
    others = [i for i in lab.local() if i.version != lab.any_one().version]
    if not others:
        pytest.skip("needs two local interpreters")
    for number in range(ROUNDS):
        counter = Counter(targets, tmp_path)
        script = tmp_path / "second.py"
        script.write_text("def after():\n    sum(range(1000))\nwhile True:\n    after()\n")
        out = tmp_path / ("%d.pyisession" % number)
        order = "exec %s %s\n" % (others[-1].executable, script)
        process = pyi.start("--pid", counter.pid, "-d", "2.5", "-o", out, home=home)
        pyi.wait_ticking(process)
        counter.target.say(order.encode())
        run = pyi.finish(process, timeout=20)
        assert run.status == 0, run
        session = report_of(out)
        assert session.seconds_with("after") > 0.2, run
        assert session.attach["notes"], "no note in the session"
        targets.pop().close()


def test_target_forks(targets, tmp_path, home, figure):
    for number in range(ROUNDS * 4):
        counter = Counter(targets, tmp_path)
        out = tmp_path / ("%d.pyisession" % number)
        process = pyi.start("--pid", counter.pid, "-d", "1.2", "-o", out, home=home)
        pyi.wait_ticking(process, 5)
        counter.target.say(b"fork\n")
        assert counter.target.line() == b"forked"
        run = pyi.finish(process, timeout=20)
        assert run.status == 0, run
        report_of(out)
        counter.must_be_undisturbed()
        targets.pop().close()
    figure("target forked in mid-recording: %d times a report and status 0", ROUNDS * 4)


def test_interrupt_ends_the_recording(targets, tmp_path, home):
    counter = Counter(targets, tmp_path)
    process = pyi.start("--pid", counter.pid, home=home)
    pyi.wait_ticking(process)
    process.send_signal(signal.SIGINT)
    run = pyi.finish(process, timeout=20)
    assert run.status == 0, run
    assert "work" in run.text and "--load-prev" in run.text, run
    assert len(list((home / "pyinstrument" / "reports").iterdir())) == 1
    counter.must_be_undisturbed()


def test_terminate_leaves_the_target_alone(targets, tmp_path, home):
    counter = Counter(targets, tmp_path)
    process = pyi.start("--pid", counter.pid, home=home)
    pyi.wait_ticking(process)
    process.send_signal(signal.SIGTERM)
    pyi.finish(process, timeout=20)
    counter.must_be_undisturbed()


@pytest.mark.parametrize("text, seconds", [("0.4", 0.4), ("1s", 1.0), ("0.01m", 0.6)])
def test_duration(targets, tmp_path, home, text, seconds):
    counter = Counter(targets, tmp_path)
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", counter.pid, "-d", text, "-o", out, home=home)
    assert run.status == 0, run
    assert seconds - 0.01 <= report_of(out).raw["duration"] < seconds + 1


def test_stopped_target_stays_stopped(targets, tmp_path, home):
    """A target that somebody stopped is readable, and is still stopped afterwards."""
    counter = Counter(targets, tmp_path)
    os.kill(counter.pid, signal.SIGSTOP)
    try:
        out = tmp_path / "out.pyisession"
        run = pyi.run("--pid", counter.pid, "-d", "0.3", "-o", out, home=home)
        assert run.status == 0, run
        assert counter.target.status()["State"].startswith("T")
        assert pyi.Session(out).raw["sample_count"] > 0
    finally:
        os.kill(counter.pid, signal.SIGCONT)
    counter.must_be_undisturbed()


def test_start_and_stop_storm(targets, tmp_path, home):
    """Threads that come and go while we look."""
    code = """
import threading
def brief(): sum(range(2000))
print("ready", flush=True)
while True:
    threads = [threading.Thread(target=brief) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
"""
    target = lab.start_code(lab.any_one(), code)
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "1", "-o", out, home=home)
    assert run.status == 0, run
    assert pyi.Session(out).seconds_with("brief") >= 0
    assert target.process.poll() is None


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_brief_threads_have_ids(targets, tmp_path, home, interpreter):
    """The kernel's id is known even of threads that are gone before anyone can list them, and none
    of them passes for the main thread."""
    code = """
import threading
def brief(): sum(range(20000))
print("ready", flush=True)
while True:
    threads = [threading.Thread(target=brief) for _ in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
"""
    target = lab.start_code(interpreter, code)
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "0.5", "-o", out, home=home)
    assert run.status == 0, run
    threads = pyi.Session(out).attach["threads"]
    # One that ends while it is being looked at has no id any more; that is rare.
    assert len([t for t in threads if not t["tid"]]) <= 2 + len(threads) // 50, threads
    assert [t["tid"] for t in threads if t["name"] == "MainThread"] == [target.pid]


def test_first_thread_has_ended(targets, tmp_path, home):
    """A process whose first thread has ended looks like a zombie but runs on."""
    code = """
import ctypes, sys, threading, time
def work():
    while True: sum(range(100))
threading.Thread(target=work).start()
print("ready", flush=True)
sys.stdin.readline()
ctypes.CDLL(None).syscall(ctypes.c_long(%d), 0)
"""
    number = {"x86_64": 60, "aarch64": 93}[os.uname().machine]  # exit, of one thread
    target = lab.start_code(lab.any_one(), code % number)
    targets.append(target)
    target.line()
    during = pyi.start("--pid", target.pid, "-d", "2", "-o", tmp_path / "during.pyisession", home=home)
    pyi.wait_ticking(during)
    target.say(b"now\n")
    run = pyi.finish(during, timeout=20)
    assert run.status == 0, run
    session = pyi.Session(tmp_path / "during.pyisession")
    assert session.raw["duration"] > 1.9, run
    assert session.seconds_with("work") > 1, run
    assert target.status()["State"].startswith("Z")
    run = pyi.run("--pid", target.pid, "-d", "0.3", "-o", tmp_path / "after.pyisession", home=home)
    assert run.status == 0, run
    assert pyi.Session(tmp_path / "after.pyisession").seconds_with("work") > 0.2, run
