# SPDX-License-Identifier: BSD-3-Clause
"""Pipes that close, disks that are full, reports on request, processes that are killed: nothing
recorded is lost, nobody hangs, and a program keeps the behaviour of a plain run."""
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from conftest import BINARY, PYTHON, frame, make_session

BUSY = """\
import time
def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(200))
"""


def shell(tool, line, **options):
    """A pipeline in bash; its output, and the status of each part as a list."""
    env = dict(tool.env, PATH=f"{os.path.dirname(BINARY)}:{tool.env['PATH']}")
    done = subprocess.run(["bash", "-c", line + '; echo "status ${PIPESTATUS[*]}" >&2'], cwd=tool.folder,
                          env=env, capture_output=True, text=True, timeout=60, **options)
    *err, last = done.stderr.splitlines()
    return done.stdout, err, last.split()[1:]


def large_session(tool, name="large.pyisession"):
    """Its JSON report is some hundred kilobytes, its text report too."""
    session = make_session()
    top = session["start_call_stack"]
    session["frame_records"] = [[top + [frame(f"function{n}", f"/home/u/part{n}.py", n)], 1.0 / 3000]
                                for n in range(3000)]
    return tool.write(name, json.dumps(session))


def wait_catching(pid, number):
    """Returns when a process has a handler for a signal."""
    for _ in range(2000):
        with open(f"/proc/{pid}/status") as file:
            mask = int(re.search(r"^SigCgt:\t(\w+)", file.read(), re.M).group(1), 16)
        if mask >> (number - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("it never caught the signal")


# ---- readers that go away ----------------------------------------------------------------------

@pytest.mark.parametrize("program", [
    "print('first'); print('second')",
    "import sys\nfor n in range(200000): print('line', n)",
    "import sys; print('first', flush=True); sys.exit(7)",
])
def test_a_program_whose_reader_goes_away(tool, program):
    tool.write("s.py", BUSY + "burn(0.2)\n" + program)
    plain = shell(tool, f"{PYTHON} s.py | head -1")
    ours = shell(tool, f"pyinstrument --python {PYTHON} s.py | head -1")
    assert ours[0] == plain[0] and ours[2] == plain[2]
    # On a busy machine samples are missed, and that is said.
    assert [line for line in ours[1] if "warning: " not in line and " samples in " not in line] == plain[1]


def test_an_attach_whose_reader_goes_away_is_kept(tool, worker):
    out, err, status = shell(tool, f"pyinstrument -q -r json -d 0.5 --pid {worker.pid} | true")
    assert status == ["141", "0"] and err == []
    (kept,) = tool.run("--list-prev").stdout.split()
    assert "busy" in tool.run("--load-prev", kept).stdout


def test_a_loaded_report_whose_reader_goes_away(tool):
    large_session(tool)
    out, err, status = shell(tool, "pyinstrument -p flat -p processor_options.filter_threshold=0 --show-all "
                                   "--load large.pyisession | head -2")
    assert status[0] in ("141", "0") and err == []


def test_into_a_file(tool):
    tool.write("s.py", BUSY + "print('mine')\nburn(0.2)")
    out, err, status = shell(tool, f"pyinstrument --python {PYTHON} s.py > out.txt")
    text = (tool.folder / "out.txt").read_text()
    assert status == ["0"] and text.startswith("mine\n\n  _     ._") and text.count("Recorded") == 1


# ---- what holds the output open ----------------------------------------------------------------

@pytest.mark.parametrize("keeper", [
    "import subprocess; subprocess.Popen(['sleep', '50'])",
    "import threading; threading.Thread(target=time.sleep, args=(50,), daemon=True).start()",
    "import os\nif os.fork() == 0:\n    time.sleep(50)\n    os._exit(0)",
])
def test_leftovers_of_a_program_do_not_hold_us(tool, keeper):
    tool.write("s.py", BUSY + keeper + "\nburn(0.3)\nprint('done')")
    process = tool.start("--python", PYTHON, "s.py", start_new_session=True)
    try:
        assert process.wait(timeout=8) == 0
        os.set_blocking(process.stdout.fileno(), False)
        text = os.read(process.stdout.fileno(), 1 << 16).decode()
        assert text.startswith("done\n") and "burn  s.py:2" in text and text.endswith("[options]\n\n")
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left of it
        process.communicate()


# ---- full disks --------------------------------------------------------------------------------

def rendered_again(tool, err):
    """The command that the message names works."""
    assert "No space left on device" in err
    path, command = re.search(r"note: the recording is kept in (\S+): (pyinstrument .*)", err).groups()
    assert os.path.exists(path)
    return tool.run(*command.split()[1:], "-r", "json")


def test_a_full_device(tool, worker):
    done = tool.run("-d", "0.3", "-o", "/dev/full", "--pid", worker.pid)
    assert done.returncode == 1
    assert "busy" in rendered_again(tool, done.stderr).stdout


def test_a_full_standard_output(tool):
    with open("/dev/full", "w") as full:
        process = tool.start("--load", tool.session(), stdout=full)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert rendered_again(tool, err).returncode == 0


def test_a_full_disk_leaves_the_old_report(tool):
    large_session(tool)
    (tool.folder / "disk").mkdir()
    script = ("mount -t tmpfs -o size=64k tmpfs disk && echo old > disk/out.json && cd disk && "
              f"{{ {BINARY} -r json --show-all -p processor_options.filter_threshold=0 -o out.json "
              "--load ../large.pyisession; echo status $?; ls -A; cat out.json; }")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=tool.folder, env=tool.env,
                          capture_output=True, text=True, timeout=60)
    if "status" not in done.stdout:
        pytest.skip("no right to mount here: " + done.stderr.strip())
    assert done.stdout == "status 1\nout.json\nold\n"
    assert rendered_again(tool, done.stderr).returncode == 0


def test_the_store_is_on_the_full_disk_too(tool):
    tool.write("data", "a file where the folder should be")
    env = {"TMPDIR": str(tool.folder)}
    done = tool.run("--load", tool.session(), "-o", "/dev/full", env=env)
    path = re.search(r"note: the recording is kept: pyinstrument --load (\S+)", done.stderr).group(1)
    assert "work" in tool.run("-q", "--load", path).stdout


# ---- reports on request ------------------------------------------------------------------------

def test_a_report_so_far(tool, worker):
    process = tool.start("-r", "pyisession", "-o", "r.pyisession", "--pid", worker.pid)
    wait_catching(process.pid, signal.SIGUSR1)
    time.sleep(0.3)
    process.send_signal(signal.SIGUSR1)
    assert process.stderr.readline() == "pyinstrument: r.pyisession has the report so far; recording goes on\n"
    first = json.loads((tool.folder / "r.pyisession").read_text())
    assert first["sample_count"] > 0
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    last = json.loads((tool.folder / "r.pyisession").read_text())
    assert last["sample_count"] > first["sample_count"] and last["duration"] > first["duration"]
    assert sorted(p.name for p in tool.folder.iterdir()) == ["r.pyisession", "worker.py"]


def test_a_report_so_far_without_a_file(tool, worker):
    process = tool.start("--pid", worker.pid)
    wait_catching(process.pid, signal.SIGUSR1)
    time.sleep(0.3)
    process.send_signal(signal.SIGUSR1)
    line = process.stderr.readline()
    kept = re.fullmatch(r"pyinstrument: the report so far: pyinstrument --load-prev (\S+); recording goes on\n", line)
    assert "busy" in tool.run("-q", "--load-prev", kept.group(1)).stdout
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and out.count("Recorded:") == 1


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_program_gets_its_own_signals(tool, number):
    tool.write("s.py", BUSY + f"import signal, sys\nsignal.signal({int(number)}, lambda *a: sys.exit(5))\n"
                       "print('go', flush=True)\nburn(30)")
    process = tool.start("--python", PYTHON, "-o", "r.json", "s.py")
    assert process.stdout.readline() == "go\n"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 5


# ---- long writing ------------------------------------------------------------------------------

def test_a_line_while_a_report_is_written(tool):
    large_session(tool)
    os.mkfifo(tool.folder / "slow.json")
    drawn, got = threading.Event(), []

    def read_late():
        with open(tool.folder / "slow.json", "rb") as file:
            drawn.wait(30)
            got.append(file.read())
    reader = threading.Thread(target=read_late)
    reader.start()
    status, text = tool.terminal("-p", "processor_options.filter_threshold=0", "-o", "slow.json", "--load",
                                 "large.pyisession",
                                 on_text=lambda text, fd, pid: "writing" in text and drawn.set())
    drawn.set()
    reader.join(30)
    assert status == 0 and json.loads(got[0])
    assert text.startswith("\rwriting slow.json") and text.endswith("\r\x1b[K")


@pytest.mark.parametrize("words", [["-q"], ["--progress=never"]])
def test_no_such_line_when_not_wanted(tool, words):
    large_session(tool)
    os.mkfifo(tool.folder / "slow.json")
    enough = threading.Event()

    def read_late():
        with open(tool.folder / "slow.json", "rb") as file:
            enough.wait(1.5)
            file.read()
    reader = threading.Thread(target=read_late)
    reader.start()
    status, text = tool.terminal(*words, "-p", "processor_options.filter_threshold=0", "-o", "slow.json",
                                 "--load", "large.pyisession")
    reader.join(30)
    assert (status, text) == (0, "")


def test_the_last_lines_of_an_attach_on_a_terminal(tool, worker):
    status, text = tool.terminal("-d", "0.5", "-o", "r.json", "--pid", worker.pid)
    assert status == 0
    assert re.search(r"\r\x1b\[K(.*\n)?r\.json  \d+ KB  \([\d ]+ samples, 0:0\d, \d+\.\d % missed\)\n", text)
    status, text = tool.terminal("-q", "-d", "0.3", "-o", "r.json", "--pid", worker.pid)
    assert (status, text) == (0, "")


# ---- lack of memory ----------------------------------------------------------------------------

@pytest.fixture
def small_group():
    """A control group with little memory, of either kind."""
    for folder, limit in ((f"/sys/fs/cgroup/memory/pyinstrument-test-{os.getpid()}", "memory.limit_in_bytes"),
                          (f"/sys/fs/cgroup/pyinstrument-test-{os.getpid()}", "memory.max")):
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            with open(os.path.join(folder, limit), "w") as file:
                file.write(str(48 << 20))
            yield folder
            return
        except OSError:
            continue
        finally:
            for _ in range(100):
                try:
                    os.rmdir(folder)
                    break
                except OSError:
                    time.sleep(0.05)
    pytest.skip("no right to make a control group with a memory limit here")


def test_the_out_of_memory_killer_is_named(tool, small_group):
    tool.write("eater.py", "import sys, time\nprint('ready', flush=True)\nsys.stdin.readline()\n"
                           "kept = []\nwhile True:\n    kept.append(bytearray(1 << 20))\n    time.sleep(0.01)\n")
    eater = subprocess.Popen([PYTHON, "eater.py"], cwd=tool.folder, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    try:
        assert eater.stdout.readline() == "ready\n"
        with open(os.path.join(small_group, "cgroup.procs"), "w") as file:
            file.write(str(eater.pid))
        process = tool.start("--pid", eater.pid)
        wait_catching(process.pid, signal.SIGINT)
        eater.stdin.write("\n")
        eater.stdin.flush()
        eater.wait(timeout=40)
        out, err = process.communicate(timeout=30)
    finally:
        eater.kill()
        eater.communicate()
    if eater.returncode != -signal.SIGKILL:
        pytest.skip("the limit was not kept")
    assert process.returncode == 0 and "eater.py" in out
    # Who has collected it first decides whether its signal is known.
    assert re.search(r"(was killed by SIGKILL|ended) after \d+\.\d s \(out of memory killer\?\)\n", err), err


def test_a_plain_kill_is_not(tool, worker):
    process = tool.start("--pid", worker.pid)
    wait_catching(process.pid, signal.SIGINT)
    time.sleep(0.3)
    worker.kill()
    _, err = process.communicate(timeout=30)
    assert re.search(rf"process {worker.pid} (was killed by SIGKILL|ended) after", err), err
    assert "out of memory" not in err
