# SPDX-License-Identifier: BSD-3-Clause
"""Syntax of the command line, help, and usage errors: rows 1 to 5 of the error table."""
import pytest

from conftest import USAGE, covers


def usage_error(done, message):
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.split("\n")
    assert lines[0] == USAGE
    assert lines[1] == ""
    assert lines[2].startswith("pyinstrument: error: ")
    assert message in done.stderr


@covers("err-1")
def test_no_arguments_give_help_on_stdout_and_status_2(tool):
    done = tool.run()
    assert done.returncode == 2
    assert done.stdout.split("\n")[0] == USAGE
    assert done.stderr == ""


@covers("err-3")
@pytest.mark.parametrize("arguments", [["-t"], ["--show-all", "-o", "x.txt"], ["-i", "0.01"]])
def test_nothing_to_do_gives_help_on_stdout_and_status_2(tool, arguments):
    done = tool.run(*arguments)
    assert done.returncode == 2
    assert done.stdout.split("\n")[0] == USAGE
    assert not (tool.folder / "x.txt").exists()


@covers("opt-help", "syntax-prefix")
@pytest.mark.parametrize("word", ["-h", "--help", "--hel", "--he"])
def test_help(tool, word):
    done = tool.run(word)
    assert done.returncode == 0
    assert done.stdout.split("\n")[0] == USAGE
    assert "--load-prev" in done.stdout and "--pid" in done.stdout
    assert "--html" not in done.stdout
    assert done.stderr == ""


def test_help_wins_over_what_follows_it(tool):
    assert tool.run("--help", "--nonsense").returncode == 0
    usage_error(tool.run("--nonsense", "--help"), "--nonsense")


def test_long_help_has_defaults(tool):
    done = tool.run("--help-all")
    assert done.returncode == 0
    assert "default: 0.001" in done.stdout and "--assume-version" in done.stdout


@covers("env-columns")
def test_help_fits_the_width(tool):
    for width in (50, 80, 100):
        page = tool.run("--help-all", env={"COLUMNS": str(width)}).stdout
        assert max(map(len, page.split("\n\n", 1)[1].split("\n"))) <= width


@covers("opt-version")
def test_version(tool):
    done = tool.run("--version")
    assert done.returncode == 0
    words = done.stdout.split()
    assert done.stdout == f"pyinstrument {words[1]} renders as 5.1.3\n"
    assert words[1].endswith(",")


@covers("err-2", "syntax-prefix")
@pytest.mark.parametrize("arguments, message", [
    (["--intervall", "1"], "unknown option --intervall; did you mean --interval?"),
    (["--nonsense"], "unknown option --nonsense"),
    (["-x"], "unknown option -x"),
    (["--sho"], "ambiguous option --sho (--show, --show-regex, --show-all?)"),
    (["--render", "text"], "ambiguous option --render"),
    (["-o"], "option --outfile needs a value"),
    (["--load"], "option --load needs a value"),
    (["-m"], "option -m needs a value"),
    (["--timeline=yes", "x.py"], "option --timeline takes no value"),
    (["-i", "soon", "x.py"], "option --interval needs a number of seconds"),
    (["-d", "0", "x.py"], "option --duration needs a time above zero"),
    (["--rate", "-5", "x.py"], "option --rate needs a rate above zero"),
    (["--pid", "me"], "option --pid needs a process id"),
    (["--progress", "maybe", "x.py"], "always, never or auto"),
    (["--json", "x.py"], "--json needs --diagnose, --dump, --core, --ps or --self-check"),
    # Options of later work are absent, not half there.
    (["-k", "x.py"], "unknown option -k"),
    (["--live", "x.py"], "unknown option --live"),
])
def test_bad_words(tool, arguments, message):
    usage_error(tool.run(*arguments), message)


@covers("err-4")
@pytest.mark.parametrize("arguments", [
    ["--load", "x", "-m", "y"], ["--load", "x", "y.py"], ["--load-prev", "x", "y.py"],
    ["--load", "x", "--load-prev", "y"], ["--load-prev", "x", "-c", "pass"],
])
def test_more_than_one_thing_to_do(tool, arguments):
    usage_error(tool.run(*arguments), "pyinstrument: error: You can only specify one of --load, "
                                      "--load-prev, -m, or script arguments\n")


@pytest.mark.parametrize("arguments, message", [
    (["--pid", "1", "x.py"], "--pid cannot be combined with a script"),
    (["--pid", "1", "--load", "x"], "--pid cannot be combined with --load"),
    (["--pid", "1", "--pid", "2"], "--pid can be given once only"),
    (["--list-prev", "--diagnose", "1"], "--list-prev cannot be combined with --diagnose"),
])
def test_more_than_one_thing_of_ours(tool, arguments, message):
    usage_error(tool.run(*arguments), message)


@covers("err-5")
def test_module_and_from_path(tool):
    usage_error(tool.run("--from-path", "-m", "x"), "--from-path cannot be combined with -m")


@covers("err-5", "syntax-rest")
def test_from_path_behind_the_module_is_its_own(tool):
    tool.write("show.py", "import sys; print(sys.argv[1:])")
    done = tool.run("-m", "show", "--from-path")
    assert done.returncode == 0
    assert done.stdout.startswith("['--from-path']\n")


def test_a_number_for_a_script_may_be_a_process(tool, worker):
    usage_error(tool.run(worker.pid), f"did you mean --pid {worker.pid}?")
    usage_error(tool.run("-p", worker.pid, "x.py"), f"did you mean --pid {worker.pid}?")


def test_a_script_called_by_a_number_runs(tool, worker):
    tool.write(str(worker.pid), "print('mine')")
    done = tool.run(worker.pid)
    assert done.returncode == 0 and done.stdout.startswith("mine\n")


def test_errors_as_json(tool):
    import json
    done = tool.run("--json-errors", "--nonsense")
    assert done.returncode == 2
    error = json.loads(done.stderr)
    assert error["code"] == "usage" and error["exit"] == 2
    assert "--nonsense" in error["message"] and error["try"]
