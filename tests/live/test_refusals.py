# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be profiled is refused by name, with the cause, a way out, and the right status."""

import json
import os
import shutil
import struct
import subprocess

import lab
import pyi
import pytest

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def attach(pid, *options, home, prefix=(), binary=None):
    command = [*prefix, binary or lab.BINARY, "--pid", str(pid), "-d", "0.2", *options]
    done = subprocess.run(command, env=pyi.environment(home), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, cwd="/")
    return pyi.Run(done.returncode, done.stdout, done.stderr)


def refused(pid, slug, status, home, *, says, why=False, tries=False, **options):
    """The plain words and the machine-readable form agree, and nothing is on stdout."""
    run = attach(pid, home=home, **options)
    assert run.status == status, run
    assert run.out == b"", run
    first = run.errors.splitlines()[0]
    assert first.startswith("pyinstrument: error: "), run
    for text in says:
        assert text in run.errors, (text, run)
    if why:
        assert "\n  why:  " in run.errors, run
    if tries:
        assert "\n  try:  " in run.errors, run
    machine = attach(pid, "--json-errors", home=home, **options)
    assert machine.status == status
    told = json.loads(machine.errors.splitlines()[-1])
    assert told["code"] == slug, told
    assert told["exit"] == status
    assert told["message"] in first


@pytest.fixture
def anyone(tmp_path):
    """A copy of the program where every user may run it."""
    if os.getuid() != 0:
        pytest.skip("needs root to become another user")
    folder = lab.place(lab.any_one(), [lab.BINARY])[0]
    yield os.path.join(folder, os.path.basename(lab.BINARY))
    shutil.rmtree(folder)


def process(targets, *command, **options):
    target = lab.Target(list(command), **options)
    targets.append(target)
    return target


def test_no_such_process(home):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    refused(child, "no-process", 5, home, says=["no process with PID %d" % child])


def test_zombie(home):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        refused(child, "zombie", 5, home, says=["zombie"])
    finally:
        os.waitpid(child, 0)


def test_kernel_thread(home):
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with open("/proc/%s/status" % name) as file:
                if "VmSize" not in file.read():
                    break
    else:
        pytest.skip("no kernel thread is visible here")
    try:
        with open("/proc/%s/stat" % name) as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                pytest.skip("only a zombie was found")
    except FileNotFoundError:
        pytest.skip("it went away")
    refused(int(name), "kernel-thread", 3, home, says=["kernel thread"])


def test_not_python(targets, home):
    target = process(targets, "/bin/sleep", "60")
    refused(target.pid, "not-python", 3, home, says=["sleep", "not running Python"])


def test_not_python_names_the_child_that_is(targets, home):
    python = lab.any_one().executable
    target = process(targets, "/bin/sh", "-c",
                     "%s -c 'print(\"ready\", flush=True); input()'; true" % python)
    target.line()
    with open("/proc/%d/task/%d/children" % (target.pid, target.pid)) as file:
        child = file.read().split()[0]
    run = attach(target.pid, home=home)
    assert run.status == 3, run
    assert child in run.errors and "note:" in run.errors, run


# A program that looks like an old Python from outside: it exports what 2.6 to 3.6 exported.
OLD = """
#include <unistd.h>
void *_PyThreadState_Current, *interp_head;
void *PyInterpreterState_Head(void) { return interp_head; }
const char version_text[] = "%s";
int main(void) { write(1, "ready\\n", 6); for (;;) pause(); }
"""


@pytest.mark.parametrize("version", ["2.6.9", "3.4.10", "3.5.10"])
def test_old_versions(targets, home, tmp_path, version):
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    program = tmp_path / ("python" + version.rpartition(".")[0])
    subprocess.run(["gcc", "-O1", "-w", "-rdynamic", "-x", "c", "-o", str(program), "-"],
                   input=(OLD % version).encode(), check=True, timeout=60)
    target = process(targets, str(program))
    target.line()
    refused(target.pid, "version-old", 3, home, says=[version, "2.7 and 3.6 to 3.15"])


ELF32 = bytes.fromhex("b81d000000 cd80 ebf7".replace(" ", ""))  # pause() for ever


def elf32():
    """A 32-bit program in 100 bytes: header, one loadable segment, the code above."""
    base = 0x08048000
    start = 52 + 32
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + start, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    size = start + len(ELF32)
    return header + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000) + ELF32


def test_32_bit(targets, home, tmp_path):
    program = tmp_path / "small"
    program.write_bytes(elf32())
    program.chmod(0o755)
    try:
        target = process(targets, str(program))
    except OSError as error:
        pytest.skip("this kernel runs no 32-bit programs: %s" % error)
    if target.process.poll() is not None:
        pytest.skip("this kernel runs no 32-bit programs")
    refused(target.pid, "bits-32", 3, home, says=["32-bit"])


def test_other_user(targets, home, anyone):
    os.chmod(home, 0o777)
    target = lab.start(lab.any_one(), "single.py")
    targets.append(target)
    target.line()
    refused(target.pid, "ptrace-uid", 4, home, says=["root", "65534"], tries=True, prefix=NOBODY,
            binary=anyone)


def test_not_dumpable(targets, home, anyone):
    os.chmod(home, 0o777)
    code = ("import ctypes, sys; ctypes.CDLL(None).prctl(4, 0); print('ready', flush=True); "
            "sys.stdin.read()")
    target = process(targets, *NOBODY, *lab.any_one().command, "-c", code)
    target.line()
    refused(target.pid, "not-dumpable", 4, home, says=["dumpable"], why=True, prefix=NOBODY,
            binary=anyone)


def test_same_user_without_privilege_is_fine(targets, home, anyone, tmp_path):
    yama = "/proc/sys/kernel/yama/ptrace_scope"
    if os.path.exists(yama) and open(yama).read().strip() != "0":
        pytest.skip("Yama allows only parents to attach")
    os.chmod(home, 0o777)
    target = process(targets, *NOBODY, *lab.any_one().command, "-c",
                     "print('ready', flush=True)\nwhile True: sum(range(100))")
    target.line()
    run = attach(target.pid, home=home, prefix=NOBODY, binary=anyone)
    assert run.status == 0, run


def test_root_without_the_capability(targets, home, anyone):
    """uid 0 is not privilege: without CAP_SYS_PTRACE another user's process is out of reach."""
    target = process(targets, *NOBODY, *lab.any_one().command, "-c",
                     "print('ready', flush=True); input()")
    target.line()
    run = attach(target.pid, home=home, binary=anyone,
                 prefix=["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-all"])
    assert run.status == 4, run
    assert "CAP_SYS_PTRACE" in run.errors or "capability" in run.errors, run


@pytest.mark.parametrize("word", ["x", "", "-5", "0", "99999999999999999999", "1.5"])
def test_bad_numbers(home, word):
    run = pyi.run("--pid", word, "-d", "0.1", home=home)
    assert run.status in (2, 5), run
    assert run.out == b"" and run.err, run


def test_bad_duration(home):
    for word in ("x", "-1", "5q", ""):
        run = pyi.run("--pid", os.getpid(), "-d", word, home=home)
        assert run.status == 2, (word, run)


def test_pid_given_as_render_option(targets, home):
    """`-p 123` and a script called 123 are asked about, when 123 is a living process."""
    target = lab.start(lab.any_one(), "single.py")
    targets.append(target)
    target.line()
    for arguments in (["-p", target.pid, "x.py"], [target.pid]):
        run = pyi.run(*arguments, home=home, cwd=home)
        assert run.status == 2, run
        assert "--pid %d" % target.pid in run.errors, run


def test_outfile_is_checked_before_recording(targets, home, tmp_path):
    target = lab.start(lab.any_one(), "single.py")
    targets.append(target)
    target.line()
    run = pyi.run("--pid", target.pid, "-d", "50", "-o", tmp_path, home=home, timeout=10)
    assert run.status == 1, run


def test_diagnose(targets, home):
    good = lab.start(lab.any_one(), "single.py")
    targets.append(good)
    good.line()
    run = pyi.run("--diagnose", good.pid, home=home)
    assert run.status == 0 and lab.any_one().text in run.text, run
    bad = process(targets, "/bin/sleep", "60")
    run = pyi.run("--diagnose", bad.pid, home=home)
    assert run.status == 3 and "sleep" in run.text + run.errors, run
