# SPDX-License-Identifier: BSD-3-Clause
"""Programs started by us behave as if started by Python itself, whatever their end."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import lab
import pyi
import pytest

SCRIPT = os.path.join(lab.TARGETS, "launched.py")
MODES = ["script", "module", "code", "from-path"]


@pytest.fixture
def place(tmp_path):
    """A folder with the program as a script, a module, and a command."""
    shutil.copy(SCRIPT, tmp_path / "launched.py")
    command = tmp_path / "bin" / "launched-command"
    command.parent.mkdir()
    shutil.copy(SCRIPT, command)
    command.chmod(0o755)
    return tmp_path


def words(mode, place, *arguments):
    """(words for pyinstrument, words for a plain Python)."""
    arguments = list(arguments)
    if mode == "script":
        both = ["launched.py", *arguments]
        return both, both
    if mode == "module":
        both = ["-m", "launched", *arguments]
        return both, both
    if mode == "code":
        with open(SCRIPT) as file:
            both = ["-c", file.read(), *arguments]
        return both, both
    return (["--from-path", "launched-command", *arguments],
            [str(place / "bin" / "launched-command"), *arguments])


def environment(place):
    return {"PATH": "%s:%s" % (place / "bin", os.environ["PATH"]), "PYI_TEST_MARKER": "caf\u00e9"}


def plain(python, place, arguments, input=b""):
    return subprocess.run(
        [python, *arguments], cwd=place, input=input, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=pyi.environment(place, **environment(place)), timeout=60)


def ours(python, place, arguments, *options, input=b""):
    return pyi.run("-q", "--python", python, "-o", place / "out.pyisession", *options, *arguments,
                   home=place, env=environment(place), cwd=place, input=input, timeout=60)


def ours_seen(seconds, folder, *given):
    """The same until the recording saw the program for that long: where others use the machine, a
    program of 0.15 s may be half over before its recorder gets a turn. (run, session)"""
    for _ in range(3):
        run = ours(*given)
        assert run.status == 0, run
        session = pyi.Session(folder / "out.pyisession")
        if session.seconds_with("spin") > seconds:
            break
    assert session.seconds_with("spin") > seconds, run
    return run, session


def without_environment(text):
    """The program's first line, without what must differ (its session, our variables)."""
    told = json.loads(text.splitlines()[0])
    del told["session"]
    return told


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpreter", lab.local_of_any_kind(), ids=repr)
def test_surroundings(interpreter, mode, place):
    mine, theirs = words(mode, place, "ok", "two words", "--load", "\u00fc")
    a = plain(interpreter.executable, place, theirs)
    b, session = ours_seen(0.1, place, interpreter.executable, place, mine)
    assert a.returncode == 0, a
    assert without_environment(b.out) == without_environment(a.stdout)
    assert b.err == a.stderr
    first = {stack[1].function for stack, _ in session.records if len(stack) > 1}
    assert first == {"<module>"}, "start-up frames in the report: %r" % first


@pytest.fixture(params=[i for i in lab.one_per_version() if i.root], ids=repr)
def rooted(request):
    """An interpreter of a root as a program of ours: a wrapper that goes into the root, and a
    folder there that has the same relative names on both sides. (wrapper, folder, version)"""
    if os.getuid() != 0:
        pytest.skip("entering a root needs root rights")
    folder, inside = lab.place(request.param, [SCRIPT])
    wrapper = os.path.join(folder, "python")
    with open(wrapper, "w") as file:
        file.write('#!/bin/sh\nexec unshare --root=%s --wd=%s %s "$@"\n' % (
            request.param.root, inside, request.param.executable))
    os.chmod(wrapper, 0o755)
    yield wrapper, pathlib.Path(folder), request.param
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", ["script", "module", "code"])
def test_surroundings_in_a_root(rooted, mode):
    """3.13, 3.14 and 3.15 live in roots; the wrapper execs them, and the recording follows."""
    wrapper, folder, _ = rooted
    mine, theirs = words(mode, folder, "ok", "two words", "--load", "\u00fc")
    a = plain(wrapper, folder, theirs)
    b, session = ours_seen(0.1, folder, wrapper, folder, mine)
    assert a.returncode == 0, a
    assert without_environment(b.out) == without_environment(a.stdout)
    assert b.err == a.stderr
    first = {stack[1].function for stack, _ in session.records if len(stack) > 1}
    assert first == {"<module>"}, "start-up frames in the report: %r" % first


@pytest.mark.parametrize("mode", ["script", "code"])
def test_exit_status_in_a_root(rooted, mode):
    wrapper, folder, _ = rooted
    mine, theirs = words(mode, folder, "exit", "3")
    a = plain(wrapper, folder, theirs)
    b = ours(wrapper, folder, mine)
    assert (a.returncode, b.status) == (3, 3), (a, b)
    assert b.err == a.stderr


ENDS = [
    ("ok", []), ("exit", ["0"]), ("exit", ["3"]), ("exit-text", []), ("raise", []),
    ("os-exit", ["5"]), ("stderr", []), ("stdin", []),
]


@pytest.mark.parametrize("mode", ["script", "code"])
@pytest.mark.parametrize("how, more", ENDS, ids=lambda value: value if isinstance(value, str) else "".join(value))
def test_ends(place, how, more, mode):
    python = lab.any_one().executable
    mine, theirs = words(mode, place, how, *more)
    a = plain(python, place, theirs, input=b"abc\xff\n")
    b = ours(python, place, mine, input=b"abc\xff\n")
    assert b.status == a.returncode, b
    assert b.out.splitlines()[1:] == a.stdout.splitlines()[1:]
    assert b.err == a.stderr
    assert pyi.Session(place / "out.pyisession").seconds_with("spin") > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1])
def test_killed_by_signal(place, number):
    mine, _ = words("script", place, "kill", str(int(number)))
    run = ours(lab.any_one().executable, place, mine)
    assert run.status == -number, run
    assert pyi.Session(place / "out.pyisession").seconds_with("spin") > 0


def test_interrupt_goes_to_the_program(place):
    """The terminal sends SIGINT to the whole group: the program ends as in a plain run."""
    mine, _ = words("script", place, "wait-int")
    process = pyi.start("--python", lab.any_one().executable, "-o", place / "out.pyisession", *mine,
                        home=place, cwd=place)
    while process.stdout.readline() != b"waiting\n":
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    run = pyi.finish(process, timeout=30)
    assert run.status == -signal.SIGINT, run
    assert "KeyboardInterrupt" in run.errors
    assert (place / "out.pyisession").exists()


def test_report_follows_the_program(place):
    mine, _ = words("script", place, "ok")
    run = pyi.run("--python", lab.any_one().executable, *mine, home=place, cwd=place)
    assert run.status == 0, run
    program, _, report = run.text.partition("\n")
    assert json.loads(program)["argv"] == ["launched.py", "ok"]
    assert "Program: launched.py ok" in report
    lines = report.splitlines()
    assert any("<module>  launched.py:" in line for line in lines), report
    assert "To view this report with different options, run:" in report
    # A launched program that loses nothing gets no last line; a busy machine may cost a tick.
    for line in run.errors.splitlines():
        assert "warning:" in line or re.search(r"[1-9]\d* (truncated|lost)|unobserved", line), line


def test_short_program(place):
    (place / "short.py").write_text("x = 1\n")
    run = pyi.run("--python", lab.any_one().executable, "short.py", home=place, cwd=place)
    assert run.status == 0, run


@pytest.mark.parametrize("arguments, status", [
    (["nope.py"], 1), (["--from-path", "no-such-command"], 1), (["-m", "no_such_module"], 1),
    (["-c", "syntax error here"], 1),
])
def test_absent(place, arguments, status):
    run = pyi.run("--python", lab.any_one().executable, *arguments, home=place, cwd=place)
    assert run.status == status, run
    assert run.err, run


def test_absent_words(place):
    run = pyi.run("nope.py", home=place, cwd=place)
    assert "Error: program nope.py not found!" in run.errors
    run = pyi.run("--from-path", "nope-nope", home=place, cwd=place)
    assert "Error: program nope-nope not found in PATH!" in run.errors


def test_shebang_chooses_the_interpreter(place):
    chosen = lab.local()[0]
    script = place / "marked.py"
    script.write_text("#!%s\nimport sys\nprint(sys.version_info[:2])\n" % chosen.executable)
    run = pyi.run("-o", place / "o.txt", script, home=place, cwd=place)
    assert run.out.strip().decode() == str(chosen.version), run


def test_virtual_environment_chooses_the_interpreter(place):
    chosen = lab.local()[0]
    (place / "venv" / "bin").mkdir(parents=True)
    os.symlink(chosen.executable, place / "venv" / "bin" / "python")
    (place / "v.py").write_text("import sys\nprint(sys.version_info[:2])\n")
    run = pyi.run("-o", place / "o.txt", "v.py", home=place, cwd=place,
                  env={"VIRTUAL_ENV": place / "venv"})
    assert run.out.strip().decode() == str(chosen.version), run


def test_daemon_and_exit_handlers(place):
    """What runs after the main module still runs, and the output order stays the program's."""
    (place / "late.py").write_text(
        "import atexit, threading, time\n"
        "atexit.register(print, 'exit handler', flush=True)\n"
        "def late():\n    time.sleep(0.2)\n    print('thread', flush=True)\n"
        "threading.Thread(target=late).start()\n"
        "sum(range(3000000))\nprint('main', flush=True)\n")
    run = pyi.run("--python", lab.any_one().executable, "-o", place / "o.txt", "late.py",
                  home=place, cwd=place)
    assert run.status == 0
    assert run.text.splitlines() == ["main", "thread", "exit handler"]


def test_no_descriptors_leak(place):
    """The program sees the descriptors a plain run sees."""
    code = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd')))"
    python = lab.any_one().executable
    a, b = plain(python, place, ["-c", code]), ours(python, place, ["-c", code])
    assert b.out == a.stdout


def test_signals_are_as_in_a_plain_run(place):
    code = ("print([l for l in open('/proc/self/status') if l.startswith('Sig') and 'SigQ' not in l])")
    python = lab.any_one().executable
    a, b = plain(python, place, ["-c", code]), ours(python, place, ["-c", code])
    assert b.out == a.stdout
