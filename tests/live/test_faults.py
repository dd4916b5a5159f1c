# SPDX-License-Identifier: BSD-3-Clause
"""System calls of the profiler that fail: a status, a sentence, no hang, and a target unharmed.

strace makes the calls fail; it traces the profiler, never the target.
"""

import os
import shutil
import signal
import subprocess

import lab
import pyi
import pytest

BAD_START = "Traceback|Assertion|Sanitizer|Segmentation"


@pytest.fixture
def target(targets):
    started = lab.start(lab.any_one(), "single.py")
    targets.append(started)
    assert started.line() == b"ready"
    yield started
    status = started.status()
    assert status["State"][0] in "RS" and status["TracerPid"] == "0"
    before = cpu(started.pid)
    while cpu(started.pid) == before:  # the test's own time limit ends this
        assert started.process.poll() is None


def cpu(pid):
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rsplit(")", 1)[1].split()[11]


def broken(home, fault, *arguments, **options):
    """The program under strace with a fault: strace's -e inject=."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    call = fault.split(":", 1)[0]
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=" + call, "-e", "inject=" + fault,
               lab.BINARY, *map(str, arguments)]
    env = pyi.environment(home, ASAN_OPTIONS="detect_leaks=0")  # LeakSanitizer cannot run traced
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, **options)
    done = pyi.finish(process, timeout=60)
    assert done.status >= 0, done
    for word in BAD_START.split("|"):
        assert word not in done.errors, done
    return done


def attach(target, *arguments):
    return ["--pid", target.pid, "-d", "0.4", *arguments]


def sentence(done, text=""):
    lines = done.errors.splitlines()
    assert any(line.startswith("pyinstrument: ") and text in line for line in lines), done


def test_unreadable_from_the_third_read(target, home):
    done = broken(home, "process_vm_readv:error=EFAULT:when=3+", *attach(target))
    assert done.status == 3
    sentence(done, "error: ")


def test_unreadable_after_the_attach(target, home):
    done = broken(home, "process_vm_readv:error=EFAULT:when=100+", *attach(target, "-o", home / "x.json"))
    assert done.status == 5
    sentence(done, "no samples: ")
    sentence(done, "reads of stacks failed")


def test_now_and_then_unreadable(target, home):
    done = broken(home, "process_vm_readv:error=EFAULT:when=100+7", *attach(target))
    assert done.status == 0
    assert "single.py" in done.text


def test_call_forbidden_falls_back_to_the_file(target, home):
    done = broken(home, "process_vm_readv:error=EPERM", *attach(target))
    assert done.status == 0, done
    assert "single.py" in done.text and " 0 lost" in done.errors


@pytest.mark.parametrize("name", ["EPERM", "ENOSYS"])
def test_call_forbidden_in_mid_recording(target, home, name):
    done = broken(home, "process_vm_readv:error=%s:when=150+" % name, *attach(target))
    assert done.status == 0, done
    assert "single.py" in done.text


def test_interrupted_reads_are_made_again(target, home):
    done = broken(home, "process_vm_readv:error=EINTR:when=1+2", *attach(target))
    assert done.status == 0, done
    assert "single.py" in done.text and " 0 lost" in done.errors


def test_reads_that_bring_nothing_but_a_count(target, home):
    """The kernel's answer is 100 bytes, and no byte has been written: whatever stood in our buffers
    is either no Python, or one without a readable stack."""
    done = broken(home, "process_vm_readv:retval=100", *attach(target))
    assert done.status in (3, 5), done
    sentence(done, "error: " if done.status == 3 else "no sam")


def test_short_reads_in_mid_recording(target, home):
    done = broken(home, "process_vm_readv:retval=100:when=100+", *attach(target))
    assert done.status in (0, 5), done
    sentence(done)


@pytest.mark.parametrize("first", range(4, 40, 3))
def test_no_descriptor_left(target, home, first):
    done = broken(home, "openat:error=EMFILE:when=%d+" % first, *attach(target))
    if "error while loading shared libraries" in done.errors:
        assert done.status == 127
        return
    assert done.status in (0, 1, 3, 4), done
    if done.status:
        sentence(done, "error: ")
    else:
        assert "single.py" in done.text


def limited(target, home, descriptors):
    command = ["sh", "-c", 'ulimit -n "$1"; shift; exec "$@"', "sh", str(descriptors), lab.BINARY,
               *map(str, attach(target))]
    process = subprocess.Popen(command, env=pyi.environment(home), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    return pyi.finish(process)


def test_eight_descriptors_are_enough(target, home):
    done = limited(target, home, 8)
    assert done.status == 0, done
    assert "single.py" in done.text


@pytest.mark.parametrize("descriptors", [4, 5, 6])
def test_hardly_any_descriptor(target, home, descriptors):
    done = limited(target, home, descriptors)
    if done.status:
        assert done.status in (1, 3, 4), done
        sentence(done, "error: ")
    else:
        assert "single.py" in done.text


def test_interrupt_while_writing(target, home):
    """^C at the first write of the report: whole report or none, and no file that is half one."""
    out = home / "out.json"
    done = broken(home, "write:signal=SIGINT:when=1", *attach(target, "-o", out))
    assert done.status in (0, 130), done
    left = sorted(name for name in os.listdir(home) if name.startswith((".pyinstrument", "out")))
    assert left in ([], ["out.json"]), left
    if left:
        assert out.read_bytes().rstrip().endswith(b"}")


def test_disk_full_while_writing(target, home):
    out = home / "out.json"
    done = broken(home, "write:error=ENOSPC:when=1", *attach(target, "-o", out))
    assert done.status == 1, done
    sentence(done, "No space left on device")
    assert not out.exists()


def test_reader_of_the_report_goes_away(target, home):
    process = pyi.start(*attach(target), home=home)
    process.stdout.close()
    process.stdout = None
    done = pyi.finish(process)
    assert done.status == -signal.SIGPIPE, done


def test_dev_full(target, home):
    with open("/dev/full", "wb") as full:
        done = pyi.finish(pyi.start(*attach(target), home=home, stdout=full))
    assert done.status == 1, done
    sentence(done, "No space left on device")
