# SPDX-License-Identifier: BSD-3-Clause
"""-n and --blocking: threads stopped for their samples, native frames among the Python ones.

The truth about a native stack is gdb's: the target is stopped as a whole (SIGSTOP), our unwinder
looks at it, then gdb does, and both must see the same addresses. The truth about the order of
native and Python frames is the program's: each of its phases says what must lie in what.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sysconfig
import time

import lab
import pyi
import pytest

HELPER = os.path.join(lab.BUILD, "tests", "live", "native_stacks")
DUMPER = os.path.join(lab.BUILD, "tests", "live", "dump_stacks")
KILLS = 200 if lab.FULL else 12
LOOKS = 30 if lab.FULL else 2  # per phase, with gdb
ROUNDS = 1000 if lab.FULL else 150

# Parts of a stack in this order, outermost first; other frames may lie between. A word is a
# function's name, a word with a slash part of the path.
ORDER = {
    "zlib": ["main", "phase_zlib", "/zlib|/libz|/python"],
    "sort": ["main", "phase_sort"],
    "nested": ["main", "phase_nested"],
    "deep": ["main", "phase_deep", *["descend"] * 40],
    "wait": ["main", "phase_wait", "wait", "/libc|/ld-|/libpthread"],
    "numpy": ["main", "phase_numpy", "/numpy/", "/lib.*blas"],
    "cython": ["main", "phase_cython", "/pyi_loop"],
}
# Below these Python functions, called from C, something native must lie before the caller.
CALLED_FROM_C = {"sort": ("phase_sort", "key"), "deep": ("<lambda>", "key"),
                 "nested": ("<lambda>", "replace"), "cython": ("phase_cython", "key")}


def helper(*arguments, timeout=120):
    done = subprocess.run([HELPER, *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape")


def sampled(pid, mode, rounds, interval=1000):
    lines = [json.loads(line) for line in helper(pid, mode, rounds, interval).splitlines()]
    return lines[:-1], lines[-1]


class Program:
    """native.py in an interpreter; with numpy and the extension where they can be had."""

    def __init__(self, targets, interpreter, extension=None, delete=False):
        self.folder = None
        arguments, env = [], {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        if extension:
            self.folder, inside = lab.place(interpreter, [extension])
            arguments = [inside, *(["delete"] if delete else [])]
        self.target = lab.start(interpreter, "native.py", *arguments, env=env)
        targets.append(self)
        self.pid = self.target.pid
        self.phases = self.target.line().decode().split()[1:]

    def close(self):
        self.target.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def enter(self, phase):
        self.target.say(phase.encode() + b"\n")
        while self.target.line() != b"in " + phase.encode():
            pass

    def wait_state(self, letters, timeout=10):
        deadline = time.monotonic() + timeout
        while self.target.status()["State"][0] not in letters:
            assert time.monotonic() < deadline, self.target.status()["State"]
            time.sleep(0.001)


@pytest.fixture(scope="session")
def extension(tmp_path_factory):
    """Path of the built extension module, None when it cannot be built here."""
    interpreter = lab.any_one()
    if interpreter.executable != "/usr/bin/python3.11" or not shutil.which("cython3"):
        return None
    folder = tmp_path_factory.mktemp("extension")
    source = os.path.join(lab.TARGETS, "native_loop.pyx")
    subprocess.run(["cython3", "-o", folder / "pyi_loop.c", "--module-name", "pyi_loop", source],
                   check=True, timeout=120, stdout=subprocess.DEVNULL)
    out = folder / "pyi_loop.so"
    built = subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-fno-inline", "-g",
                            "-I/usr/include/python3.11", "-o", out, folder / "pyi_loop.c"],
                           stderr=subprocess.PIPE, timeout=120)
    return str(out) if built.returncode == 0 else None


def is_python(frame):
    return frame[2] != 0


def follows(frames, order):
    """Whether the parts come in this order."""
    at = 0
    for name, path, _ in frames:
        if at < len(order):
            part = order[at]
            at += bool(re.search(part, path)) if "/" in part else name == part
    return at == len(order)


def called_from_c(frames, caller, callee):
    """Between a Python function and one that C code called for it lies native code; between the
    Python frames of one loop nothing does."""
    names = [frame[0] if is_python(frame) else None for frame in frames]
    if callee not in names:
        return True
    at = len(names) - 1 - names[::-1].index(callee)
    return names[at - 1] is None and caller in names[:at]


def wrong_of(phase, stacks):
    """(samples in the phase, wrong ones, one of these) of the main thread."""
    total = wrong = 0
    example = None
    for stack in stacks:
        frames = stack["frames"]
        names = [f[0] for f in frames]
        if stack["thread"] != "MainThread" or "phase_" + phase not in names:
            continue
        total += stack["times"]
        fine = follows(frames, ORDER[phase][:2]) and stack["verified"]
        if phase in CALLED_FROM_C:
            fine = fine and called_from_c(frames, *CALLED_FROM_C[phase])
        doubled = any(f[0].startswith("_PyEval_EvalFrameDefault") for f in frames)
        if not fine or doubled:
            wrong += stack["times"]
            example = example or frames
    return total, wrong, example


@pytest.mark.timeout(900)
@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_merged(targets, interpreter, extension, figure):
    """Every version: native frames lie where the program's phases put them."""
    system = interpreter is lab.any_one()
    program = Program(targets, interpreter, extension if system else None)
    total = wrong = lost = 0
    for phase in program.phases:
        program.enter(phase)
        stacks, counts = sampled(program.pid, "native", ROUNDS)
        some, bad, example = wrong_of(phase, stacks)
        assert some > ROUNDS // 2, (phase, some, stacks[:3])
        whole = sum(s["times"] for s in stacks
                    if s["thread"] == "MainThread" and follows(s["frames"], ORDER[phase]))
        assert whole >= some * (0.9 if phase in ("zlib", "numpy", "wait") else 0.5), \
            (phase, whole, some, example or stacks[0])
        assert bad <= max(1, some // 100), (phase, bad, some, example)
        total, wrong = total + some, wrong + bad
        lost += sum(s["times"] for s in stacks if s["lost"])
        assert counts["traced"] + counts["refused"] == 0, counts
        assert counts["late"] <= counts["stops"] // 100 + 1, counts
    assert lost <= total // 100
    figure("%s: %d of %d stacks with native frames in the wrong place, %d lost (%s)", interpreter,
           wrong, total, lost, " ".join(program.phases))


def test_phases(targets, extension):
    """The program of the comparison has numpy and an extension; says so when it has not."""
    program = Program(targets, lab.any_one(), extension)
    missing = {"numpy", "cython"} - set(program.phases)
    if missing:
        pytest.skip("not installed for %s: %s" % (lab.any_one(), ", ".join(sorted(missing))))


# ---- against gdb ---------------------------------------------------------------------------------

GDB = """
import gdb
frame = gdb.newest_frame()
while frame is not None and frame.is_valid():
    # Neither has an address on the stack: gdb finds them in the debug information.
    if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
        print("PC 0x%x %s" % (frame.pc(), frame.name()))
    frame = frame.older()
"""


def gdb_stack(pid, script):
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex",
         "set auto-load off", "-ex", "set backtrace past-main on", "-ex",
         "set backtrace past-entry on", "-p", str(pid), "-x", script],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    found = re.findall(r"^PC (0x[0-9a-f]+) (.*)$", done.stdout.decode(errors="replace"), re.M)
    return [(int(pc, 16), name) for pc, name in found]


def compare_once(program, script):
    """Our stack and gdb's of one standstill: (equal, ours, gdb's)."""
    os.kill(program.pid, signal.SIGSTOP)
    try:
        program.wait_state("T")
        lines = helper(program.pid, "frames").splitlines()
        program.wait_state("T")  # goes back to its stop without a step; gdb's addresses show it
        stacks, _ = sampled(program.pid, "native", 1, 0)
        program.wait_state("T")  # goes back to its stop without a step; gdb's addresses show it
        theirs = gdb_stack(program.pid, script)
    finally:
        os.kill(program.pid, signal.SIGCONT)
    ours = [line.split(" ") for line in lines[:-1]]
    assert theirs, "gdb said nothing"
    merged = next(s["frames"] for s in stacks if s["thread"] == "MainThread")
    native = [name for name, _, line in reversed(merged) if not line]
    loops = [line[1] == "1" for line in ours]
    expected = [" ".join(line[2:-1]) for line, loop in zip(ours, loops) if not loop]
    equal = ([int(line[0], 16) for line in ours] == [pc for pc, _ in theirs]
             and lines[-1] == "complete"
             and loops == [name.startswith("_PyEval_EvalFrameDefault") for _, name in theirs]
             and native == expected)
    return equal, ours, theirs, merged


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
@pytest.mark.timeout(1700)
@pytest.mark.parametrize("interpreter", [i for i in lab.one_per_version() if not i.root]
                         if lab.FULL else [lab.any_one()], ids=repr)
def test_against_gdb(targets, tmp_path, interpreter, extension, figure):
    """The same addresses, and evaluation loops recognised, frame by frame."""
    script = tmp_path / "stack.py"
    script.write_text(GDB)
    system = interpreter is lab.any_one()
    program = Program(targets, interpreter, extension if system else None)
    dice, looks, right, wrong = random.Random(6), 0, 0, []
    for phase in program.phases:
        program.enter(phase)
        for _ in range(LOOKS):
            time.sleep(0.01 + 0.03 * dice.random())  # any moment of the phase will do
            equal, *seen = compare_once(program, script)
            looks += 1
            right += equal
            if not equal:
                wrong.append((phase, *seen))
    figure("%s: %d of %d native stacks as gdb has them (%s)", interpreter, right, looks,
           " ".join(program.phases))
    assert right >= 0.99 * looks, wrong[:2]


# ---- what a stop costs and leaves behind ---------------------------------------------------------


def test_stop_time(targets, figure):
    """Seconds a thread stands still for a sample 50 frames deep, beside a bare stop."""
    program = Program(targets, lab.any_one())
    program.enter("deep")
    for attempt in range(4):
        bare = json.loads(helper(program.pid, "bare", ROUNDS))["median"] * 1e6
        _, native = sampled(program.pid, "native", ROUNDS)
        _, blocking = sampled(program.pid, "blocking", ROUNDS)
        limit = 150 + (bare - 60 if bare > 60 else 0)
        if native["median"] * 1e6 <= limit:
            break
    figure("stopped per thread and sample, median: %.0f us with --native, %.0f us with --blocking, "
           "%.0f us bare seize, stop and resume", native["median"] * 1e6, blocking["median"] * 1e6,
           bare)
    assert native["median"] * 1e6 <= limit


@pytest.mark.parametrize("mode", ["--native", "--blocking"])
@pytest.mark.timeout(1200)
def test_profiler_killed_while_stopping(targets, tmp_path, home, mode, figure):
    """SIGKILL in any phase: the target runs on, untraced."""
    folder, inside = lab.place(lab.any_one(), [])
    path = os.path.join(folder, "count")
    target = lab.start(lab.any_one(), "counter.py", os.path.join(inside, "count"), 2)
    targets.append(target)
    assert target.line() == b"ready"
    dice = random.Random(7)

    def count():
        with open(path, "rb") as file:
            return int(file.read() or b"0")

    for number in range(KILLS // 2):
        process = pyi.start("--pid", target.pid, "-d", "60", "-i", "0.0002", mode, "-o",
                            tmp_path / ("%d.pyisession" % number), home=home)
        time.sleep(dice.random() ** 2 * 0.3)
        assert process.poll() is None, pyi.finish(process)
        process.kill()
        pyi.finish(process)
        status = target.status()
        assert status["State"][0] in "RSD" and status["TracerPid"] == "0", status
        before, deadline = count(), time.monotonic() + 2
        while count() <= before:
            assert time.monotonic() < deadline, target.status()["State"]
            time.sleep(0.002)
    shutil.rmtree(folder, ignore_errors=True)
    figure("%d SIGKILLs of the profiler with %s: target untraced and advancing after each",
           KILLS // 2, mode)


SIGNALS = """
import signal, sys
count = 0
def handler(number, frame):
    global count
    count += 1
    sys.stdout.write("%d\\n" % count)
    sys.stdout.flush()
signal.signal(signal.SIGUSR1, handler)
print("ready", flush=True)
def run():
    total = 0
    while True:
        total += sum(range(50))
run()
"""


def test_signals_arrive(targets, home, tmp_path):
    """Signals that come while a thread is being stopped reach it, each one."""
    target = lab.start_code(lab.any_one(), SIGNALS)
    targets.append(target)
    assert target.line() == b"ready"
    process = pyi.start("--pid", target.pid, "-d", "60", "-i", "0.0001", "--blocking", "-o",
                        tmp_path / "o.pyisession", home=home)
    pyi.wait_ticking(process)
    for number in range(1, 301):
        os.kill(target.pid, signal.SIGUSR1)
        assert target.line(timeout=10) == b"%d" % number
    process.send_signal(signal.SIGINT)
    run = pyi.finish(process)
    assert run.status == 0, run


def test_stopped_target(targets, home, tmp_path):
    """A process stopped by SIGSTOP is sampled, and stays stopped until it is told to go on."""
    program = Program(targets, lab.any_one())
    program.enter("sort")
    os.kill(program.pid, signal.SIGSTOP)
    program.wait_state("T")
    out = tmp_path / "o.pyisession"
    run = pyi.run("--pid", program.pid, "-d", "0.3", "--native", "-o", out, home=home)
    assert run.status == 0, run
    program.wait_state("T")
    assert pyi.Session(out).seconds_with("phase_sort") > 0.2
    os.kill(program.pid, signal.SIGCONT)
    program.enter("wait")


ASLEEP = """
import os, sys, threading
fifo = sys.argv[1]
def other():
    print("ready", flush=True)
    os.posix_spawn("/bin/true", ["true"], {},
                   file_actions=[(os.POSIX_SPAWN_OPEN, 0, fifo, os.O_RDONLY, 0)])
    print("awake", flush=True)
other()
sys.stdin.read()
"""


def test_cannot_stop(targets, home, tmp_path, figure):
    """A thread asleep in the kernel (vfork, its child waits for a FIFO) never stops: it is given up
    at the deadline, said so, and runs on by itself."""
    folder, inside = lab.place(lab.any_one(), [])
    fifo = os.path.join(folder, "fifo")
    os.mkfifo(fifo)
    target = lab.start_code(lab.any_one(), ASLEEP, os.path.join(inside, "fifo"))
    targets.append(target)
    assert target.line() == b"ready"
    deadline = time.monotonic() + 10
    while target.status()["State"][0] != "D":
        assert time.monotonic() < deadline, target.status()["State"]
        time.sleep(0.002)
    out = tmp_path / "o.pyisession"
    began = time.monotonic()
    run = pyi.run("--pid", target.pid, "-d", "1", "--native", "-o", out, home=home)
    spent = time.monotonic() - began
    assert spent < 10 and target.status()["TracerPid"] == "0"
    assert run.status == 5, run  # no sample at all
    assert " lost" in run.errors and target.status()["State"][0] == "D"
    with open(fifo, "wb"):
        assert target.line(timeout=10) == b"awake"
    figure("thread that cannot be stopped: recording of 1 s over after %.2f s", spent)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def frozen(pid, tmp_path):
    """The process in a frozen control group; a skip where there is none to be had."""
    where = tmp_path / "freezer"
    where.mkdir()
    mounted = subprocess.run(["mount", "-t", "cgroup", "-o", "freezer", "none", where],
                             stderr=subprocess.PIPE)
    if mounted.returncode != 0:
        pytest.skip("no freezer: " + mounted.stderr.decode().strip())
    group = where / ("pyi-%d" % pid)
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(pid))
        (group / "freezer.state").write_text("FROZEN")
        yield
    finally:
        if group.exists():
            (group / "freezer.state").write_text("THAWED")
            (where / "cgroup.procs").write_text(str(pid))
            group.rmdir()
        subprocess.run(["umount", where])


def test_frozen(targets, home, tmp_path, figure):
    """A frozen target does not hang us and is left as it was."""
    program = Program(targets, lab.any_one())
    program.enter("sort")
    with frozen(program.pid, tmp_path):
        began = time.monotonic()
        run = pyi.run("--pid", program.pid, "-d", "0.5", "--blocking", home=home)
        spent = time.monotonic() - began
        assert spent < 20 and run.status in (0, 5), run
    program.enter("wait")
    assert program.target.status()["TracerPid"] == "0"
    figure("frozen target: recording of 0.5 s over after %.2f s", spent)


def test_traced(targets, home):
    """A process that has a tracer is refused by name, at once."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    program = Program(targets, lab.any_one())
    tracer = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(program.pid)],
                              stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while program.target.status()["TracerPid"] == "0":
            assert time.monotonic() < deadline
            time.sleep(0.002)
        run = pyi.run("--pid", program.pid, "-d", "1", "-n", home=home)
        assert run.status == 4 and "strace" in run.errors, run
        assert pyi.run("--pid", program.pid, "-d", "0.2", home=home).status == 0
    finally:
        tracer.terminate()
        tracer.wait(timeout=10)


# ---- the whole program ---------------------------------------------------------------------------


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_blocking(targets, home, tmp_path, interpreter):
    """Exact stacks on every version, idle threads folded, the time of the stops told."""
    program = Program(targets, interpreter)
    program.enter("deep")
    out = tmp_path / "o.pyisession"
    run = pyi.run("--pid", program.pid, "-d", "1", "--blocking", "-o", out, home=home)
    session = pyi.Session(out)
    assert run.status == 0, run
    attach = session.attach
    assert attach["verified"] == session.raw["sample_count"] > 20, attach
    assert attach["truncated"] == 0 and attach["lost"] <= session.raw["sample_count"] // 100
    assert attach["stops"] >= session.raw["sample_count"] and attach["stopped"] > 0, attach
    assert attach["stopped"] < len(attach["threads"]) * session.raw["duration"]
    assert re.search(r"target stopped [\d,]+ times, \d+\.\d{3} s in all", run.errors), run
    assert session.seconds_with("phase_deep") > 0.8
    assert any(thread["idle"] for thread in attach["threads"]), attach["threads"]


def test_native_report(targets, home, tmp_path, extension):
    """Functions by name and library in session and text; also of a file that was deleted."""
    program = Program(targets, lab.any_one(), extension, delete=True)
    phase = "cython" if "cython" in program.phases else "zlib"
    program.enter(phase)
    out = tmp_path / "o.pyisession"
    run = pyi.run("--pid", program.pid, "-d", "1", "-n", "-o", out, home=home)
    assert run.status == 0, run
    native = [frame for stack, _ in pyi.Session(out).records for frame in stack
              if frame.path and "/" in frame.path and not frame.path.endswith(".py")]
    assert native and all(frame.first_line == 0 for frame in native)
    if phase == "cython":
        spun = [f for f in native if "pyi_loop" in f.path and "spin" in f.function]
        assert spun, sorted({f.function for f in native})
    text = pyi.run("--load", out, "--show-all", home=home).text
    assert any(frame.function in text for frame in native)


def test_native_launch(home, tmp_path):
    """A program we start: nothing of the interpreter's own start lies below its module."""
    script = tmp_path / "script.py"
    script.write_text("import zlib\ndef work():\n    for i in range(60):\n"
                      "        zlib.compress(bytes(range(256)) * 2000, 9)\nwork()\n")
    out = tmp_path / "o.pyisession"
    run = pyi.run("-n", "--python", lab.any_one().executable, "-o", out, script, home=home)
    assert run.status == 0, run
    session = pyi.Session(out)
    assert session.seconds_with("work") > 0
    assert {stack[1].function for stack, _ in session.records if len(stack) > 1} == {"<module>"}
    assert "target stopped" in run.errors


def test_nonblocking_wins(targets, home):
    """The last of --blocking and --nonblocking counts; --native cannot do without stops."""
    program = Program(targets, lab.any_one())
    run = pyi.run("--pid", program.pid, "-d", "0.2", "--blocking", "--nonblocking", home=home)
    assert "target never stopped" in run.errors, run
    assert pyi.run("--pid", program.pid, "-n", "--nonblocking", home=home).status == 2
