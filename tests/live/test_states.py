# SPDX-License-Identifier: BSD-3-Clause
"""What threads were doing: states, system calls, the lock's holder, the collector, exceptions."""

import contextlib
import os
import re
import shutil
import subprocess

import lab
import pyi
import pytest

UNKNOWN, RUNNING, WAITING, GIL = range(4)
VERSIONS = pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)


def go_first():
    """Before others that want the processor, where that is allowed."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def delays(target):
    """Seconds for which threads of the target were ready to run and had no CPU: those count as
    running, whatever they are about to do."""
    found = {}
    for tid in os.listdir("/proc/%d/task" % target.pid):
        with contextlib.suppress(OSError), open("/proc/%d/task/%s/schedstat" % (target.pid, tid)) as file:
            found[int(tid)] = int(file.read().split()[1]) / 1e9
    return found


def disturbance(session):
    """Share of the recorder's ticks that came late or not at all."""
    told = session.attach
    return told["missed"] / (told["missed"] + told["ticks"])


def records(session, name=None):
    """(stack, seconds, state) of every record, of one thread or of all."""
    found = []
    for thread in session.attach["threads"]:
        at = thread["first"]
        for count, code in thread["states"]:
            for stack, seconds in session.records[at:at + count]:
                if name is None or thread["name"] == name:
                    found.append((stack, seconds, code))
            at += count
        assert at == thread["first"] + thread["records"], thread
    return found


def share(items, wanted):
    total = sum(seconds for _, seconds, _ in items)
    return sum(item[1] for item in items if wanted(item)) / total if total else 0.0


def record(target, out, home, *options, seconds=2, **more):
    before = delays(target)
    run = pyi.run("--pid", target.pid, "-d", seconds, "-o", out, *options, home=home,
                  timeout=seconds + 60, **more)
    assert run.status == 0, run
    session = pyi.Session(out)
    session.delays = {tid: after - before.get(tid, 0.0) for tid, after in delays(target).items()}
    return session


# ---- states and system calls -------------------------------------------------------------------


def start_doing(interpreter, targets):
    folder, inside = lab.place(interpreter, [])
    target = lab.start(interpreter, "doing.py", inside)
    targets.append(target)
    told = target.json()
    return target, told, folder


def expected(told, version):
    """By function: its state, and the names its wait may have (None: any, or none)."""
    sleep = {"[nanosleep]", "[select]"}
    return {
        "computes": (RUNNING, None), "hashes": (RUNNING, None), "sleeps": (WAITING, sleep),
        "acquires": (WAITING, {"[futex]"}), "selects": (WAITING, {"[select]"}),
        "epolls": (WAITING, {"[epoll_wait]"}), "receives": (WAITING, {"[recv tcp 127.0.0.1:%d]" % told["port"]}),
        "iterates": (WAITING, {"[read pipe]"}), "reads": (WAITING, {"[read %s]" % told["fifo"]}),
        "locks": (WAITING, {"[flock %s]" % told["locked"]}), "waits": (WAITING, {"[wait4]"}),
    }


def judge(session, told, version, log):
    """What is wrong, in words; deviation of the running share."""
    wrong = []
    items = records(session, "MainThread")
    total = sum(seconds for _, seconds, _ in items)
    delayed = session.delays[session.attach["threads"][0]["tid"]] / total
    allowed = 0.04 + 0.5 * disturbance(session)
    mistaken = 0.0
    for function, (state, names) in expected(told, version).items():
        mine = [item for item in items if any(frame.function == function for frame in item[0])]
        part = share(mine, lambda item: item[2] == state)
        mistaken += sum(item[1] for item in mine if item[2] != state) / total
        if part < 0.5:
            wrong.append("%s: %.2f in state %d" % (function, part, state))
        if names is None:
            continue
        waiting = [item for item in mine if item[2] == WAITING]
        named = share(waiting, lambda item: item[0][-1].path == "<wait>" and item[0][-1].function in names)
        if named < 0.9:
            wrong.append("%s: %.2f named %s, not %s" % (function, named, names, {
                item[0][-1].function for item in waiting}))
    if mistaken > allowed + delayed:
        wrong.append("%.3f in a wrong state, ready without a CPU %.3f" % (mistaken, delayed))
    begin = session.raw["start_time"]
    end = begin + session.raw["duration"]
    cut = [(name, min(last, end) - max(first, begin)) for name, first, last in log]
    inside = [(name, seconds) for name, seconds in cut if seconds > 0]
    truth = sum(s for name, s in inside if name in ("computes", "hashes")) / sum(s for _, s in inside)
    seen = share(items, lambda item: item[2] == RUNNING)
    if not -allowed <= seen - truth <= allowed + delayed:
        wrong.append("running %.3f, in the log %.3f, ready without a CPU %.3f" % (seen, truth, delayed))
    return wrong, abs(seen - truth)


@VERSIONS
def test_states_and_system_calls(interpreter, targets, tmp_path, home, figure):
    for attempt in (1, 2, 3):
        target, told, folder = start_doing(interpreter, targets)
        try:
            more = {"preexec_fn": go_first} if attempt > 1 else {}
            session = record(target, tmp_path / "out.pyisession", home, "--waits", **more)
            target.process.stdin.close()
            log = target.json()
        finally:
            targets.pop().close()
            shutil.rmtree(folder)
        wrong, worst = judge(session, told, interpreter.version, log)
        if not wrong:
            break
    figure("states, %s: running off by %.2f percentage points against the target's log%s", interpreter,
           100 * worst, "" if attempt == 1 else " (attempt %d)" % attempt)
    assert not wrong, wrong


def test_waits_by_default(targets, tmp_path, home):
    """A wait is named where no C function says it already."""
    target, _, folder = start_doing(lab.any_one(), targets)
    try:
        session = record(target, tmp_path / "out.pyisession", home)
    finally:
        targets.pop().close()
        shutil.rmtree(folder)
    leaves = {}
    for stack, _, state in records(session, "MainThread"):
        if state == WAITING:
            leaves.setdefault(stack[2].function if len(stack) > 2 else "", set()).add(
                (stack[-2].path, stack[-1].path))
    marked = {frame.function for stack, _, _ in records(session) for frame in stack if frame.path == "<wait>"}
    assert "[read pipe]" in marked
    for stack, _, _ in records(session):
        if stack[-1].path == "<wait>":
            assert stack[-2].path != "<built-in>", stack
    assert all(frame.path != "<wait>" for stack, _, _ in records(session) for frame in stack[:-1])


# ---- the lock ----------------------------------------------------------------------------------

FIGHT = """
import threading, sys
def spin():
    x = 0
    while True:
        for _ in range(100): x += 1
for n in range(3): threading.Thread(target=spin, name="spin-%d" % n, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def fight(interpreter, targets, tmp_path, home, *options, **more):
    target = lab.start_code(interpreter, FIGHT)
    targets.append(target)
    target.line()
    try:
        return record(target, tmp_path / "out.pyisession", home, *options, **more)
    finally:
        targets.pop().close()


def lock_problems(session):
    wrong, running, ready = [], [], 0.0
    for thread in session.attach["threads"]:
        if not thread["name"].startswith("spin"):
            continue
        items = records(session, thread["name"])
        total = sum(item[1] for item in items)
        delayed = session.delays[thread["tid"]] / total
        ready += delayed
        running.append(share(items, lambda item: item[2] == RUNNING))
        either = share(items, lambda item: item[2] in (RUNNING, GIL))
        if either < 0.97 - disturbance(session):
            wrong.append("%s: %.2f running or waiting for the lock" % (thread["name"], either))
        if not 0.05 <= running[-1] <= 0.6 + delayed:
            wrong.append("%s: running %.2f" % (thread["name"], running[-1]))
    # Who has been woken to take the lock but has no CPU yet may count as ready to run.
    if not 0.85 <= sum(running) <= 1.15 + ready:
        wrong.append("running in all: %.2f, ready without a CPU %.2f" % (sum(running), ready))
    return wrong, running


@VERSIONS
def test_three_fight_for_the_lock(interpreter, targets, tmp_path, home, figure):
    for attempt in (1, 2, 3):
        more = {"preexec_fn": go_first} if attempt > 1 else {}
        wrong, running = lock_problems(fight(interpreter, targets, tmp_path, home, **more))
        if not wrong:
            break
    figure("three threads, one lock, %s: running %s", interpreter, " ".join("%.2f" % r for r in running))
    assert not wrong, wrong


@VERSIONS
def test_mode_gil(interpreter, targets, tmp_path, home, figure):
    """One thread at a time: the times of all add up to no more than what passed."""
    session = fight(interpreter, targets, tmp_path, home, "-g")
    assert session.attach["mode"] == "gil"
    part = session.seconds() / session.raw["duration"]
    figure("--mode gil, %s: the lock was held %.2f of the time", interpreter, part)
    assert 0.8 - disturbance(session) <= part <= 1.02
    assert all(thread["name"].startswith("spin") for thread in session.attach["threads"])
    assert session.raw["sample_count"] <= session.attach["ticks"] * 1.01


@VERSIONS
def test_mode_cpu(interpreter, targets, tmp_path, home):
    target, _, folder = start_doing(interpreter, targets)
    try:
        session = record(target, tmp_path / "out.pyisession", home, "--mode", "cpu")
    finally:
        targets.pop().close()
        shutil.rmtree(folder)
    assert session.attach["mode"] == "cpu"
    items = records(session)
    assert {item[2] for item in items} == {RUNNING}
    idle = sum(item[1] for item in items
               if not any(f.function in ("computes", "hashes") for f in item[0]))
    delayed = sum(session.delays.values())
    assert idle <= (0.15 + disturbance(session)) * session.seconds() + delayed
    # Two of eleven things it does in turn are work.
    assert session.seconds() <= 0.4 * session.raw["duration"] + delayed
    thread = session.attach["threads"][0]
    assert len(thread["jumps"]) >= 2
    assert all(0 <= at < thread["records"] for at, _ in thread["jumps"])


# ---- exceptions --------------------------------------------------------------------------------

RAISES = """
import sys, threading
def work(n):
    for _ in range(n): pass
def handles():
    try:
        raise ValueError
    except ValueError:
        work(20000)
def generator():
    try:
        raise KeyError
    except KeyError:
        yield work(20000)
def calm():
    work(20000)
print("ready", flush=True)
while True:
    handles()
    calm()
    for _ in generator(): calm()
"""


@VERSIONS
def test_mode_exception(interpreter, targets, tmp_path, home):
    target = lab.start_code(interpreter, RAISES)
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "1", "-o", out, "--mode=exception", home=home)
    if interpreter.version < (3, 11):
        assert run.status == 3 and "from 3.11 on" in run.errors, run
        assert "--mode=wall" in run.errors
        return
    assert run.status == 0, run
    session = pyi.Session(out)
    handled = session.seconds_with("handles")
    within = session.seconds_with("generator")
    calm = sum(s for stack, s in session.records
               if any(f.function == "calm" for f in stack))
    # Of one second; on a starved machine most of it is nobody's.
    assert handled > 0.03 and within > 0.03
    assert calm <= 0.02 * session.seconds(), (handled, within, calm)
    assert 0.3 <= session.seconds() / session.raw["duration"] <= 0.75


@pytest.mark.parametrize("words, mode", [
    (["--mode", "cpu", "-g"], "gil"), (["-g", "--mode=wall"], "wall"), (["--gil"], "gil"), ([], "wall"),
])
def test_the_later_word_counts(targets, tmp_path, home, words, mode):
    session = fight(lab.any_one(), targets, tmp_path, home, *words, seconds=0.3)
    assert session.attach["mode"] == mode


def test_a_mode_that_does_not_exist(home):
    run = pyi.run("--pid", os.getpid(), "--mode", "disk", home=home)
    assert run.status == 2 and "wall, cpu, gil or exception" in run.errors, run


def test_nothing_to_keep(targets, tmp_path, home):
    target = lab.start_code(lab.by_version("3.13") or lab.any_one(), FIGHT)
    targets.append(target)
    target.line()
    run = pyi.run("--pid", target.pid, "-d", "0.3", "--mode", "exception", home=home)
    assert run.status == 5, run
    assert re.search(r"no samples: in [\d.]+ \w+ there were none that --mode=exception keeps", run.errors), run


# ---- the collector -----------------------------------------------------------------------------

COLLECTS = """
import gc, json, sys, threading, time
LOG, STOP, BEGIN = [], threading.Event(), [0.0]
def note(phase, info):
    if phase == "start":
        BEGIN[0] = time.time()
    else:
        LOG.append((BEGIN[0], time.time()))
class Node:
    def __init__(self, other): self.other = other
def makes_garbage():
    kept = [Node([Node(None) for _ in range(4)]) for _ in range(60000)]
    while not STOP.is_set():
        for _ in range(3000):
            a = Node(None); a.other = Node(a)
        gc.collect()
def closer():
    sys.stdin.read(); STOP.set()
gc.callbacks.append(note)
threading.Thread(target=closer, name="closer", daemon=True).start()
print("ready", flush=True)
makes_garbage()
print(json.dumps(LOG), flush=True)
"""


def collector_shares(interpreter, targets, tmp_path, home, *options, **more):
    target = lab.start_code(interpreter, COLLECTS)
    targets.append(target)
    target.line()
    try:
        session = record(target, tmp_path / "out.pyisession", home, *options, **more)
        target.process.stdin.close()
        log = target.json()
    finally:
        targets.pop().close()
    begin = session.raw["start_time"]
    end = begin + session.raw["duration"]
    truth = sum(max(0, min(last, end) - max(first, begin)) for first, last in log) / (end - begin)
    items = records(session, "MainThread")
    others = [item for item in records(session, "closer") if item[0][-1].path == "<gc>"]
    return truth, share(items, lambda item: item[0][-1].path == "<gc>"), others


@VERSIONS
def test_collector(interpreter, targets, tmp_path, home, figure):
    for attempt in (1, 2):
        more = {"preexec_fn": go_first} if attempt == 2 else {}
        truth, seen, others = collector_shares(interpreter, targets, tmp_path, home, **more)
        if abs(truth - seen) <= 0.03:
            break
    figure("<GC>, %s: %.1f %% of the time, %.1f %% in the target's log", interpreter, 100 * seen, 100 * truth)
    assert truth > 0.2
    assert abs(truth - seen) <= 0.03
    assert others == []


def test_no_collector(targets, tmp_path, home):
    truth, seen, _ = collector_shares(lab.any_one(), targets, tmp_path, home, "--no-gc")
    assert truth > 0.2 and seen == 0


# ---- what it costs -----------------------------------------------------------------------------

RESTING = """
import threading, sys
gate = threading.Lock(); gate.acquire()
def leaf(x): return x + 1
def spin():
    x = 0
    while True: x = leaf(x)
for n in range(100): threading.Thread(target=gate.acquire, name="rest-%d" % n, daemon=True).start()
threading.Thread(target=spin, name="spin", daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def counted(target, tmp_path, home, *options):
    log, out = tmp_path / "log", tmp_path / "out.pyisession"
    command = ["strace", "-f", "-c", "-o", log, lab.BINARY, "--pid", str(target.pid), "-d", "2", *options,
               "-o", out]
    done = subprocess.run(command, env=pyi.environment(home), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
    assert done.returncode == 0, done.stderr
    calls = {}
    for line in log.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and re.match(r"[\d.]+$", words[0]):
            calls[words[-1]] = int(words[3])
    return calls, pyi.Session(out)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@VERSIONS
def test_a_busy_thread_costs_no_probe(interpreter, targets, tmp_path, home, figure):
    target = lab.start(interpreter, "single.py")
    targets.append(target)
    target.line()
    calls, session = counted(target, tmp_path, home)
    ticks = session.attach["ticks"]
    figure("strace, %s: %.2f readv and %.2f pread a tick", interpreter, calls["process_vm_readv"] / ticks,
           calls.get("pread64", 0) / ticks)
    assert calls.get("pread64", 0) <= ticks * len(session.attach["threads"]) + 100


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_resting_threads_are_asked_in_turn(targets, tmp_path, home, figure):
    target = lab.start_code(lab.any_one(), RESTING)
    targets.append(target)
    target.line()
    target.wait_asleep()
    calls, session = counted(target, tmp_path, home, "-i", "0.01")
    ticks = session.attach["ticks"]
    figure("102 threads: %.1f pread and %.1f open a tick", calls["pread64"] / ticks, calls["openat"] / ticks)
    # All of them once to begin with, and every so often for their CPU seconds.
    assert calls["pread64"] <= ticks * 70 + 102 * 25
    resting = [t for t in session.attach["threads"] if t["name"].startswith("rest")]
    assert len(resting) == 100
    assert sum(t["idle"] for t in resting) >= 98
    assert all(t["states"] == [[t["records"], WAITING]] for t in resting)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_few_descriptors(targets, tmp_path, home):
    """With a small limit files are opened anew instead."""
    target = lab.start_code(lab.any_one(), RESTING)
    targets.append(target)
    target.line()
    target.wait_asleep()
    out = tmp_path / "out.pyisession"
    run = subprocess.run(["sh", "-c", 'ulimit -n 40; exec "$@"', "sh", lab.BINARY, "--pid", str(target.pid),
                          "-d", "1", "-i", "0.02", "-o", str(out)], env=pyi.environment(home),
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert run.returncode == 0, run.stderr
    session = pyi.Session(out)
    resting = [t for t in session.attach["threads"] if t["name"].startswith("rest")]
    assert len(resting) == 100
    assert all(t["states"] == [[t["records"], WAITING]] for t in resting)
