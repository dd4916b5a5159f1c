# SPDX-License-Identifier: BSD-3-Clause
"""What a recording costs: CPU time to the first sample, memory over its length."""

import statistics

import lab
import pyi
import pytest

SECONDS = 60 if lab.FULL else 3


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_attach_costs_little(targets, home, tmp_path, interpreter, figure):
    """CPU time from exec to the end of a recording of ten ticks: the first sample and then some."""
    target = lab.start(interpreter, "single.py")
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    for _ in range(2):
        whole = []
        for _ in range(7):
            run = pyi.measured("--pid", target.pid, "-d", "0.01", "-o", out, home=home)
            assert run.status == 0
            whole.append(run.cpu)
        cost = statistics.median(whole)
        if cost <= 0.010:
            break
    figure("attach, %s: %.1f ms of CPU from exec through ten ticks and the report", interpreter, cost * 1000)
    assert cost <= 0.010


@pytest.mark.parametrize("script", ["phases.py", "single.py"])
def test_memory(targets, home, tmp_path, script, figure):
    target = lab.start(lab.any_one(), script)
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.measured("--pid", target.pid, "-d", SECONDS, "-o", out, home=home, timeout=SECONDS + 60)
    assert run.status == 0
    figure("memory, %s: peak of %.1f MB in %d s at 1 kHz", script, run.peak, SECONDS)
    assert run.peak <= 64


def test_many_threads(targets, home, tmp_path):
    code = """
import threading
threading.stack_size(65536)
gate = threading.Lock(); gate.acquire()
for n in range(300): threading.Thread(target=gate.acquire, name="t%d" % n, daemon=True).start()
print("ready", flush=True)
while True: sum(range(100))
"""
    target = lab.start_code(lab.any_one(), code)
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "1", "-i", "10ms", "-o", out, home=home)
    assert run.status == 0, run
    seen = pyi.Session(out).threads()
    assert len(seen) == 301, "%d names, among them %r" % (len(seen), seen[:3])


def test_deep_stack(targets, home, tmp_path):
    """A stack of 20,000 frames is recorded whole and rendered."""
    code = """
import sys, threading
sys.setrecursionlimit(50000)
threading.stack_size(512 << 20)
def deep(n): return deep(n - 1) if n else stay()
def stay():
    print("ready", flush=True)
    while True: sum(range(100))
threading.Thread(target=deep, args=(20000,), name="below").start()
"""
    target = lab.start_code(lab.any_one(), code)
    targets.append(target)
    target.line()
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", target.pid, "-d", "0.5", "-i", "10ms", "-o", out, home=home)
    assert run.status == 0, run
    session = pyi.Session(out)
    deepest = max(len(stack) for stack, _ in session.records)
    assert deepest >= 20001
    shown = pyi.run("--load", out, "-r", "json", home=home)
    assert shown.status == 0 and shown.text.count('"function": "deep"') == 20001
