# SPDX-License-Identifier: BSD-3-Clause
"""Every row of rows.txt has a test; those that no other file is about are tested here."""
import ast
import glob
import json
import os
import zipfile

import pytest

from conftest import HINT, PYTHON, covers, make_session

HERE = os.path.dirname(os.path.abspath(__file__))
BUSY = """\
import time
def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(200))
"""


def rows():
    with open(os.path.join(HERE, "rows.txt")) as file:
        return [line.split("\t")[0] for line in file if line.strip() and not line.startswith("#")]


def covered():
    """Row ids named by decorators of test functions in this folder."""
    named = set()
    for path in glob.glob(os.path.join(HERE, "test_*.py")):
        with open(path) as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test_"):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "covers":
                    named.update(argument.value for argument in call.args)
    return named


def test_every_row_has_a_test():
    known = rows()
    assert len(known) == len(set(known))
    assert set(known) - covered() == set(), "rows without a test"
    assert covered() - set(known) == set(), "tests of rows that do not exist"


def test_every_option_of_the_first_page_has_a_row(tool):
    with open(os.path.join(HERE, "rows.txt")) as file:
        words = file.read()
    page = tool.run("--help").stdout
    options = page[page.index("\nOptions:"):page.index("\nMore options:")]
    for line in options.splitlines():
        if line.startswith("  -"):
            name = line.split()[0].rstrip(",").split("=")[0].split("[")[0]
            assert name in words, name


def text_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- how words are read ------------------------------------------------------------------------

@covers("syntax-end-of-options", "syntax-dashes")
@pytest.mark.parametrize("options, behind", [
    ([], ["--load", "x", "-h"]), (["--"], ["-t", "--", "a"]), (["-o", "r.txt", "--"], []),
])
def test_words_behind_the_script_are_its_own(tool, options, behind):
    tool.write("s.py", "import sys; print(sys.argv[1:])")
    done = tool.run("--python", PYTHON, *options, "s.py", *behind)
    assert text_of(done).splitlines()[0] == str(behind)


@covers("syntax-dashes")
def test_two_dashes_make_a_script_of_an_option(tool):
    done = tool.run("--", "-t")
    assert done.returncode == 1 and done.stderr.startswith("Error: program -t not found!\n")


@covers("syntax-rest")
@pytest.mark.parametrize("words", [["-m", "mod", "-t", "-h"], ["-mmod", "-t", "-h"]])
def test_a_module_takes_the_rest(tool, words):
    tool.write("mod.py", "import sys; print(sys.argv[1:])")
    done = tool.run("--python", PYTHON, *words)
    assert text_of(done).splitlines()[0] == "['-t', '-h']"


@covers("syntax-rest")
@pytest.mark.parametrize("words", [["-c", "import sys; print(sys.argv)", "-t"],
                                   ["-cimport sys; print(sys.argv)", "-t"]])
def test_code_takes_the_rest(tool, words):
    done = tool.run("--python", PYTHON, *words)
    assert text_of(done).splitlines()[0] == "['-c', '-t']"


@covers("syntax-prefix")
@pytest.mark.parametrize("short, full", [
    (["--time"], ["--timeline"]), (["--out", "x.json"], ["--outfile", "x.json"]),
    (["--no-u"], ["--no-unicode"]), (["--show", "x"], ["--show", "x"]), (["--c"], ["--color"]),
    (["--i", "1"], ["--interval", "1"]), (["--use"], ["--use-timing-thread"]),
])
def test_shortened_names(tool, short, full):
    session = tool.session()
    one = tool.run(*short, "--load", session)
    assert text_of(one) == text_of(tool.run(*full, "--load", session))


@covers("syntax-value")
@pytest.mark.parametrize("words", [
    ["-r", "json", "-o", "out"], ["-rjson", "-oout"], ["--renderer=json", "--outfile=out"],
    ["--renderer", "json", "--outfile", "out"], ["-troout"],
])
def test_ways_to_give_a_value(tool, words):
    if words == ["-troout"]:
        # -t, then -r with the value "oout"
        done = tool.run(*words, "--load", tool.session())
        assert done.returncode == 1 and "unknown renderer 'oout'" in done.stderr
        return
    assert tool.run(*words, "--load", tool.session()).returncode == 0
    json.loads((tool.folder / "out").read_text())


@covers("syntax-repeat")
def test_repeated_options(tool):
    session = tool.session()
    assert tool.run("-r", "text", "-r", "json", "-o", "a", "-o", "b", "--load", session).returncode == 0
    json.loads((tool.folder / "b").read_text())
    assert not (tool.folder / "a").exists()
    assert "100.0%" in text_of(tool.run("-p", "time=percent_of_total", "-p", "flat", "-p", "flat=false",
                                        "--load", session))


# ---- options -----------------------------------------------------------------------------------

@covers("opt-render-option")
@pytest.mark.parametrize("option, flat", [
    ("flat", True), ("flat=true", True), ("flat=1", True), ("flat=0", False), ("flat=null", False),
    ("flat=False", True), ('flat=""', False), ("flat=[]", False), ("flat=NaN", True),
])
def test_truth_of_a_render_option(tool, option, flat):
    text = text_of(tool.run("-p", option, "--load", tool.session()))
    assert ("\u2514" not in text) == flat


@covers("opt-render-option")
def test_a_map_replaces_the_patterns(tool):
    session = tool.session()
    hidden = text_of(tool.run("--hide", "*", "--load", session))
    plain = text_of(tool.run("--load", session))
    replaced = text_of(tool.run("--hide", "*", "-p", 'processor_options={"filter_threshold": 0}',
                                "--load", session))
    assert replaced == plain
    assert hidden == plain or hidden != replaced


PAGE = "<!doctype html>"


@covers("opt-html", "out-html")
@pytest.mark.parametrize("words, name", [
    (["-o", "out.html"], "out.html"), (["-oOUT.HTM"], "OUT.HTM"), (["-r", "html"], None),
    (["--html"], None), (["--html", "-r", "json"], None), (["--html", "-o", "x.txt"], "x.txt"),
    (["-r", "html", "-o", "x.json"], "x.json"),
])
def test_a_page(tool, words, name):
    done = tool.run(*words, "--load", tool.session())
    assert done.returncode == 0 and done.stderr == ""
    page = (tool.folder / name).read_text() if name else done.stdout
    assert page.startswith(PAGE) and page.endswith("</script></body></html>")
    assert name is None or done.stdout == ""
    assert not tool.store.exists()  # neither kept nor a hint


@covers("out-html", "env-browser")
@pytest.mark.parametrize("browser", ["{0}/see", "no-such-browser"])
def test_a_page_on_a_terminal(tool, browser):
    (tool.folder / "tmp").mkdir()
    tool.write("see", '#!/bin/sh\nprintf %s "$1" > seen\n', 0o755)
    status, text = tool.terminal("-r", "html", "--load", tool.session(), env={
        "BROWSER": browser.format(tool.folder), "TMPDIR": str(tool.folder / "tmp")})
    assert status == 0
    (page,) = (tool.folder / "tmp").iterdir()
    assert text == f"stdout is a terminal, so saved profile output to {page}\n"
    assert page.suffix == ".html" and page.read_text().startswith(PAGE)
    assert page.stat().st_mode & 0o777 == 0o600
    assert (tool.folder / "seen").exists() == (browser != "no-such-browser")
    if browser != "no-such-browser":
        assert (tool.folder / "seen").read_text() == f"file://{page}"
    assert not tool.store.exists()


def test_a_page_without_a_place_for_it(tool):
    status, text = tool.terminal("-r", "html", "--load", tool.session(),
                                 env={"TMPDIR": str(tool.folder / "none"), "NO_COLOR": "1"})
    assert os.waitstatus_to_exitcode(status) == 1
    assert text.startswith(f"pyinstrument: error: cannot create a file in {tool.folder}/none")


def test_a_page_of_a_program(tool):
    """A recording of our own, ended in the middle, with the source of what was busy."""
    tool.write("s.py", BUSY + "burn(0.5)\nraise SystemExit(3)\n")
    done = tool.run("--python", PYTHON, "-p", "source=app", "-o", "out.html", "s.py")
    assert done.returncode == 3, done.stderr
    page = (tool.folder / "out.html").read_text()
    assert "burn  s.py:2" in page and "sum(range(200))" in page and '"stale":false' in page


@covers("opt-unicode", "opt-color")
@pytest.mark.parametrize("renderer", ["json", "speedscope", "pyisession"])
def test_display_options_mean_nothing_to_other_formats(tool, renderer):
    session = tool.session()
    plain = tool.run("-r", renderer, "--load", session)
    for option in ("--unicode", "--no-unicode", "--color", "--no-color"):
        done = tool.run(option, "-r", renderer, "--load", session)
        assert done.returncode == 0 and len(done.stdout) == len(plain.stdout)


@covers("opt-interval-zero")
def test_nine_decimals_for_no_interval(tool):
    tool.session(min_interval=0, max_interval=0)
    assert "0.600000000 work" in text_of(tool.run("--load", "s.pyisession"))


@covers("opt-use-timing-thread", "env-overhead")
def test_the_clock_needs_no_thread(tool):
    tool.write("s.py", BUSY + "burn(0.2)")
    done = tool.run("--python", PYTHON, "--use-timing-thread", "-r", "json", "s.py",
                    env={"PYINSTRUMENT_IGNORE_OVERHEAD_WARNING": "y"})
    assert json.loads(text_of(done))["root_frame"]


# ---- errors ------------------------------------------------------------------------------------

@covers("err-19")
def test_a_bad_pattern_shows_after_the_program_ran(tool):
    tool.write("s.py", BUSY + "burn(0.3)\nopen('ran', 'w')")
    done = tool.run("--python", PYTHON, "--hide-regex", "(", "s.py")
    assert done.returncode == 1 and "pyinstrument: error: " in done.stderr
    assert (tool.folder / "ran").exists()


@covers("err-outfile-kept")
@pytest.mark.parametrize("words", [["nope.py"], ["--hide", "a", "--hide-regex", "b", "s.py"],
                                   ["--target-description", "{foo}", "s.py"], ["-p", "nonsense", "s.py"],
                                   ["--load", "nope.pyisession"], ["--load-prev", "nope"]])
def test_no_empty_outfile_is_left(tool, words):
    tool.write("s.py", "")
    assert tool.run("-o", "out.txt", *words).returncode in (1, 2)
    assert not (tool.folder / "out.txt").exists()


# ---- programs ----------------------------------------------------------------------------------

@covers("run-folder")
def test_an_archive_is_a_script(tool):
    with zipfile.ZipFile(tool.folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", "import sys; print('in', sys.argv)")
    done = tool.run("--python", PYTHON, "app.zip", "a")
    assert text_of(done).startswith("in ['app.zip', 'a']\n")


@covers("run-no-main")
def test_a_folder_without_main(tool):
    (tool.folder / "empty").mkdir()
    done = tool.run("--python", PYTHON, "empty")
    assert done.returncode == 1 and "__main__" in done.stderr


@covers("end-order")
def test_the_report_does_not_wait_for_threads_at_length(tool):
    """On a file of its own it comes while the program's other threads go on."""
    tool.write("s.py", BUSY + "import threading\n"
                       "threading.Thread(target=lambda: (time.sleep(5), open('ended', 'w'))).start()\nburn(0.2)")
    process = tool.start("--python", PYTHON, "-o", "r.json", "s.py")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == "", err
    assert os.stat(tool.folder / "r.json").st_mtime < os.stat(tool.folder / "ended").st_mtime


@covers("end-stdout")
def test_the_report_goes_where_we_were_sent(tool):
    tool.write("s.py", BUSY + "import os, sys\nsys.stdout = open('other.txt', 'w')\n"
                       "print('hidden')\nos.dup2(sys.stdout.fileno(), 1)\nburn(0.2)")
    done = tool.run("--python", PYTHON, "s.py")
    assert "<module>  s.py:1" in text_of(done)
    assert "hidden" not in done.stdout


@covers("end-exit", "out-programs-first")
def test_words_of_an_exit_come_before_the_report(tool):
    tool.write("s.py", BUSY + "burn(0.2)\nimport sys; sys.exit('last words')")
    with open(tool.folder / "both.txt", "w") as both:
        process = tool.start("--python", PYTHON, "s.py", stdout=both, stderr=both)
        assert process.wait(timeout=60) == 1
    text = (tool.folder / "both.txt").read_text()
    assert text.index("last words") < text.index("Recorded:")


@covers("end-exception")
def test_an_exception_gets_its_report(tool):
    tool.write("s.py", BUSY + "burn(0.2)\n1/0")
    done = tool.run("--python", PYTHON, "s.py")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr and "burn  s.py:2" in done.stdout


# ---- output ------------------------------------------------------------------------------------

@covers("out-text-terminal", "out-hint")
def test_text_on_a_terminal(tool):
    status, text = tool.terminal("--load", tool.session())
    assert status == 0
    assert "\x1b[31m1.000\x1b[0m \x1b[48;5;24m\x1b[38;5;15m<module>\x1b[0m" in text
    assert text.endswith(HINT % "2023-11-14T22-13-20")


@covers("out-silent", "out-text-formats", "out-pstats-file")
@pytest.mark.parametrize("name", ["a.txt", "a.json", "a.speedscope.json", "a.pyisession", "a.pstats"])
def test_nothing_is_said_about_an_outfile(tool, name):
    done = tool.run("-o", name, "--load", tool.session())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tool.folder / name).stat().st_size > 100
    status, text = tool.terminal("-o", name, "--load", "s.pyisession")
    assert (status, text) == (0, "")


# ---- environment -------------------------------------------------------------------------------

@covers("env-store")
@pytest.mark.parametrize("env, place", [
    ({"XDG_DATA_HOME": "{0}/x"}, "x/pyinstrument/reports"),
    ({"XDG_DATA_HOME": "", "HOME": "{0}/h"}, "h/.local/share/pyinstrument/reports"),
])
def test_place_of_the_store(tool, env, place):
    env = {key: value.format(tool.folder) for key, value in env.items()}
    assert tool.run("--load", tool.session(), env=env).returncode == 0
    assert [p.name for p in (tool.folder / place).iterdir()] == ["2023-11-14T22-13-20.pyisession"]


@covers("env-tz")
def test_time_zone(tool):
    text = text_of(tool.run("--load", tool.session(), env={"TZ": "XYZ-5"}))
    assert "Recorded: 03:13:20" in text and "--load-prev 2023-11-15T03-13-20 " in text


@covers("env-locale")
@pytest.mark.parametrize("env, unicode", [
    ({"PYTHONUTF8": "1", "LC_ALL": "C"}, True), ({"PYTHONIOENCODING": "utf-8:replace"}, True),
    ({"PYTHONIOENCODING": ":replace"}, True), ({"PYTHONIOENCODING": "ascii"}, False),
])
def test_encoding(tool, env, unicode):
    assert ("\u2514" in text_of(tool.run("--load", tool.session(), env=env))) == unicode


@covers("env-browser")
@pytest.mark.parametrize("browser, opened, complaint", [
    ("{0}/see", True, ""), ("{0}/see %s", True, ""), ("no-such-browser:{0}/see", True, ""),
    ("false", False, "the browser false failed"), ("no-such-browser", False, "cannot start the browser"),
])
def test_browser(tool, browser, opened, complaint):
    tool.write("see", '#!/bin/sh\nprintf %s "$1" > seen\n', 0o755)
    done = tool.run("--open", "-o", "my report.svg", "--load", tool.session(),
                    env={"BROWSER": browser.format(tool.folder)})
    assert done.returncode == 0 and done.stdout == ""
    assert (done.stderr == "") == opened and complaint in done.stderr
    assert (tool.folder / "seen").exists() == opened
    if opened:
        assert (tool.folder / "seen").read_text() == f"file://{tool.folder}/my%20report.svg"


def test_open_needs_a_file(tool):
    done = tool.run("--open", "--load", tool.session())
    assert done.returncode == 2 and "--open needs --outfile" in done.stderr
