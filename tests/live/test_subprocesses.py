# SPDX-License-Identifier: BSD-3-Clause
"""Several processes in one recording: each function under the process that ran it, none missed."""

import collections
import json
import os
import re
import shutil
import signal
import subprocess
import time

import lab
import pyi
import pytest
import test_roundtrip
from test_roundtrip import real  # noqa: F401, a fixture

SCRIPT = os.path.join(lab.TARGETS, "processes.py")
SHAPES = [["fork"], ["pool", "fork"], ["pool", "spawn"], ["pool", "forkserver"], ["run"],
          ["prefork"], ["exec"], ["exec_in_child"]]


def read_log(path):
    """{(pid, function): seconds}"""
    total = collections.Counter()
    with open(path) as file:
        for line in map(json.loads, file):
            total[line["pid"], line["function"]] += line["seconds"]
    return total


def unobserved(session, pid):
    """Seconds in which the machine did not let us look; the report says so."""
    return sum(seconds for stack, seconds in session.records if stack[-1].path == "<gap>"
               and pid == (stack[0].first_line if stack[0].path == "<process>" else pid))


def is_near(session, pid, found, seconds):
    return (seconds - 0.12 - 0.05 * seconds - unobserved(session, pid) < found
            < seconds + 0.12 + 0.05 * seconds)


def by_process(session):
    """{(pid, function of the fixture): seconds}, and the seconds of each record's (pid, thread)."""
    functions, threads = collections.Counter(), collections.Counter()
    for stack, seconds in session.records:
        assert stack[0].path == "<process>", stack
        assert stack[1].path == "<thread>", stack
        pid = stack[0].first_line
        threads[pid, stack[1].function, stack[1].first_line] += seconds
        for name in {f.function for f in stack if f.path and f.path.endswith("processes.py")}:
            functions[pid, name] += seconds
    return functions, threads


def check(session, truth, figure):
    functions, threads = by_process(session)
    rows = session.attach["processes"]
    known = {row["pid"] for row in rows}
    worst = 0.0
    for (pid, name), seconds in truth.items():
        assert pid in known, "process %d was missed: %r" % (pid, rows)
        worst = max(worst, abs(functions[pid, name] - seconds))
        assert is_near(session, pid, functions[pid, name], seconds), (
            name, functions[pid, name], seconds)
    for (pid, name), seconds in functions.items():
        if name.endswith("_work") or name == "handle_request":
            assert (pid, name) in truth or seconds < 0.01, (pid, name, seconds)
    # A thread's records fill its time: no time is counted twice or lost.
    lives = collections.Counter()
    for row in rows:
        lives[row["pid"]] += row["end"] - row["start"]
    for (pid, name, _), seconds in threads.items():
        assert seconds <= lives[pid] + 0.005, (pid, name, seconds, lives[pid])
        if name == "MainThread" and len([key for key in threads if key[:2] == (pid, name)]) == 1:
            assert seconds > lives[pid] - 0.1, (pid, seconds, lives[pid])
    figure("%d processes, %d functions: %.0f ms off at most", len(known), len(truth), 1000 * worst)


def check_order(session):
    """Process by process, thread by thread, and the table says where each thread's records are."""
    frames, last = [], None
    for stack, _ in session.records:
        key = (stack[0].function, stack[1].function, stack[1].first_line)
        if key != last:
            frames.append(key)
            last = key
    processes = [key[0] for key in frames]
    assert len(set(frames)) == len(frames)
    assert [p for i, p in enumerate(processes) if i == 0 or processes[i - 1] != p] == list(
        dict.fromkeys(processes))
    for thread in session.attach["threads"]:
        row = session.attach["processes"][thread["process"]]
        stack, _ = session.records[thread["first"]]
        assert stack[0].function == "%s (%d)" % (row["command"], row["pid"])
        assert stack[1].function == thread["name"]
    assert sum(t["samples"] for t in session.attach["threads"]) == session.raw["sample_count"]
    assert sum(t["records"] for t in session.attach["threads"]) == len(session.records)


@pytest.mark.parametrize("shape", SHAPES, ids="-".join)
def test_launched(home, tmp_path, shape, figure):
    out, log = tmp_path / "out.pyisession", tmp_path / "log"
    python = lab.any_one().executable
    run = pyi.run("-s", "-v", "--python", python, "-o", out, SCRIPT, shape[0], log, *shape[1:],
                  home=home)
    assert run.status == 0, run
    session = pyi.Session(out)
    assert session.raw["target_description"].startswith("Program: "), session.raw
    check(session, read_log(log), figure)
    check_order(session)
    if shape == ["run"]:
        assert not any("true" in row["command"] for row in session.attach["processes"])
    if shape[0].startswith("exec"):
        commands = [row["command"] for row in session.attach["processes"]]
        assert any("leaf" in command for command in commands), commands
        assert any("became" in note for note in session.attach["notes"]), session.attach["notes"]


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_attached_to_every_version(home, tmp_path, targets, interpreter, figure):
    """A fork, a grandchild and a pool that were there before or came later."""
    inside = os.path.join(interpreter.root or "/", "tmp", "pyi-log-%d" % os.getpid())
    log = inside[len(interpreter.root):]
    open(inside, "w").close()
    target = lab.start(interpreter, "processes.py", "fork", log, "held")
    targets.append(target)
    assert target.line() == b"ready"
    out = tmp_path / "out.pyisession"
    profiler = pyi.start("-s", "--pid", target.pid, "-o", out, home=home)
    pyi.wait_ticking(profiler)
    target.say()
    run = pyi.finish(profiler)
    assert run.status == 0, run
    assert "the last of 4 processes ended" in run.errors, run
    session = pyi.Session(out)
    truth = read_log(inside)
    os.unlink(inside)
    if interpreter.root:
        pids = {row["pid"] for row in session.attach["processes"]}
        assert len(pids) == 4
    check(session, truth, figure)
    check_order(session)
    assert session.raw["target_description"].endswith(" and 3 more")


def test_upstream_shows_the_same(real, home, tmp_path, figure):
    out = tmp_path / "out.pyisession"
    run = pyi.run("-s", "--python", lab.any_one().executable, "-o", out, SCRIPT, "pool",
                  tmp_path / "log", "fork", home=home)
    assert run.status == 0, run
    test_roundtrip.compare(real, out, home, figure)


def test_a_process_that_lives_is_not_missed(home, tmp_path, figure):
    """All that live 100 ms are seen, on a machine that lets us run."""
    count, life = 40, 0.1
    for attempt in range(4):
        out, log = tmp_path / "out.pyisession", tmp_path / ("log%d" % attempt)
        run = pyi.run("-s", "-v", "-o", out, SCRIPT, "short", log, count, life, home=home)
        assert run.status == 0, run
        session = pyi.Session(out)
        truth = read_log(log)
        seen = {row["pid"]: row for row in session.attach["processes"]}
        functions, _ = by_process(session)
        found = [functions[key] / seconds for key, seconds in truth.items() if key[0] in seen]
        figure("%d of %d processes of %d ms seen, %.0f %% of their time; profiler %.1f %% of a core",
               len(found), count, 1000 * life, 100 * sum(found) / count,
               100 * session.attach["profiler_cpu"] / session.raw["duration"])
        if len(found) == count and sum(found) / count > 0.85:
            return
    raise AssertionError("missed in every attempt: %r" % run)


def test_a_thousand_short_lives(home, tmp_path, figure):
    """What is over at once is counted; memory, descriptors and CPU time stay within bounds."""
    out, log = tmp_path / "out.pyisession", tmp_path / "log"
    profiler = pyi.start("-s", "-v", "-o", out, SCRIPT, "short", log, 1000, 0.002, home=home)
    files = memory = 0
    while profiler.poll() is None:
        try:
            files = max(files, len(os.listdir("/proc/%d/fd" % profiler.pid)))
            with open("/proc/%d/status" % profiler.pid) as file:
                peak = re.search(r"VmHWM:\s+(\d+)", file.read())
            memory = max(memory, int(peak.group(1)) if peak else 0)
        except FileNotFoundError:
            pass
        time.sleep(0.05)
    run = pyi.finish(profiler, 120)
    assert run.status == 0, run
    session = pyi.Session(out)
    seen = len({row["pid"] for row in session.attach["processes"]}) - 1
    brief = [re.match(r"(\d+) child process", note) for note in session.attach["notes"]
             if "before anything could be recorded" in note]
    counted = int(brief[0].group(1)) if brief else 0
    share = session.attach["profiler_cpu"] / session.raw["duration"]
    figure("1,000 processes of 2 ms: %d recorded, %d counted as too brief; %d descriptors, %.0f MB, "
           "%.1f %% of a core", seen, counted, files, memory / 1024, 100 * share)
    assert 0 < seen + counted <= 1001, run
    assert files < 60 and memory < 200 << 10 and share < 0.6
    check_order(session)


def test_several_pids(home, tmp_path, targets, figure):
    for name in ("phases.py", "single.py"):
        targets.append(lab.start(lab.any_one(), name))
        targets[-1].line()
    pids = [target.pid for target in targets[-2:]]
    out = tmp_path / "out.pyisession"
    run = pyi.run("--pid", pids[0], "--pid", pids[1], "--pid", pids[0], "-d", "0.5", "-o", out,
                  home=home)
    assert run.status == 0, run
    session = pyi.Session(out)
    assert [row["pid"] for row in session.attach["processes"]] == pids
    functions = collections.defaultdict(set)
    for stack, _ in session.records:
        functions[stack[0].first_line] |= {frame.function for frame in stack}
    assert "middle" in functions[pids[1]] and "middle" not in functions[pids[0]]
    assert "of 2 processes" in run.errors, run
    check_order(session)


def test_one_of_several_refused(home, tmp_path, targets):
    targets.append(lab.start(lab.any_one(), "single.py"))
    targets[-1].line()
    pid, out = targets[-1].pid, tmp_path / "out.pyisession"
    other = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL)
    try:
        run = pyi.run("--pid", pid, "--pid", other.pid, "-d", "0.2", "-o", out, home=home)
        assert run.status == 3, run
        assert "process %d (sleep" % other.pid in run.errors, run
        assert not out.exists()
    finally:
        other.kill()
        other.wait()
    gone = pyi.run("--pid", other.pid, "--pid", pid, "-d", "0.2", "-o", out, home=home)
    assert gone.status == 0, gone
    assert "no process with PID %d; it is left out" % other.pid in gone.errors, gone
    session = pyi.Session(out)
    assert session.records[0][0][0].path == "<thread>", "one process needs no level for it"
    none = pyi.run("--pid", other.pid, "--pid", other.pid, home=home)
    assert none.status == 5, none


def test_a_file_for_each_process(home, tmp_path, figure):
    log = tmp_path / "log"
    run = pyi.run("-s", "-o", tmp_path / "prof-%p-%%-%t.pyisession", SCRIPT, "fork", log, home=home)
    assert run.status == 0, run
    files = {}
    for path in tmp_path.glob("prof-*"):
        match = re.fullmatch(r"prof-(\d+)-%-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.pyisession", path.name)
        assert match, path
        files[int(match.group(1))] = pyi.Session(path)
    truth = read_log(log)
    assert set(files) == {pid for pid, _ in truth}
    for (pid, name), seconds in truth.items():
        session = files[pid]
        assert session.records[0][0][0].path == "<thread>"
        assert [row["pid"] for row in session.attach["processes"]] == [pid]
        assert is_near(session, pid, session.seconds_with(name), seconds), (pid, name)


def test_signs_in_a_single_report_mean_nothing(home, tmp_path):
    out = tmp_path / "prof-%p.pyisession"
    run = pyi.run("-o", out, SCRIPT, "leaf", tmp_path / "log", home=home)
    assert run.status == 0, run
    assert out.exists()


def test_boot_parent(home, tmp_path, targets):
    """A program that is no Python but whose child is: named in the refusal, followed with -s."""
    log = tmp_path / "log"
    command = '"$0" "$1" fork "$2" held; exit 7'
    target = lab.Target(["/bin/sh", "-c", command, lab.any_one().executable, SCRIPT, str(log)])
    targets.append(target)
    assert target.line() == b"ready"
    with open("/proc/%d/task/%d/children" % (target.pid, target.pid)) as file:
        child = int(file.read().split()[0])
    refused = pyi.run("--pid", target.pid, home=home)
    assert refused.status == 3, refused
    assert "children running Python: %d" % child in refused.errors, refused
    out = tmp_path / "out.pyisession"
    profiler = pyi.start("-s", "--pid", target.pid, "-o", out, home=home)
    pyi.wait_ticking(profiler)
    target.say()
    run = pyi.finish(profiler)
    assert run.status == 0, run
    session = pyi.Session(out)
    assert len(session.attach["processes"]) == 4, session.attach["processes"]
    assert {pid for pid, _ in read_log(log)} == {r["pid"] for r in session.attach["processes"]}


@pytest.mark.parametrize("how", ["duration", "interrupt"])
def test_stops_while_processes_run(home, tmp_path, targets, how):
    target = lab.start(lab.any_one(), "processes.py", "forever", tmp_path / "log")
    targets.append(target)
    assert target.line() == b"ready"
    child, out = int(target.line()), tmp_path / "out.pyisession"
    more = ["-d", "0.5"] if how == "duration" else []
    profiler = pyi.start("-s", "--pid", target.pid, *more, "-o", out, home=home)
    if how == "interrupt":
        pyi.wait_ticking(profiler, 200)
        profiler.send_signal(signal.SIGINT)
    run = pyi.finish(profiler)
    assert run.status == 0, run
    rows = pyi.Session(out).attach["processes"]
    assert [row["pid"] for row in rows] == [target.pid, child]
    assert rows[1]["parent"] == target.pid
    assert all(row["cpu"] > 0 and row["end"] > row["start"] for row in rows)
    os.kill(child, 0)


@pytest.mark.parametrize("end", ["status", "signal"])
def test_the_program_keeps_its_end(home, tmp_path, end):
    """Exit status and signals are the program's own, whatever its children do."""
    code = ("import os, signal, sys, time\n"
            "pid = os.fork()\n"
            "if not pid:\n"
            "    signal.alarm(20)\n"
            "    while True: sum(range(100))\n"
            "end = time.monotonic() + 0.3\n"
            "while time.monotonic() < end: sum(range(100))\n"
            "print(pid, flush=True)\n"
            "%s\n" % ("sys.exit(9)" if end == "status" else "os.kill(os.getpid(), signal.SIGTERM)"))
    out = tmp_path / "out.pyisession"
    run = pyi.run("-s", "-v", "-o", out, "-c", code, home=home)
    os.kill(int(run.text.split()[0]), signal.SIGKILL)
    assert run.status == (9 if end == "status" else -signal.SIGTERM), run
    session = pyi.Session(out)
    assert len(session.attach["processes"]) == 2
    assert "1 child process was still running when the program ended" in session.attach["notes"]


@pytest.mark.parametrize("renderer", ["text", "speedscope", "chrome", "gecko", "pprof", "collapsed",
                                      "flamegraph", "markdown", "html", "json", "pstats"])
def test_every_format_has_all_processes(home, tmp_path, several, renderer):
    out = tmp_path / ("out." + renderer)
    run = pyi.run("--load", several, "-r", renderer, "-o", out, home=home)
    assert run.status == 0, run
    data = out.read_bytes()
    if renderer == "pprof":
        data = subprocess.run(["gzip", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    if renderer in ("html", "pstats"):
        assert len(data) > 1000
        return
    text = data.decode("utf-8", "replace")
    for row in pyi.Session(several).attach["processes"]:
        assert re.search(r"\b%d\b" % row["pid"], text), (renderer, row["pid"])
    if renderer == "chrome":
        events = json.loads(text)["traceEvents"]
        assert {e["pid"] for e in events if e["ph"] != "M"} == {
            row["pid"] for row in pyi.Session(several).attach["processes"]}
        named = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
        assert len(named) == len(pyi.Session(several).attach["processes"])
        check_spans(events, pyi.Session(several))
    if renderer == "gecko":
        threads = json.loads(text)["threads"]
        assert len({t["pid"] for t in threads}) == len({t["processName"] for t in threads}) == len(
            pyi.Session(several).attach["processes"])
    if renderer == "collapsed":
        assert all(re.match(r".* \(\d+\).*;", line) for line in text.splitlines())


def check_spans(events, session):
    """Each process's lane begins and ends when the process did."""
    for row in session.attach["processes"]:
        times = [e["ts"] / 1e6 for e in events if e["pid"] == row["pid"] and "ts" in e]
        assert abs(min(times) - row["start"]) < 0.02, row
        assert abs(max(times) - row["end"]) < 0.1, row


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    out = folder / "out.pyisession"
    run = pyi.run("-s", "-o", out, SCRIPT, "fork", folder / "log", home=folder)
    assert run.status == 0, run
    return out


@pytest.mark.skipif(not shutil.which("strace"), reason="no strace")
def test_nobody_is_touched(home, tmp_path, figure):
    """Children are found by reading only: nothing is traced, written to or signalled."""
    trace, out = tmp_path / "trace", tmp_path / "out.pyisession"
    calls = "ptrace,process_vm_writev,kill,tkill,tgkill,pidfd_send_signal,rt_sigqueueinfo"
    run = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=%s,process_vm_readv" % calls, "-e", "signal=none", "-o",
         trace,
         lab.BINARY, "-s", "-o", out, SCRIPT, "fork", tmp_path / "log"],
        env=pyi.environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, timeout=120)
    assert run.returncode == 0, run.stderr
    lines = trace.read_text().splitlines()
    ours = lines[0].split()[0]
    touched = [line for line in lines if line.split()[0] == ours and "process_vm_readv" not in line]
    assert not touched, touched
    session = pyi.Session(out)
    reads = sum("process_vm_readv(" in line for line in lines)
    figure("%d processes, %d samples: %d calls that read memory, none that writes, stops or signals",
           len(session.attach["processes"]), session.raw["sample_count"], reads)
    assert len(session.attach["processes"]) == 4


def test_report_so_far(home, tmp_path, targets):
    """SIGUSR1 gives one session of all processes that there are."""
    target = lab.start(lab.any_one(), "processes.py", "forever", tmp_path / "log")
    targets.append(target)
    assert target.line() == b"ready"
    child, out = int(target.line()), tmp_path / "out-%p.pyisession"
    profiler = pyi.start("-s", "--pid", target.pid, "-o", out, home=home)
    pyi.wait_ticking(profiler, 100)
    profiler.send_signal(signal.SIGUSR1)
    stored = home / "pyinstrument" / "reports"
    deadline = time.monotonic() + 20
    while not list(stored.glob("*.pyisession")):
        assert time.monotonic() < deadline, "no report so far"
        time.sleep(0.02)
    profiler.send_signal(signal.SIGINT)
    run = pyi.finish(profiler)
    assert run.status == 0, run
    assert "the report so far: pyinstrument --load-prev" in run.errors, run
    session = pyi.Session(next(stored.glob("*.pyisession")))
    assert {stack[0].first_line for stack, _ in session.records} == {target.pid, child}
    for pid in target.pid, child:
        assert (tmp_path / ("out-%d.pyisession" % pid)).exists()
