# SPDX-License-Identifier: BSD-3-Clause
"""Our own looks: compact header, the terminal's colours, links, narrow terminals; and what is decided
when about colour. The looks of upstream are compared elsewhere, byte for byte."""
import fcntl
import json
import os
import pty
import re
import struct
import termios

import pytest

from conftest import BINARY, HINT, frame, make_session

ID = "2023-11-14T22-13-20"


def with_states(tool, name="w.pyisession", **changes):
    """The usual session, recorded by us: `wait` waits."""
    session = make_session(**changes)
    session["attach"] = {
        "v": 1, "tool": "0.1.0", "mode": "wall",
        "processes": [{"pid": 4314, "parent": 1, "command": "python3 main.py", "python": "3.14.0",
                       "build": "default", "runtime": "test", "start": 0, "end": 1, "cpu": 0.5, "root": ""}],
        "threads": [{"process": 0, "name": "MainThread", "ident": 1000, "tid": 4314, "start": 0, "first": 0,
                     "records": 3, "samples": 3, "idle": False, "cpu": 0.5, "jumps": [],
                     "states": [[1, 1], [1, 2], [1, 3]]}],
        "ticks": 3, "verified": 3, "retried": 0, "truncated": 0, "lost": 0, "missed": 0,
        "unobserved": 0, "profiler_cpu": 0.01, "stops": 0, "stopped": 0, "notes": []}
    return tool.write(name, json.dumps(session))


def compact(tool, *words, **options):
    return tool.run("-p", "header=compact", *words, "--load", with_states(tool), **options)


def on_a_terminal(tool, columns, rows, *words):
    """Output on a terminal of that size."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.chdir(tool.folder)
        os.execve(BINARY, [BINARY, *map(str, words)], tool.env)
    text = b""
    try:
        while piece := os.read(fd, 65536):
            text += piece
    except OSError:
        pass
    os.close(fd)
    assert os.waitpid(pid, 0)[1] == 0, text
    return text.decode().replace("\r\n", "\n")


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;;[^\x1b]*\x1b\\", "", text)


# ---- header ------------------------------------------------------------------------------------

def test_compact_header(tool):
    done = compact(tool)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == (
        "Program: main.py                                                22:13:20\n"
        "1.000 s   3 samples at 1 ms   CPU 0.500 s (50 %)   Python 3.14.0, pid 4314\n"
        "on CPU 60 %  waiting 30 %  GIL wait 10 %\n"
        "\n"
        "1.000 <module>  main.py:1\n"
        "\u251c\u2500 0.600 work  main.py:10\n"
        "\u251c\u2500 0.300 wait (waiting)  ../../usr/lib/python3/site-packages/lib/wait.py:7\n"
        "\u2514\u2500 0.100 [self]  main.py\n".replace("../../usr", "/usr")
    )


def test_compact_header_of_a_session_of_upstream(tool):
    done = tool.run("-p", "header=compact", "--load", tool.session())
    lines = done.stdout.split("\n")
    assert lines[1] == "1.000 s   3 samples at 1 ms   CPU 0.500 s (50 %)"
    assert lines[2] == "" and "waiting" not in done.stdout


def test_compact_header_of_nothing(tool):
    done = tool.run("-p", "header=compact", "--load", tool.session(frame_records=[], duration=0, sample_count=0))
    assert done.stdout.endswith("\n\nNo samples were recorded.\n")
    assert "%" not in done.stdout


def test_what_follows_goes_to_stderr_and_a_terminal_only(tool):
    assert "To view" not in compact(tool).stdout
    assert (tool.store / f"{ID}.pyisession").exists()
    text = on_a_terminal(tool, 100, 40, "-p", "header=compact", "--load", with_states(tool))
    assert text.endswith(f"\nsaved as {ID}; pyinstrument --load-prev {ID} [options]\n")
    text = on_a_terminal(tool, 100, 5, "-p", "header=compact", "--load", with_states(tool))
    last = text.splitlines()[-1]
    assert last == f"8 lines; pyinstrument -p header=compact --color --load-prev {ID} | less -R"
    text = on_a_terminal(tool, 100, 40, "-q", "-p", "header=compact", "--load", with_states(tool))
    assert "saved" not in text


def test_hostile_names_under_the_compact_header(tool):
    session = make_session(target_description="a\u202eb\x1b[31m\x07")
    session["frame_records"] = [[session["start_call_stack"] + [frame("e\u202evil\x1b]0;x\x07", "/x\udcff.py", 1)], 1.0]]
    tool.write("h.pyisession", json.dumps(session))
    done = tool.run("-p", "header=compact", "--load", "h.pyisession", text=False)
    assert done.returncode == 0
    for bad in (b"\x1b", b"\x07", "\u202e".encode(), b"\xff"):
        assert bad not in done.stdout
    assert b"e\\u202evil\\x1b]0;x\\x07" in done.stdout and b"x\\xff.py" in done.stdout


@pytest.mark.parametrize("words, reason", [
    (["-p", "header=tall"], "header must be art or compact"),
    (["-p", "header"], "header must be art or compact"),
    (["-p", "colors=none"], "colors must be upstream or terminal"),
])
def test_unknown_looks(tool, words, reason):
    done = tool.run(*words, "--load", tool.session())
    assert done.returncode == 2 and reason in done.stderr


def test_the_standard_looks_by_name(tool):
    session = tool.session()
    assert tool.run("-p", "header=art", "-p", "colors=upstream", "--color", "--load", session).stdout \
        == tool.run("--color", "--load", session).stdout


# ---- width -------------------------------------------------------------------------------------

def deep_session(tool, depth=40):
    session = make_session()
    path = "/home/u/a/rather/long/path/to/some/part/of/the/program/part.py"
    stack = session["start_call_stack"][:1] + [frame(f"f{n}", path, n + 1) for n in range(depth)]
    session["frame_records"] = [[stack[:n] + [frame("x", path, 1)], 1.0] for n in range(2, depth)]
    session["start_call_stack"] = []
    return tool.write("deep.pyisession", json.dumps(session))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit_the_terminal(tool, columns):
    with_states(tool)
    text = plain(on_a_terminal(tool, columns, 40, "-q", "-p", "header=compact", "--load", "w.pyisession"))
    body = text.split("\n\n", 1)[1]
    assert max(map(len, body.splitlines())) <= columns
    path = "/usr/lib/python3/site-packages/lib/wait.py:7"
    if columns == 60:
        assert re.search(r"wait \(waiting\)  \u2026\S+/lib/wait\.py:7\n", body) and path not in body
    else:
        assert path in body


def test_a_narrow_terminal_keeps_the_end_of_a_path(tool):
    text = plain(on_a_terminal(tool, 20, 40, "-q", "-p", "header=compact", "--no-unicode", "--load", with_states(tool)))
    assert re.search(r"wait \(waiting\)  \.\.\.b/wait\.py:7\n", text)


def test_never_shortened_elsewhere(tool):
    wide = compact(tool).stdout
    assert "\u2026" not in wide
    text = on_a_terminal(tool, 20, 40, "--load", with_states(tool))
    assert "/usr/lib/python3/site-packages/lib/wait.py" in text and "\u2026" not in text


def test_wide_characters_count_twice(tool):
    session = make_session()
    session["frame_records"] = [[session["start_call_stack"][:1] + [frame("\u4e16\u754c", "/v/" + "p" * 40 + ".py", 1)], 1.0]]
    tool.write("wide.pyisession", json.dumps(session))
    line = tool.run("-p", "header=compact", "-p", "width=40", "--load", "wide.pyisession").stdout.splitlines()[-1]
    assert len(line) == 40 - 2 and "\u2026" in line


def test_deep_indents_are_narrow(tool):
    deep_session(tool)
    lines = tool.run("-p", "header=compact", "--load", "deep.pyisession").stdout.splitlines()
    at = {name: next(l for l in lines if re.search(rf"\b{name}  ", l)).index(".") for name in ("f20", "f21", "f36", "f37")}
    assert at["f21"] - at["f20"] == 3 and at["f37"] - at["f36"] == 1
    lines = tool.run("--load", "deep.pyisession").stdout.splitlines()
    at = {name: next(l for l in lines if re.search(rf"\b{name}  ", l)).index(".") for name in ("f36", "f37")}
    assert at["f37"] - at["f36"] == 3


# ---- colours -----------------------------------------------------------------------------------

def test_colours_of_the_terminal(tool):
    done = tool.run("-p", "colors=terminal", "--color", "--load", with_states(tool))
    assert "\x1b[1;31m1.000\x1b[0m \x1b[1m<module>\x1b[0m  \x1b[2mmain.py:1\x1b[0m\n" in done.stdout
    assert "\x1b[33m0.300\x1b[0m \x1b[36mwait (waiting)\x1b[0m  \x1b[2m" in done.stdout
    assert "\x1b[32m0.100\x1b[0m \x1b[2m[self]\x1b[0m  \x1b[2m" in done.stdout
    assert "48;5" not in done.stdout
    assert done.stdout.endswith(HINT % ID)


def test_colours_are_the_terminals_under_the_compact_header(tool):
    assert "\x1b[1;31m" in compact(tool, "--color").stdout
    assert "\x1b[48;5;24m" in compact(tool, "--color", "-p", "colors=upstream").stdout


@pytest.mark.parametrize("words, env, terminal, color", [
    (["--color=always"], {}, False, True), (["--color=never"], {"FORCE_COLOR": "1"}, False, False),
    (["--color=auto"], {}, False, False), (["--color=auto"], {}, True, True),
    (["--color=auto"], {"NO_COLOR": "1"}, True, False),
    (["--no-color", "--color=auto"], {}, True, True), (["--color", "--no-color"], {}, True, False),
    (["--color=always"], {"NO_COLOR": "1"}, False, True),
    ([], {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
    ([], {"NO_COLOR": "", "FORCE_COLOR": "1"}, False, True), ([], {"FORCE_COLOR": "0"}, False, False),
    ([], {"CLICOLOR_FORCE": "1"}, False, True), (["--color=auto"], {"CLICOLOR_FORCE": "1"}, False, True),
    (["-p", "header=compact"], {"TERM": "dumb"}, True, False),
    (["-p", "colors=terminal"], {"TERM": "dumb"}, True, False),
    (["-p", "header=compact"], {"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
])
def test_who_decides_about_colour(tool, words, env, terminal, color):
    words = [*words, "-q", "--load", tool.session()]
    if terminal:
        status, text = tool.terminal(*words, env=env)
        assert status == 0
    else:
        text = tool.run(*words, env=env).stdout
    assert "<module>" in text
    assert ("\x1b[" in text) == color


def test_bad_word_for_colour(tool):
    done = tool.run("--color=sometimes", "--load", tool.session())
    assert done.returncode == 2 and "option --color needs always, never or auto" in done.stderr
    tool.write("always", "print('a script')")
    assert tool.run("--color", "always").stdout.startswith("a script\n")


# ---- links -------------------------------------------------------------------------------------

def test_links(tool):
    session = make_session()
    session["frame_records"] = [[session["start_call_stack"] + [frame("f", "/home/u/a b\u00e9.py", 7)], 0.5],
                                [session["start_call_stack"] + [frame("sleep", "<built-in>", 0)], 0.5]]
    tool.write("l.pyisession", json.dumps(session))
    text = on_a_terminal(tool, 100, 40, "--hyperlinks", "--no-color", "--load", "l.pyisession")
    host = os.uname().nodename
    assert f"\x1b]8;;file://{host}/home/u/a%20b%C3%A9.py#7\x1b\\a b\u00e9.py:7\x1b]8;;\x1b\\\n" in text
    assert "sleep  <built-in>\n" in text
    unlinked = tool.run("--no-color", "--load", "l.pyisession").stdout
    assert plain(text) == unlinked


@pytest.mark.parametrize("words", [["--hyperlinks"], ["-p", "hyperlinks"], ["--hyperlinks", "--color"]])
def test_no_links_in_pipes_and_files(tool, words):
    assert "\x1b]8" not in tool.run(*words, "--load", tool.session()).stdout
    on_a_terminal(tool, 80, 24, *words, "-o", "o.txt", "--load", "s.pyisession")
    assert "\x1b]8" not in (tool.folder / "o.txt").read_text()
