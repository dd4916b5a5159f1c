# SPDX-License-Identifier: BSD-3-Clause
"""Loading, renderers and their options, where output goes, the store: rows 6 to 13 and 19."""
import json
import os
import stat
import subprocess
import time

import pytest

from conftest import BINARY, HINT, covers, frame, make_session

ID = "2023-11-14T22-13-20"  # of make_session(), in UTC


def usage_error(done, message):
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


# ---- where output goes -------------------------------------------------------------------------

@covers("opt-load", "opt-load-prev", "out-hint", "out-text-pipe", "env-store", "env-tz")
def test_text_with_hint_and_store(tool):
    done = tool.run("--load", tool.session())
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Program: main.py" in done.stdout
    assert "0.600 work  main.py:10" in done.stdout
    assert done.stdout.endswith("\n\n" + HINT % ID)
    assert (tool.store / f"{ID}.pyisession").exists()
    again = tool.run("--load-prev", ID)
    assert again.stdout == done.stdout


@covers("opt-outfile", "out-text-file", "out-silent")
def test_text_into_a_file(tool):
    done = tool.run("--load", tool.session(), "-o", "out.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (tool.folder / "out.txt").read_text()
    assert "\u2514\u2500" in text and "\x1b" not in text and "To view" not in text
    assert not tool.store.exists()


@covers("out-text-formats")
@pytest.mark.parametrize("renderer", ["json", "speedscope", "pyisession"])
def test_other_formats_on_stdout(tool, renderer):
    done = tool.run("-r", renderer, "--load", tool.session())
    assert done.returncode == 0 and "To view" not in done.stdout
    json.loads(done.stdout)
    assert not tool.store.exists()


@covers("out-pstats-pipe")
def test_pstats_in_a_pipe(tool):
    done = tool.run("-r", "pstats", "--load", tool.session(), text=False)
    assert done.returncode == 0
    import marshal
    assert ("/home/u/main.py", 10, "work") in marshal.loads(done.stdout)


@covers("err-11")
def test_binary_formats_refuse_a_terminal(tool):
    status, text = tool.terminal("-r", "pstats", "--load", tool.session())
    assert os.WEXITSTATUS(status) == 2
    assert "Can't write binary output to a terminal. Redirect to a file or use --outfile." in text


@covers("opt-renderer", "out-pstats-file")
@pytest.mark.parametrize("name, renderer", [
    ("x.json", "json"), ("x.JSON", "json"), ("x.speedscope.json", "speedscope"),
    ("x.pyisession", "pyisession"), ("x.pstats", "pstats"), ("x.txt", "text"), ("x", "text"),
    (".json", "text"), ("x.unknown", "text"),
])
def test_the_ending_chooses(tool, name, renderer):
    session = tool.session("in.pyisession")
    assert tool.run("--load", session, "-o", name).returncode == 0
    chosen = tool.run("--load", session, "-o", "wanted", "-r", renderer)
    assert chosen.returncode == 0
    first, second = ((tool.folder / n).read_bytes() for n in (name, "wanted"))
    if renderer != "json":
        assert first == second
    else:
        assert json.loads(first).keys() == json.loads(second).keys()


@covers("opt-renderer", "out-text-formats")
def test_the_name_beats_the_ending(tool):
    assert tool.run("--load", tool.session(), "-r", "json", "-o", "x.txt").returncode == 0
    json.loads((tool.folder / "x.txt").read_text())


def test_old_name_of_a_format(tool):
    done = tool.run("--load", tool.session(), "-r", "session")
    assert done.stdout == tool.run("--load", tool.session(), "-r", "pyisession").stdout


# ---- refusals before anything is read ----------------------------------------------------------

@covers("err-6")
@pytest.mark.parametrize("arguments", [["-r", "nonsense"], ["-r", "a.b.C"]])
def test_unknown_renderer(tool, arguments):
    done = tool.run(*arguments, "--load", tool.session())
    assert done.returncode == 1
    assert "unknown renderer" in done.stderr and "speedscope" in done.stderr
    assert done.stdout == ""


@covers("err-7", "err-before")
@pytest.mark.parametrize("outfile", [".", "missing/out.txt", "closed/out.txt", "kept.txt"])
def test_outfile_that_cannot_be_written(tool, outfile):
    if os.geteuid() == 0 and outfile in ("closed/out.txt", "kept.txt"):
        pytest.skip("root may write everywhere")
    (tool.folder / "closed").mkdir(mode=0o500)
    tool.write("kept.txt", "kept", 0o400)
    marker = tool.folder / "ran"
    tool.write("program.py", f"open({str(marker)!r}, 'w')")
    done = tool.run("-o", outfile, "program.py")
    assert done.returncode == 1
    assert done.stderr.startswith("pyinstrument: error: ")
    assert not marker.exists()


@covers("err-7")
def test_a_missing_folder_is_named(tool):
    done = tool.run("-o", "missing/deep/out.txt", "--load", tool.session())
    assert done.returncode == 1 and "  why:  there is no folder missing/deep\n" in done.stderr


def test_what_a_format_takes_is_said(tool):
    done = tool.run("-r", "pyisession", "-p", "flat", "--load", tool.session())
    assert "pyisession takes: tree_format\n" in done.stderr


@covers("err-outfile-kept")
def test_a_failure_leaves_the_old_file(tool):
    tool.write("out.txt", "old")
    tool.write("bad.pyisession", "{")
    assert tool.run("--load", "bad.pyisession", "-o", "out.txt").returncode == 1
    assert (tool.folder / "out.txt").read_text() == "old"
    assert tool.run("--load", tool.session(), "--show-regex", "(", "-o", "out.txt").returncode == 1
    assert (tool.folder / "out.txt").read_text() == "old"
    assert sorted(p.name for p in tool.folder.iterdir()) == ["bad.pyisession", "out.txt", "s.pyisession"]


@covers("err-outfile-kept")
def test_a_session_may_be_written_onto_itself(tool):
    path = tool.session()
    before = path.read_bytes()
    assert tool.run("--load", path, "-o", path).returncode == 0
    assert path.read_bytes() == before


@covers("err-8")
@pytest.mark.parametrize("arguments, message", [
    (["--hide", "a", "--hide-regex", "b"], "--hide and --hide-regex"),
    (["--show", "a", "--show-regex", "b"], "only specify one of --show"),
    (["--show", "a", "--show-all"], "only specify one of --show"),
    (["--show-regex", "a", "--show-all"], "only specify one of --show"),
])
def test_patterns_that_exclude_each_other(tool, arguments, message):
    usage_error(tool.run(*arguments, "--load", tool.session()), message)


@covers("err-9")
@pytest.mark.parametrize("arguments, message", [
    (["-p", "nonsense"], "Failed to create ConsoleRenderer. Check your renderer options."),
    (["-p", "flat", "-p", "timeline"], "Cannot use timeline and flat options together."),
    (["-p", "flat", "-t"], "Cannot use timeline and flat options together."),
    (["-r", "json", "-p", "flat"], "Failed to create JSONRenderer"),
    (["-r", "pyisession", "--show-all"], "Failed to create SessionRenderer"),
    (["-r", "pyisession", "--timeline"], "Failed to create SessionRenderer"),
])
def test_bad_render_options(tool, arguments, message):
    usage_error(tool.run(*arguments, "--load", tool.session()), message)


@covers("err-10")
@pytest.mark.parametrize("arguments", [
    ["-p", "a.b=1"], ["-r", "pyisession", "-p", "processor_options.x=1"],
])
def test_dotted_option_without_parent(tool, arguments):
    done = tool.run(*arguments, "--load", tool.session())
    assert done.returncode == 1 and done.stderr.startswith("pyinstrument: error: ")


@covers("err-12")
def test_store_without_that_session(tool):
    done = tool.run("--load-prev", "2001-01-01T00-00-00")
    assert done.returncode == 1
    assert done.stderr == ("pyinstrument: Couldn't find a profile with identifier 2001-01-01T00-00-00\n"
                           "  try:  pyinstrument --list-prev -v\n")


@covers("err-empty-value")
@pytest.mark.parametrize("arguments", [["--load="], ["--load-prev="]])
def test_empty_names(tool, arguments):
    done = tool.run(*arguments)
    assert done.returncode == 1 and done.stderr and not done.stdout


@covers("err-13")
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"{}", b"\xef\xbb\xbf{}", b'{"frame_records": 3}'])
def test_bad_session_files(tool, content):
    if content is not None:
        tool.write("bad.pyisession", content)
    done = tool.run("--load", "bad.pyisession")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("pyinstrument: error: ") and "bad.pyisession" in done.stderr


def test_pattern_that_does_not_compile(tool):
    done = tool.run("--hide-regex", "(", "--load", tool.session())
    assert done.returncode == 1 and done.stderr.startswith("pyinstrument: error: ")


# ---- options of the report ---------------------------------------------------------------------

def tree(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


@covers("opt-hide", "opt-hide-regex", "opt-show", "opt-show-regex", "opt-show-all")
def test_show_and_hide(tool):
    deep = make_session()
    module = deep["frame_records"][0][0][:2]
    library = [frame(f, f"/usr/lib/python3/site-packages/lib/{f}.py", 1) for f in "abcde"]
    deep["frame_records"] = [[module + library, 1.0]]
    tool.write("d.pyisession", json.dumps(deep))
    assert "frames hidden]" in tree(tool.run("--load", "d.pyisession"))
    assert "frames hidden]" not in tree(tool.run("--show-all", "--load", "d.pyisession"))
    assert "frames hidden]" not in tree(tool.run("--show", "*/lib/*", "--load", "d.pyisession"))
    assert "frames hidden]" not in tree(tool.run("--show-regex", ".*/lib/", "--load", "d.pyisession"))
    own = [frame(f, f"/home/u/own/{f}.py", 1) for f in "abcde"]
    deep["frame_records"] = [[module + own, 1.0]]
    tool.write("o.pyisession", json.dumps(deep))
    assert "frames hidden]" not in tree(tool.run("--load", "o.pyisession"))
    assert "frames hidden]" in tree(tool.run("--hide", "*/own/*", "--load", "o.pyisession"))
    assert "frames hidden]" in tree(tool.run("--hide-regex", ".*/own/", "--load", "o.pyisession"))
    assert "frames hidden]" not in tree(
        tool.run("--hide", "*/own/*", "--show", "*own*", "--load", "o.pyisession"))


@covers("opt-render-option")
def test_flat_percent_short(tool):
    session = tool.session()
    assert "\u2514" not in tree(tool.run("-p", "flat", "--load", session))
    assert "60.0% work" in tree(tool.run("-p", "time=percent_of_total", "--load", session))
    assert "pyinstrument ....." in tree(tool.run("-p", "short_mode=true", "--load", session))


@covers("opt-render-option")
def test_threshold_by_dotted_key(tool):
    session = tool.session()
    assert "wait" in tree(tool.run("--load", session))
    assert "wait" not in tree(
        tool.run("-p", "processor_options.filter_threshold=0.5", "--load", session))


@covers("opt-timeline")
def test_timeline(tool):
    session = make_session()
    records = session["frame_records"]
    session["frame_records"] = [records[0], records[1], records[0]]
    tool.write("t.pyisession", json.dumps(session))
    assert tree(tool.run("--load", "t.pyisession")).count("work") == 1
    assert tree(tool.run("-t", "--load", "t.pyisession")).count("work") == 2


@covers("opt-ignored-with-load")
def test_recording_options_are_accepted_with_load(tool):
    plain = tool.run("--load", tool.session())
    other = tool.run("-i", "0", "--use-timing-thread", "--target-description", "{nonsense}",
                     "--from-path", "--load", tool.session())
    assert other.returncode == 0 and other.stdout == plain.stdout


@covers("opt-unicode", "env-locale")
@pytest.mark.parametrize("env, arguments, unicode", [
    ({"LANG": "C.UTF-8"}, [], True), ({"LANG": "C"}, [], True),
    ({"PYTHONIOENCODING": "latin-1"}, [], False), ({}, ["--no-unicode"], False),
    ({"PYTHONIOENCODING": "latin-1"}, ["--unicode"], True),
    ({}, ["--unicode", "--no-unicode"], False), ({}, ["-p", "unicode=false"], False),
])
def test_unicode(tool, env, arguments, unicode):
    text = tree(tool.run(*arguments, "--load", tool.session(), env=env))
    assert ("\u251c\u2500" in text) == unicode and ("|-" in text) != unicode


@covers("opt-color", "out-text-terminal")
@pytest.mark.parametrize("env, arguments, terminal, color", [
    ({}, [], False, False), ({}, [], True, True), ({}, ["--no-color"], True, False),
    ({}, ["--color"], False, True), ({}, ["--no-color", "--color"], False, True),
    ({"NO_COLOR": "1"}, [], True, False), ({"NO_COLOR": ""}, [], True, True),
    ({"NO_COLOR": "1"}, ["--color"], True, True), ({"CLICOLOR_FORCE": "1"}, [], False, True),
    ({"TERM": "dumb"}, [], True, True),
])
def test_color(tool, env, arguments, terminal, color):
    if terminal:
        status, text = tool.terminal(*arguments, "--load", tool.session(), env=env)
        assert status == 0
    else:
        text = tree(tool.run(*arguments, "--load", tool.session(), env=env))
    assert ("\x1b[" in text) == color


def test_a_file_has_no_color(tool):
    tool.run("--load", tool.session(), "-o", "out.txt", env={"CLICOLOR_FORCE": "1"})
    assert "\x1b" not in (tool.folder / "out.txt").read_text()


def test_quiet_drops_the_hint(tool):
    done = tool.run("-q", "--load", tool.session())
    assert "To view" not in done.stdout and "work" in done.stdout


# ---- several sessions, standard input, the store -----------------------------------------------

def test_several_sessions_are_one(tool):
    tool.session("b1.pyisession")
    tool.session("b2.pyisession", start_time=1700000100.5, target_description="Program: two.py")
    for arguments in (["--load", "b1.pyisession", "--load", "b2.pyisession"],
                      ["--load", "b2.pyisession", "--load", "b1.pyisession"],
                      ["--load", "b?.pyisession"]):
        text = tree(tool.run(*arguments))
        assert "Program: main.py" in text and "1.200 work" in text and "Samples:  6" in text


def test_a_file_called_like_a_pattern(tool):
    tool.session("[x].pyisession")
    assert tool.run("--load", "[x].pyisession").returncode == 0
    assert tool.run("--load", "[y].pyisession").returncode == 1


def test_standard_input(tool):
    done = tool.run("--load", "-", input=json.dumps(make_session()))
    assert "0.600 work" in tree(done)


def test_list_of_the_store(tool):
    assert tool.run("--list-prev").stdout == ""
    for second in (5, 3, 4):
        tool.run("--load", tool.session(start_time=1700000000 + second))
    done = tool.run("--list-prev")
    assert done.returncode == 0
    assert done.stdout.split() == [f"2023-11-14T22-13-2{n}" for n in (3, 4, 5)]


def test_list_of_the_store_in_words(tool):
    tool.run("--load", tool.session(target_description="a \x1b[31m name"))
    tool.run("--load", tool.session(start_time=1700000001))
    tool.write("data/pyinstrument/reports/x.pyisession", "{")
    assert tool.run("--list-prev", "-v").stdout == (
        "2023-11-14T22-13-20     1.000 s        3 samples  a \\x1b[31m name\n"
        "2023-11-14T22-13-21     1.000 s        3 samples  Program: main.py\n"
        "x  cannot be read\n")


def test_a_name_that_no_file_has(tool):
    tool.run("--load", tool.session())
    done = tool.run("--load", ID)
    assert done.returncode == 1
    assert f"  note: a stored session has that name: pyinstrument --load-prev {ID}\n" in done.stderr
    assert "  note: no file fits the pattern\n" in tool.run("--load", "none*.pyisession").stderr
    assert "note" not in tool.run("--load", "none.pyisession").stderr


def test_the_store_keeps_eleven(tool):
    for second in range(14):
        assert tool.run("--load", tool.session(start_time=1700000000 + second)).returncode == 0
    names = tool.run("--list-prev").stdout.split()
    assert len(names) == 11 and names[-1] == "2023-11-14T22-13-33"


def test_output_to_a_pipe_is_not_replaced(tool):
    path = tool.folder / "fifo.json"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    done = tool.run("--load", tool.session(), "-o", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(os.read(reader, 1 << 20))["sample_count"] == 3
    os.close(reader)
    assert stat.S_ISFIFO(os.stat(path).st_mode)


def test_a_full_disk_keeps_the_session(tool):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    done = tool.run("--load", tool.session(), "-o", "/dev/full")
    assert done.returncode == 1
    assert "--load-prev" in done.stderr
    assert tool.run("--load-prev", ID).returncode == 0


def test_hostile_names_do_not_reach_the_terminal(tool):
    session = make_session()
    session["target_description"] = "Program: \x1b]0;title\x07"
    tool.write("h.pyisession", json.dumps(session))
    done = tool.run("--load", "h.pyisession", "--load", "missing\x1b[31m")
    assert done.returncode == 1 and "\x1b" not in done.stderr


def test_outfile_that_is_a_mount_point(tool):
    """As in a container whose report is bind-mounted: nothing can be renamed over it."""
    session = tool.session()
    report, inside = tool.write("report.txt", "old"), tool.write("inside.txt", "")
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    mount = 'mount --bind "$1" "$2"'
    allowed = subprocess.run([*command, mount, "sh", report, inside], capture_output=True)
    if allowed.returncode != 0:
        pytest.skip("cannot mount here: " + allowed.stderr.decode("utf-8", "replace").strip())
    done = subprocess.run([*command, mount + ' && exec "$3" --load "$4" -o "$2"', "sh", report, inside,
                           BINARY, session], capture_output=True, text=True, env=tool.env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "work  main.py:10" in report.read_text()
    assert inside.read_text() == ""
    assert not [name for name in os.listdir(tool.folder) if name.startswith(".pyinstrument")]
