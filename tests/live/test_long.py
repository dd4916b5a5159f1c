# SPDX-License-Identifier: BSD-3-Clause
"""A recording that is written while it is made survives its profiler, and a full disk."""

import os
import resource
import signal
import time

import lab
import pyi


def flushed(path, process, size=0, timeout=60):
    """Size of the file once it is larger than `size`."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        assert process.poll() is None
        now = os.path.getsize(path) if os.path.exists(path) else 0
        if now > size:
            return now
        time.sleep(0.05)
    raise AssertionError("%s does not grow" % path)


def test_killed_profiler(targets, home, tmp_path):
    """Everything up to the last flush is there: all but five seconds and a bit."""
    target = lab.start(lab.any_one(), "single.py")
    targets.append(target)
    target.line()
    path, part = tmp_path / "x.pyirec", tmp_path / "x.pyirec.part"
    begin = time.monotonic()
    process = pyi.start("--pid", target.pid, "-o", path, home=home)
    first = flushed(part, process, 8)
    flushed(part, process, first)
    process.kill()
    killed = time.monotonic() - begin
    process.communicate()
    os.kill(target.pid, 0)
    assert not path.exists()
    run = pyi.run("--load", part, "-o", tmp_path / "x.pyisession", home=home)
    assert run.status == 0 and "lacks its end" in run.errors, run
    session = pyi.Session(tmp_path / "x.pyisession")
    assert killed - 6.5 <= session.seconds() <= killed


def test_snapshot_while_writing(targets, home, tmp_path):
    """SIGUSR1 puts what there is under the name itself; the recording goes on."""
    target = lab.start(lab.any_one(), "single.py")
    targets.append(target)
    target.line()
    path = tmp_path / "x.pyirec"
    process = pyi.start("--pid", target.pid, "-o", path, home=home)
    flushed(tmp_path / "x.pyirec.part", process, 8)
    process.send_signal(signal.SIGUSR1)
    size = flushed(path, process)
    process.send_signal(signal.SIGINT)
    run = pyi.finish(process)
    assert run.status == 0, run
    assert os.path.getsize(path) != size
    assert "x.pyirec.part" not in os.listdir(tmp_path)
    assert "lacks its end" not in pyi.run("--load", path, home=home).errors


def test_full_disk(targets, home, tmp_path):
    """No room for a second flush: what was written is readable, and the whole is kept elsewhere."""
    target = lab.start(lab.any_one(), "single.py")
    targets.append(target)
    target.line()
    path, part = tmp_path / "x.pyirec", tmp_path / "x.pyirec.part"
    process = pyi.start("--pid", target.pid, "-o", path, home=home)
    first = flushed(part, process, 8)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (first + 10, resource.RLIM_INFINITY))
    end = time.monotonic() + 60
    while os.path.getsize(part) == first and time.monotonic() < end:
        time.sleep(0.05)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    time_after = time.monotonic()
    assert os.path.getsize(part) == first + 10
    process.send_signal(signal.SIGINT)
    run = pyi.finish(process)
    assert run.status != 0 and "--load-prev" in run.errors, run
    assert time.monotonic() - time_after < 30
    assert "lacks its end" in pyi.run("--load", part, home=home).errors
    name = run.errors.split("--load-prev ")[1].split()[0]
    assert pyi.run("--load-prev", name, home=home).status == 0
