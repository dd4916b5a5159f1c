# SPDX-License-Identifier: BSD-3-Clause
"""A default recording neither stops, signals nor writes to its target: the kernel's own record."""

import re
import shutil
import subprocess

import lab
import pyi
import pytest

FORBIDDEN = ["ptrace", "process_vm_writev", "kill", "tkill", "tgkill", "pidfd_send_signal"]


@pytest.fixture(scope="module", params=lab.one_of_each(), ids=repr)
def traced(request, tmp_path_factory):
    """Calls of a recording of a target with one thread: (lines, session)."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("strace")
    log, out = folder / "log", folder / "out.pyisession"
    target = lab.start(request.param, "single.py")
    try:
        target.line()
        command = ["strace", "-f", "-o", log, "-e",
                   "trace=%s,process_vm_readv,openat,execve,clone3,clone,fork,vfork" % ",".join(FORBIDDEN),
                   lab.BINARY, "--pid", str(target.pid), "-d", "2", "-o", out]
        done = subprocess.run(command, env=pyi.environment(folder), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
        assert done.returncode == 0, done.stderr
        with open(log, errors="surrogateescape") as file:
            yield request.param, file.read().splitlines(), pyi.Session(out)
    finally:
        target.close()


def calls(lines, name):
    return [line for line in lines if re.match(r"\d+ +%s\(" % name, line)]


def test_nothing_forbidden(traced, figure):
    interpreter, lines, _ = traced
    figure("strace, %s: %s", interpreter,
           ", ".join("%d %s" % (len(calls(lines, name)), name) for name in FORBIDDEN[:3]))
    for name in FORBIDDEN:
        assert calls(lines, name) == [], name


def test_memory_is_never_opened_for_writing(traced):
    _, lines, _ = traced
    opened = [line for line in calls(lines, "openat") if re.search(r'/proc/\d+/(task/\d+/)?mem"', line)]
    assert all("O_RDONLY" in line for line in opened), opened


def test_reads_per_sample(traced, figure):
    interpreter, lines, session = traced
    samples = session.raw["sample_count"]
    reads = len(calls(lines, "process_vm_readv"))
    figure("strace, %s: %d process_vm_readv calls for %d samples, %.2f each", interpreter, reads, samples,
           reads / samples)
    assert samples >= 300
    assert reads / samples <= 2.2
