# SPDX-License-Identifier: BSD-3-Clause
"""--diff: two sessions compared, as text, as JSON, of files, of the store, of a recording."""
import json
import re

from conftest import PYTHON, frame

TOP = [frame("MainThread", "<thread>", 1000), frame("<module>", "/home/u/main.py", 1)]


def records(**seconds):
    return [[TOP + [frame(name, "/home/u/main.py", 10)], value] for name, value in seconds.items()]


def pair(tool, base, new, **changes):
    for name, times in (("base", base), ("new", new)):
        tool.session(f"{name}.pyisession", frame_records=records(**times),
                     sample_count=round(sum(times.values()) * 1000), **changes)


def test_what_changed_is_named_and_the_rest_counted(tool):
    pair(tool, {"work": 1.0, "rest": 1.0, "old": 0.5}, {"work": 1.5, "rest": 1.01, "fresh": 0.4})
    done = tool.run("--load", "new.pyisession", "--diff", "base.pyisession")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["1.000", "1.500", "\u25b2", "+0.500", "+50%", "work", "main.py:10"] in lines
    assert ["0.500", "0.000", "\u25bc", "-0.500", "gone", "old", "main.py:10"] in lines
    assert ["0.000", "0.400", "\u25b2", "+0.400", "new", "fresh", "main.py:10"] in lines
    assert "rest" not in done.stdout and "1 without a change" in done.stdout
    assert "compared: seconds" in done.stdout and "load-prev" not in done.stdout


def test_equal_sessions_are_quiet(tool):
    pair(tool, {"work": 1.0, "rest": 1.0}, {"work": 1.03, "rest": 0.98})
    done = tool.run("--load", "new.pyisession", "--diff", "base.pyisession")
    assert "No difference above the noise" in done.stdout
    assert "work" not in done.stdout
    shown = tool.run("--load", "new.pyisession", "--diff", "base.pyisession", "--show-all")
    assert "work" in shown.stdout and "rest" in shown.stdout


def test_ascii_has_glyphs_too(tool):
    pair(tool, {"work": 1.0, "rest": 1.0}, {"work": 1.5, "rest": 0.5})
    done = tool.run("--load", "new.pyisession", "--diff", "base.pyisession", "--no-unicode", "--color")
    assert done.stdout.isascii()
    assert "^" in done.stdout and " v " in done.stdout
    assert "\x1b[31m" in done.stdout and "\x1b[32m" in done.stdout


def test_shares(tool):
    pair(tool, {"work": 1.0, "rest": 1.0}, {"work": 2.0, "rest": 2.0})
    arguments = ("--load", "new.pyisession", "--diff", "base.pyisession")
    assert "+100%" in tool.run(*arguments).stdout
    assert "No difference above the noise" in tool.run(*arguments, "-p", "diff=share").stdout
    bad = tool.run(*arguments, "-p", "diff=other")
    assert bad.returncode == 2 and "diff must be time or share" in bad.stderr


def test_json(tool):
    pair(tool, {"work": 1.0, "rest": 1.0}, {"work": 1.5, "rest": 1.0})
    done = tool.run("-r", "json", "--load", "new.pyisession", "--diff", "base.pyisession")
    answer = json.loads(done.stdout)
    assert answer["compared"] == "time" and answer["base"]["samples"] == 2000
    first = answer["functions"][0]
    assert first["function"] == "work" and first["self"]["change"] == "more"
    assert abs(first["self"]["delta"] - 0.5) < 1e-9
    node, names = answer["tree"], []
    while node["children"]:
        node = node["children"][0]
        names.append(node["function"])
    assert names[-1] == "work" and node["total"]["new"] == 1.5
    quiet = [f for f in answer["functions"] if f["function"] == "rest"]
    assert quiet[0]["self"]["change"] == ""


def test_formats_that_cannot_say_so(tool):
    pair(tool, {"work": 1.0}, {"work": 1.0})
    done = tool.run("-r", "pprof", "-o", "x.pb.gz", "--load", "new.pyisession", "--diff", "base.pyisession")
    assert done.returncode == 2
    assert "pprof cannot show a comparison; --diff goes with -r text, html, json" in done.stderr
    assert not (tool.folder / "x.pb.gz").exists()


def test_a_base_that_is_not_there(tool):
    pair(tool, {"work": 1.0}, {"work": 1.0})
    done = tool.run("--load", "new.pyisession", "--diff", "absent.pyisession")
    assert done.returncode == 1 and "absent.pyisession" in done.stderr


def test_a_recording_against_a_stored_one(tool):
    script = tool.write("busy.py", "import sys, time\nend = time.process_time() + 0.2\n"
                                   "def spin():\n    while time.process_time() < end: pass\n"
                                   "def more():\n    end = time.process_time() + 0.4\n"
                                   "    while time.process_time() < end: pass\n"
                                   "spin()\nif len(sys.argv) > 1: more()\n")
    first = tool.run("--python", PYTHON, script)
    assert first.returncode == 0
    stored = [path.stem for path in tool.store.iterdir()]
    assert len(stored) == 1
    done = tool.run("--diff", stored[0], "--python", PYTHON, script, "more")
    assert done.returncode == 0
    assert any("more" in line and " new " in line for line in done.stdout.splitlines())
    assert not any(" spin" in line and " new " in line for line in done.stdout.splitlines())
    kept = re.search(r"--load-prev (\S+) --diff", done.stderr).group(1)
    assert (tool.store / f"{kept}.pyisession").exists()
