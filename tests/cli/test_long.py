# SPDX-License-Identifier: BSD-3-Clause
"""Long recordings: .pyirec, --aggregate, --loop with --max-files, --max-cpu."""
import glob
import json
import os
import re

import pytest

MAGIC = b"\x93PYIREC\x01"


def test_pyirec_and_back(tool):
    path = tool.session()
    assert tool.run("--load", path, "-o", "s.pyirec").returncode == 0
    with open(os.path.join(tool.folder, "s.pyirec"), "rb") as file:
        assert file.read(8) == MAGIC
    assert tool.run("--load", "s.pyirec", "-o", "back.pyisession").returncode == 0
    with open(path, "rb") as a, open(os.path.join(tool.folder, "back.pyisession"), "rb") as b:
        assert a.read() == b.read()
    for name in ("text", "json", "speedscope", "html", "collapsed"):
        assert tool.run("-r", name, "--load", path).stdout == tool.run("-r", name, "--load", "s.pyirec").stdout


def test_recorded_into_pyirec(tool, worker):
    done = tool.run("-d", "0.5", "-o", "r.pyirec", "--pid", worker.pid)
    assert done.returncode == 0, done.stderr
    assert [name for name in os.listdir(tool.folder) if name.startswith("r.pyirec")] == ["r.pyirec"]
    report = tool.run("--load", "r.pyirec")
    assert "busy  worker.py:2" in report.stdout and not report.stderr
    session = json.loads(tool.run("-r", "pyisession", "--load", "r.pyirec").stdout)
    assert abs(sum(seconds for _, seconds in session["frame_records"]) - session["duration"]) < 0.01


def test_launched_into_pyirec(tool):
    script = tool.write("b.py", "import time\nend = time.monotonic() + 0.3\n"
                                "while time.monotonic() < end:\n    sum(range(200))\n")
    done = tool.run("-o", "l.pyirec", script)
    assert done.returncode == 0, done.stderr
    assert "b.py" in tool.run("--load", "l.pyirec").stdout


def test_cut_off(tool):
    assert tool.run("--load", tool.session(), "-o", "s.pyirec").returncode == 0
    whole = open(os.path.join(tool.folder, "s.pyirec"), "rb").read()
    with open(os.path.join(tool.folder, "cut.pyirec"), "wb") as file:
        file.write(whole[:-5])
    done = tool.run("--load", "cut.pyirec")
    assert done.returncode == 1 and "not a session file (nothing in it is whole)" in done.stderr


def test_store_takes_large_ones_as_pyirec(tool):
    """More than 64 MB of JSON; every part of the store knows both."""
    stack = ["MainThread\0<thread>\0" + "1"] + ["function_%02d\0/a/long/path/of/a/program.py\0%d" % (i, i)
                                                for i in range(60)]
    path = tool.session(frame_records=[[stack[:30 + i % 30], 0.001 + i * 1e-9] for i in range(36000)])
    report = tool.run("--load", path)
    assert report.returncode == 0, report.stderr
    name = report.stdout.split("--load-prev ")[1].split()[0]
    stored = glob.glob(os.path.join(tool.folder, "**", name + ".*"), recursive=True)
    assert [os.path.splitext(file)[1] for file in stored] == [".pyirec"]
    assert os.path.getsize(stored[0]) < 1e6
    assert tool.run("--list-prev").stdout.split() == [name]
    assert name in tool.run("--list-prev", "-v").stdout and "samples" in tool.run("--list-prev", "-v").stdout
    assert tool.run("--load-prev", name).stdout == report.stdout


def test_aggregate(tool, worker):
    done = tool.run("-d", "0.5", "--aggregate", "-r", "pyisession", "--pid", worker.pid)
    assert done.returncode == 0, done.stderr
    session = json.loads(done.stdout)
    threads = session["attach"]["threads"]
    seen = []
    for thread in threads:
        states = [code for count, code in thread["states"] for _ in range(count)]
        records = session["frame_records"][thread["first"]:thread["first"] + thread["records"]]
        seen += [(json.dumps(stack), state) for (stack, _), state in zip(records, states)]
    assert len(seen) == len(set(seen)) == len(session["frame_records"])
    assert "sums only: no order of time was kept" in session["attach"]["notes"]


def test_loop(tool, worker):
    done = tool.run("-d", "4.5", "--loop", "1s", "--max-files", "2", "-o", "p%%-%p-%t.pyisession", "--pid", worker.pid)
    assert done.returncode == 0, done.stderr
    made = [name for name in os.listdir(tool.folder) if name.endswith(".pyisession")]
    assert len(made) == 2
    for name in made:
        assert re.fullmatch(r"p%%-%d-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.pyisession" % worker.pid, name)
        session = json.load(open(os.path.join(tool.folder, name)))
        assert session["frame_records"] and session["duration"] < 3
    assert re.search(r"samples in 4\.\d+ s", done.stderr), done.stderr


@pytest.mark.parametrize("words, message", [
    (["--loop", "1s"], "--loop needs -o with %t"),
    (["--loop", "1s", "-o", "x.pyisession"], "without %t in it every file would replace"),
    (["--loop", "1s", "-o", "x%q-%t.pyisession"], "only %p, %t and %% can stand in it"),
    (["--loop", "0.1", "-o", "x-%t.pyisession"], "--loop takes at least a second"),
    (["--max-files", "3"], "--max-files goes with --loop"),
    (["--aggregate", "--timeline"], "--aggregate keeps no order of time"),
    (["--max-cpu", "0"], "a share of one core above zero"),
    (["--max-cpu", "much"], "a share of one core above zero"),
])
def test_refused(tool, worker, words, message):
    done = tool.run("-d", "0.1", *words, "--pid", worker.pid)
    assert done.returncode == 2
    assert message in done.stderr


def test_max_cpu(tool, worker):
    done = tool.run("-d", "3", "-i", "0.0001", "--max-cpu", "1%", "-o", "m.pyisession", "--pid", worker.pid)
    assert done.returncode == 0, done.stderr
    assert "held back to" in done.stderr
    session = json.load(open(os.path.join(tool.folder, "m.pyisession")))
    assert session["min_interval"] == 0.0001
    assert session["max_interval"] > 0.0002
