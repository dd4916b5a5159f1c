# SPDX-License-Identifier: BSD-3-Clause
"""Programs we start: what they see, how they end, what is printed when: rows 14 to 18."""
import json
import os
import signal
import subprocess
import time

import pytest

from conftest import PYTHON, covers

SEE = """\
import os, sys, json
print(json.dumps({"argv": sys.argv, "name": __name__, "cwd": os.getcwd(), "exe": sys.executable,
                  "file": globals().get("__file__"), "path0": sys.path[0],
                  "env": dict(os.environ), "stdin": sys.stdin.read()}))
"""
BUSY = """\
import time
def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(200))
"""


def seen(tool, plain, ours, **options):
    """What a program prints in a plain run and under us."""
    env = dict(tool.env, **options.get("env", {}))
    a = subprocess.run(plain, cwd=tool.folder, env=env, capture_output=True, text=True, input="in\n")
    b = tool.run("-o", "report.txt", *ours, env=options.get("env"), input="in\n")
    assert a.returncode == 0 and b.returncode == 0, b.stderr
    # A program that is over at once may not have been seen; that is said.
    assert all(line.startswith("pyinstrument: warning: ") or " lost, " in line
               for line in b.stderr.splitlines())
    return json.loads(a.stdout), json.loads(b.stdout)


@covers("run-script", "run-m", "run-c", "run-folder", "opt-m", "opt-c")
@pytest.mark.parametrize("words", [
    ["see.py", "a", "-x", "--load", "y"], ["./see.py"], ["-m", "see", "-o", "x"],
    ["-c", SEE, "b", "-c"], ["pkg", "1"], ["-m", "pkg"],
])
def test_the_program_sees_a_plain_run(tool, words):
    tool.write("see.py", SEE)
    tool.write("pkg/__main__.py", SEE)
    plain, ours = seen(tool, ["python3", *words], words)
    assert ours == plain


@covers("run-from-path", "opt-from-path", "env-path")
def test_from_path(tool):
    tool.write("bin/see-it", SEE, 0o755)
    env = {"PATH": f"{tool.folder}/bin:{os.environ['PATH']}"}
    plain, ours = seen(tool, ["python3", f"{tool.folder}/bin/see-it", "z"],
                       ["--from-path", "see-it", "z"], env=env)
    assert ours == plain


@covers("env-path")
@pytest.mark.parametrize("case", ["option", "shebang", "environment", "path"])
def test_choice_of_the_interpreter(tool, case):
    for folder in ("one", "two", "venv/bin", "three"):
        for name in ("python3", "python"):
            tool.write(f"{folder}/{name}", f"#!/bin/sh\nPICKED={folder} exec {PYTHON} \"$@\"\n", 0o755)
    script = tool.write("s.py", (f"#!{tool.folder}/two/python3 -u\n" if case in ("option", "shebang")
                                 else "#!/missing/python3\n") + "import os; print(os.environ['PICKED'])")
    env = {"PATH": f"{tool.folder}/three:{os.environ['PATH']}"}
    if case != "path":
        env["VIRTUAL_ENV"] = f"{tool.folder}/venv"
    options = ["--python", "one/python3"] if case == "option" else []
    done = tool.run("-o", "out.txt", *options, script, env=env)
    expected = {"option": "one", "shebang": "two", "environment": "venv/bin", "path": "three"}
    assert done.stdout == expected[case] + "\n", done.stderr


def test_no_interpreter(tool):
    tool.write("s.py", "print()")
    done = tool.run("--python", "no-such-python", "s.py")
    assert done.returncode == 1
    assert done.stderr.startswith("pyinstrument: error: cannot run no-such-python: not found in PATH\n")
    assert "  try:  " in done.stderr


@pytest.mark.parametrize("words", [["--python", "no-such-python"], ["--python=no-such-python"], []])
def test_the_command_that_helps_replaces_the_option(tool, words):
    tool.write("s.py", "print()")
    done = tool.run(*words, "s.py", env={"PATH": "/nowhere"})
    assert done.returncode == 1
    command = next(line for line in done.stderr.splitlines() if line.startswith("  try:  "))
    assert command.count("--python") == 1 and command.endswith(" --python=FILE s.py")


@covers("err-14")
def test_missing_script(tool):
    done = tool.run("nope.py")
    assert done.returncode == 1
    assert done.stderr == "Error: program nope.py not found!\n"
    tool.write("server.py", "")
    assert "did you mean server.py?" in tool.run("sevrer.py").stderr


@covers("err-15")
def test_missing_script_in_path(tool):
    done = tool.run("--from-path", "nope-nope")
    assert done.returncode == 1
    assert done.stderr == "Error: program nope-nope not found in PATH!\n"


# ---- the headline ------------------------------------------------------------------------------

@covers("opt-target-description")
@pytest.mark.parametrize("options, words, headline", [
    ([], ["s.py", "a", "b c"], "Program: s.py a b c"),
    ([], ["-m", "s", "a"], "Program: s a"),
    ([], ["-c", "import s", "a"], "Program: -c a"),
    (["--target-description", "run of {args!r:>12} {{}}"], ["s.py"], "run of       's.py' {}"),
    (["--target-description", "plain"], ["s.py"], "plain"),
])
def test_headline(tool, options, words, headline):
    tool.write("s.py", BUSY + "burn(0.1)")
    done = tool.run("-r", "json", *options, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target_description"] == headline


@covers("err-16", "err-17", "err-18", "err-before")
@pytest.mark.parametrize("text, status, message", [
    ("{foo}", 2, "Unknown placeholder 'foo'"), ("{}", 2, "Empty placeholder"),
    ("{0}", 2, "Empty placeholder"), ("{", 1, ""), ("a}", 1, ""), ("{args.x}", 1, ""),
])
def test_bad_headline(tool, text, status, message):
    tool.write("s.py", "open('ran', 'w')")
    done = tool.run("--target-description", text, "s.py")
    assert done.returncode == status and message in done.stderr
    assert not (tool.folder / "ran").exists()


# ---- the report and the end --------------------------------------------------------------------

@covers("end-normal", "out-hint", "out-programs-first")
def test_report_and_hint(tool):
    tool.write("s.py", BUSY + "print('mine')\nburn(0.3)")
    done = tool.run("s.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine\n\n  _     ._   __/__")
    assert "<module>  s.py:1" in done.stdout and "burn  s.py:2" in done.stdout
    assert "MainThread" not in done.stdout and "importlib" not in done.stdout
    names = tool.run("--list-prev").stdout.split()
    assert done.stdout.endswith(f"    pyinstrument --load-prev {names[0]} [options]\n\n")
    assert tool.run("--load-prev", names[0]).stdout == done.stdout[len("mine\n"):]


@covers("out-programs-first")
def test_the_programs_output_comes_first(tool):
    # Into a pipe Python writes at its very end.
    tool.write("s.py", BUSY + "burn(0.1)\nprint('buffered')\n"
                       "import atexit; atexit.register(print, 'at exit')")
    done = tool.run("-r", "json", "s.py")
    assert done.stdout.startswith("buffered\nat exit\n{")


@covers("end-exit", "end-exception", "end-killed")
@pytest.mark.parametrize("last, status", [
    ("pass", 0), ("import sys; sys.exit()", 0), ("import sys; sys.exit(7)", 7),
    ("import sys; sys.exit('words')", 1), ("1/0", 1), ("import os; os._exit(9)", 9),
])
def test_status_is_the_programs(tool, last, status):
    tool.write("s.py", BUSY + "burn(0.15)\n" + last)
    plain = subprocess.run([PYTHON, "s.py"], cwd=tool.folder, capture_output=True, text=True)
    done = tool.run("--python", PYTHON, "-o", "r.json", "s.py")
    assert done.returncode == plain.returncode == status
    assert plain.stderr.strip() in done.stderr
    assert json.loads((tool.folder / "r.json").read_text())["root_frame"]


@covers("end-killed")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_a_signal_is_ours_too(tool, number):
    tool.write("s.py", BUSY + f"burn(0.15)\nimport os; os.kill(os.getpid(), {int(number)})")
    done = tool.run("-o", "r.json", "s.py")
    assert done.returncode == -number
    assert json.loads((tool.folder / "r.json").read_text())["root_frame"]


@covers("end-interrupt")
def test_interrupt_at_the_terminal(tool):
    tool.write("s.py", BUSY + "print('go', flush=True)\nburn(30)")
    sent = []

    def press(text, fd, pid):
        if "go" in text and "launched: first sample" in text and not sent:
            sent.append(1)
            os.write(fd, b"\x03")
    status, text = tool.terminal("--debug=record", "-o", "r.json", "s.py", on_text=press)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT
    assert "KeyboardInterrupt" in text
    assert json.loads((tool.folder / "r.json").read_text())["root_frame"]


def test_a_program_may_survive_the_interrupt(tool):
    tool.write("s.py", BUSY + "try:\n  print('go', flush=True)\n  burn(30)\n"
                       "except KeyboardInterrupt:\n  print('caught', flush=True)\n  burn(0.1)")
    sent = []

    def press(text, fd, pid):
        if "go" in text and not sent:
            sent.append(1)
            os.write(fd, b"\x03")
    status, text = tool.terminal("-o", "r.json", "s.py", on_text=press)
    assert status == 0 and "caught" in text


def test_a_limited_recording_of_a_longer_program(tool):
    tool.write("s.py", BUSY + "burn(2.5)\nprint('end of the program')")
    began = time.monotonic()
    done = tool.run("-d", "0.5", "-r", "json", "s.py")
    assert time.monotonic() - began >= 2.5
    assert done.returncode == 0 and done.stdout.endswith("end of the program\n")
    report = json.loads(done.stdout[:-len("end of the program\n")])
    assert report["duration"] < 1.5


def test_terminate_is_handed_on(tool):
    tool.write("s.py", BUSY + "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(33))\n"
                       "print('go', flush=True)\nburn(30)")
    process = tool.start("-o", "r.json", "s.py")
    assert process.stdout.readline() == "go\n"
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 33


@covers("opt-interval")
def test_a_coarse_interval_shows_fewer_decimals(tool):
    tool.write("s.py", BUSY + "burn(0.5)")
    done = tool.run("-i", "0.01", "s.py")
    assert "<module>  s.py:1" in done.stdout
    line = next(l for l in done.stdout.split("\n") if "<module>" in l)
    assert len(line.split()[0].split(".")[1]) == 2


@covers("opt-interval-zero")
@pytest.mark.parametrize("interval", ["0", "-1"])
def test_no_interval_samples_at_the_default(tool, interval):
    tool.write("s.py", BUSY + "burn(0.3)")
    done = tool.run("-i", interval, "-r", "pyisession", "s.py")
    session = json.loads(done.stdout)
    assert session["min_interval"] == float(interval) and session["sample_count"] > 50


def test_nothing_sampled(tool):
    tool.write("s.py", "pass")
    done = tool.run("-i", "5", "s.py")
    assert done.returncode == 0
    assert "No samples were recorded." in done.stdout or "<module>" in done.stdout


def test_unwritable_store_is_a_warning(tool):
    tool.write("s.py", "pass")
    tool.write("data", "a file where the folder should be")
    done = tool.run("s.py")
    assert done.returncode == 0
    assert "pyinstrument: warning: the session could not be stored" in done.stderr
    assert "To view" not in done.stdout


def test_a_launched_run_is_silent_on_stderr(tool):
    tool.write("s.py", BUSY + "burn(0.3)")
    done = tool.run("s.py")
    assert done.stderr == "" or "warning" in done.stderr
    assert "samples in" in tool.run("-v", "s.py").stderr
