# SPDX-License-Identifier: BSD-3-Clause
"""--pid and --diagnose: durations, interrupts, refusals, counts, progress."""
import fcntl
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import PYTHON


def test_a_bare_attach_prints_what_load_prints(tool, worker):
    done = tool.run("-d", "0.5", "--pid", worker.pid)
    assert done.returncode == 0, done.stderr
    assert "busy  worker.py:2" in done.stdout
    assert f"Process {worker.pid}: " in done.stdout
    name = tool.run("--list-prev").stdout.split()[0]
    assert tool.run("--load-prev", name).stdout == done.stdout
    assert worker.poll() is None


def test_counts_on_stderr(tool, worker):
    done = tool.run("-d", "500ms", "--pid", worker.pid)
    assert re.search(r"^[\d,]+ samples in 0\.\d+ s: .*target never stopped", done.stderr, re.M), done.stderr
    assert "samples in" not in tool.run("-q", "-d", "0.2", "--pid", worker.pid).stderr


def test_rate_and_duration(tool, worker):
    done = tool.run("--rate", "100hz", "-d", "1s", "-r", "pyisession", "--pid", worker.pid)
    session = json.loads(done.stdout)
    assert session["min_interval"] == 0.01
    assert 0.9 <= session["duration"] <= 1.5
    assert 30 <= session["sample_count"] <= 110


def test_outfile(tool, worker):
    done = tool.run("-d", "0.2", "-o", "r.json", "--pid", worker.pid)
    assert done.returncode == 0 and done.stdout == ""
    assert json.loads((tool.folder / "r.json").read_text())["root_frame"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_with_a_report(tool, worker, number):
    process = tool.recording("--progress", "never", "--pid", worker.pid)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "busy  worker.py:2" in out
    assert worker.poll() is None


def test_the_second_interrupt_gives_up_the_report(tool, worker):
    # Some hundred kilobytes of report into a small pipe that nobody reads on: it has to wait.
    process = tool.start("-r", "pyisession", "-i", "100us", "-d", "3", "--pid", worker.pid)
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    first = os.read(process.stdout.fileno(), 1)
    assert first == b"{"
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    kept = re.search(r"--load-prev (\S+)", err).group(1)
    assert kept in tool.run("--list-prev").stdout
    assert worker.poll() is None


def test_the_end_of_the_target_is_no_error(tool, worker):
    process = tool.recording("--pid", worker.pid)
    worker.kill()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    # One or two samples, which need not have met the busy function itself.
    assert "No samples were recorded" not in out and "Samples:" in out
    assert re.search(rf"process {worker.pid} (ended|was killed)", err)


def test_thread_selection(tool, worker):
    done = tool.run("-d", "0.2", "--thread", "main", "--pid", worker.pid)
    assert done.returncode == 0 and "busy" in done.stdout
    done = tool.run("-d", "0.2", "--thread", "no-such-*", "--pid", worker.pid)
    assert done.returncode == 5
    assert "no thread fits --thread no-such-*" in done.stderr


def test_headline_of_an_attach(tool, worker):
    done = tool.run("-d", "0.1", "--target-description", "[{args}]", "-r", "json", "--pid", worker.pid)
    assert json.loads(done.stdout)["target_description"] == f"[{PYTHON} {tool.folder}/worker.py 60]"


def test_memory_image(tool, worker):
    done = tool.run("-d", "0.2", "--dump-image", "m.img", "--pid", worker.pid)
    assert done.returncode == 0, done.stderr
    assert (tool.folder / "m.img").stat().st_size > 1000


# ---- refusals ----------------------------------------------------------------------------------

def no_such_pid():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def refused(tool, pid, status, slug, message):
    done = tool.run("--pid", pid)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("pyinstrument: error: ") and message in done.stderr
    error = json.loads(tool.run("--json-errors", "--pid", pid).stderr)
    assert error["code"] == slug and error["exit"] == status
    return done


def test_no_such_process(tool):
    refused(tool, no_such_pid(), 5, "no-process", "no process with PID")


def test_not_python(tool):
    process = subprocess.Popen(["sleep", "60"])
    try:
        refused(tool, process.pid, 3, "not-python", "is not running Python")
    finally:
        process.kill()
        process.wait()


def test_a_child_is_named(tool):
    tool.write("worker.py", "import time; print('ready', flush=True); time.sleep(60)")
    process = subprocess.Popen(["sh", "-c", f"{PYTHON} worker.py; true"], cwd=tool.folder,
                               stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout.readline() == "ready\n"
        done = refused(tool, process.pid, 3, "not-python", "children running Python")
        child = re.search(r"Python: (\d+)", done.stderr).group(1)
        assert f"--pid {child}\n" in done.stderr
        assert tool.run("-d", "0.1", "--pid", child).returncode in (0, 5)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_zombie(tool):
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        refused(tool, process.pid, 5, "zombie", "zombie")
    finally:
        process.wait()


def test_kernel_thread(tool):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if int(file.read().rsplit(")", 1)[1].split()[1]) == 2:
                    refused(tool, pid, 3, "kernel-thread", "is a kernel thread")
                    return
        except OSError:
            continue
    pytest.skip("no kernel thread is visible here")


def test_nothing_is_recorded_when_the_outfile_is_bad(tool, worker):
    done = tool.run("-o", "missing/r.txt", "--pid", worker.pid)
    assert done.returncode == 1 and "samples in" not in done.stderr


# ---- progress ----------------------------------------------------------------------------------

def test_progress_on_a_terminal_is_erased(tool, worker):
    status, text = tool.terminal("-d", "1", "--pid", worker.pid)
    assert status == 0
    assert f"\rrecording pid {worker.pid}" in text
    assert 2 <= text.count("\rrecording") <= 6
    before, after = text.rsplit("\rrecording", 1)
    assert "\r\x1b[K\n  _     ._" in after


def test_no_progress_in_a_file(tool, worker):
    assert "recording pid" not in tool.run("-d", "0.6", "--pid", worker.pid).stderr
    status, text = tool.terminal("--progress", "never", "-d", "0.6", "--pid", worker.pid)
    assert "recording pid" not in text


# ---- diagnosis ---------------------------------------------------------------------------------

def test_diagnosis(tool, worker):
    done = tool.run("--diagnose", worker.pid)
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout
    assert f"can be profiled: pyinstrument --pid {worker.pid}" in done.stdout
    result = json.loads(tool.run("--diagnose", worker.pid, "--json").stdout)
    assert result["can_profile"] is True and result["checks"]
    assert all(check["result"] == "passed" for check in result["checks"])
    details = {check["name"]: check["detail"] for check in result["checks"]}
    assert list(details) == ["process", "permission", "program", "runtime", "version", "layout",
                             "threads", "trial"]
    assert "_PyRuntime at 0x" in details["runtime"] and details["version"].startswith("Python 3.")
    assert details["threads"].startswith("1 Python thread ")
    assert re.match(r"[\d,]+ samples in 1\.\d\d s: ", details["trial"])


def test_diagnosis_of_a_refusal(tool):
    pid = no_such_pid()
    done = tool.run("--diagnose", pid)
    assert done.returncode == 5
    assert "FAILED" in done.stdout and "no-process" in done.stdout
    assert re.search(r"^  -       trial        not reached$", done.stdout, re.M)
    result = json.loads(tool.run("--diagnose", pid, "--json").stdout)
    assert result["can_profile"] is False and result["exit"] == 5
    assert result["error"]["code"] == "no-process"
