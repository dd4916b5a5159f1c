# SPDX-License-Identifier: BSD-3-Clause
"""The pages that the C program writes, decoded here and compared with the sessions they are made of:
every stack of every run, times to the microsecond, states, gaps; and names of every kind."""

import glob
import json
import os
import re

import lab
import pagefile
import pyi
import pytest

SESSIONS = os.path.join(lab.ROOT, "fixtures", "sessions")
FILES = sorted(glob.glob(os.path.join(SESSIONS, "*.pyisession")) +
               glob.glob(os.path.join(SESSIONS, "upstream", "*.pyisession")))


def write(path, session, *options):
    source = path / "session.pyisession"
    if isinstance(session, dict):
        source.write_text(json.dumps(session))
    else:
        source = session
    done = pyi.run("--load", source, "-r", "html", *options, home=path)
    assert done.status == 0, done
    return pagefile.Page(done.out)


# ---- what a session says, without the program under test ----

def identifier(info):
    return info.split("\x01", 1)[0]


def real(text):
    """Lone surrogates are no text."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def frame(info):
    """What the page has of a frame: function, path, first line, class, executing line."""
    name, *attributes = info.split("\x01")
    parts = name.split("\0") + ["", ""]
    first = int(parts[2]) if re.fullmatch(r"\d+", parts[2]) else 0
    of = {mark: next((a[1:] for a in attributes if a[:1] == mark and len(a) > 1), "") for mark in "cl"}
    return (real(parts[0]), real(parts[1]), first, real(of["c"]), int(of["l"] or 0))


def threads_of(session):
    """Record ranges: (attach thread or None, idle, first, end)."""
    attach = session.get("attach") or {}
    seen, rows = set(), []
    for thread in attach.get("threads", []):
        main = thread.get("process", 0) not in seen
        seen.add(thread.get("process", 0))
        rows.append((thread, thread.get("idle", False) and not main, thread["first"],
                     thread["first"] + thread["records"]))
    return rows


def root_depth(session):
    """How many frames of each stack of the default report are its root and what is above it."""
    hidden = [(first, end) for _, idle, first, end in threads_of(session) if idle]
    shown = [stack for i, (stack, _) in enumerate(session["frame_records"])
             if not any(first <= i < end for first, end in hidden)]
    start = [identifier(info) for info in session["start_call_stack"]]
    if not shown:
        return 0
    depth = 0
    while depth < len(start) and all(
            len(stack) > depth and identifier(stack[depth]) == start[depth] for stack in shown):
        depth += 1
    return depth


def below(stack, depth, start):
    """The frames of a stack that become call paths."""
    stem = 0
    while stem < depth - 1 and stem < len(stack) and identifier(stack[stem]) == start[stem]:
        stem += 1
    while stem < min(2, len(stack)) and re.fullmatch(
            r"[^\0]*\0<(thread|process)>(\0.*)?", identifier(stack[stem]), re.S):
        stem += 1
        if "\0<thread>" in identifier(stack[stem - 1]):
            break
    return [frame(info) for info in stack[stem:]]


def key_of(stack):
    """Which thread a stack belongs to."""
    for info in stack[:2]:
        if identifier(info).split("\0")[1:2] == ["<thread>"]:
            return frame(info)[:4]
        if identifier(info).split("\0")[1:2] != ["<process>"]:
            break
    return None


def expected_threads(session):
    """Per thread, in order of its first record: [(stack, state, seconds, gap begins)]."""
    ranges, lanes = threads_of(session), {}
    start = [identifier(info) for info in session["start_call_stack"]]
    depth = root_depth(session)
    for i, (stack, seconds) in enumerate(session["frame_records"]):
        number = next((n for n, (_, _, a, b) in enumerate(ranges) if a <= i < b), None)
        lane = lanes.setdefault(number if number is not None else ("frame", key_of(stack)), [])
        state, begin = 0, None
        if number is not None:
            thread, index = ranges[number][0], len(lane)
            codes = [code for n, code in thread.get("states", []) for _ in range(n)]
            state = codes[index] if index < len(codes) else 0
            begin = dict(map(tuple, thread.get("jumps", []))).get(index)
        lane.append((below(stack, depth, start), state, seconds, begin))
    return lanes


def check_threads(got, session):
    interval = session.get("max_interval", 0.001)
    lanes = expected_threads(session)
    assert len(got.threads) == len(lanes)
    for thread, (key, records) in zip(got.threads, lanes.items()):
        ours = isinstance(key, int)
        begin = round(threads_of(session)[key][0].get("start", 0) * 1e6) if ours else 0
        assert thread["start_us"] == begin
        run, left, clock, total = -1, 0, begin, 0.0
        samples = 0
        previous = None
        for stack, state, seconds, jump in records:
            gap = 0 if jump is None else max(0, round(jump * 1e6) - clock)
            if previous != (stack, state) or gap:
                assert left == 0, "a run is longer than its records"
                assert run < 0 or thread["count"][run] == samples
                run, samples = run + 1, 0
                left = thread["dur"][run]
                seen = [(f["name"], f["path"], f["line"], f["class"], line)
                        for f, line in got.stack(thread["nodes"][run])]
                assert seen == stack
                assert thread["state"][run] == state
                assert abs(thread["gap"][run] - gap) <= 1
                clock += thread["gap"][run]
            previous = (stack, state)
            before, total = round(total * 1e6), total + seconds
            step = round(total * 1e6) - before
            left, clock = left - step, clock + step
            samples += max(1, int(seconds / interval + 0.5)) if ours else 1
        assert left == 0 and run == thread["runs"] - 1
        assert sum(thread["dur"]) == round(sum(r[2] for r in records) * 1e6)
        assert thread["count"][-1] == samples


def read_session(path):
    with open(path, encoding="utf-8") as file:
        session = json.load(file)
    return dict({"max_interval": 0.001, "sys_prefixes": [], "sys_path": []}, **session)


@pytest.mark.parametrize("path", FILES, ids=os.path.basename)
def test_every_run_of_every_stored_session(tmp_path, path):
    session = read_session(path)
    numbers = [seconds for _, seconds in session["frame_records"]]
    got = write(tmp_path, path)
    got.check_policy()
    assert got.overhead() <= 110000
    if all(n == n and 0 <= n < 1e15 for n in numbers):
        check_threads(got, session)
    assert got.title.endswith(" - pyinstrument")


@pytest.mark.parametrize("path", FILES, ids=os.path.basename)
def test_the_summary_is_the_text_report(tmp_path, path):
    """The rows that show without scripts are those of the text report, with names made safe."""
    text = pyi.run("--load", path, "-r", "text", "-o", tmp_path / "t.txt", home=tmp_path)
    assert text.status == 0, text
    report = (tmp_path / "t.txt").read_bytes().decode("utf-8", "replace")
    report = re.sub(r"\d+ idle threads? not shown, --idle shows (it|them)\n", "", report)
    lines = [line for line in report.split("\n") if line.isascii() and "\\" not in line]
    static = write(tmp_path, path).static.split("\n")
    known = set(static)
    rows = [line for line in lines[:45] if len(line) < 400]
    missing = [line for line in rows if line not in known]
    assert not missing


def has_one_thread(path):
    """The flat table of several threads mixes them; without time there is none."""
    session = read_session(path)
    numbers = [n for _, n in session["frame_records"]]
    return root_depth(session) > 0 and not session.get("attach") and sum(numbers) > 0 and all(
        0 <= n < 1e6 for n in numbers)


@pytest.mark.parametrize("path", [path for path in FILES if has_one_thread(path)], ids=os.path.basename)
def test_self_times_are_those_of_the_flat_table(tmp_path, path):
    done = pyi.run("--load", path, "-r", "text", "-p", "flat=true", "--show-all", "--no-color",
                   home=tmp_path)
    assert done.status == 0, done
    table, unit = {}, {}
    for line in done.text.split("\n"):
        match = re.fullmatch(r"(\d+\.\d+) (?:\S+\.)?(\S+)  (\S+)", line)
        if match:
            key = match.group(2), match.group(3)
            table[key] = table.get(key, 0) + float(match.group(1))
            unit[key] = unit.get(key, 0) + 10 ** -len(match.group(1).split(".")[1])
    got = write(tmp_path, path)
    mine = {}
    for thread in got.threads:
        for node, micro in zip(thread["nodes"], thread["dur"]):
            stack = got.stack(node)
            if not stack or stack[-1][0]["flags"] & 4:
                stack = stack[:-1]
            if stack:
                f = stack[-1][0]
                line = ":%d" % f["line"] if f["line"] else ""
                key = f["name"].split(".")[-1], f["short"] + line
                mine[key] = mine.get(key, 0) + micro / 1e6
    compared = 0
    for key, seconds in mine.items():
        if key in table and " " not in key[1]:
            compared += 1
            assert abs(table[key] - seconds) <= unit[key] / 2 + 1e-6, key
    assert compared or not table


# ---- sessions made here ----

def info(function, path, line, *attributes):
    return "\0".join([function, path, str(line)]) + "".join("\x01" + a for a in attributes)


def session_of(records, **more):
    return dict({
        "start_time": 1700000000.25, "duration": 1.5, "min_interval": 0.001, "max_interval": 0.001,
        "sample_count": len(records), "start_call_stack": [], "target_description": "Program: a/b.py -x",
        "cpu_time": 0.5, "sys_path": ["/home/u"], "sys_prefixes": ["/usr"], "frame_records": records,
    }, **more)


MAIN, WORKER = info("MainThread", "<thread>", 1000), info("worker", "<thread>", 2000)
PARENT, CHILD = info("app (7)", "<process>", 7), info("app (8)", "<process>", 8)
TOP = info("<module>", "/home/u/main.py", 1, "l50")
WORK = info("work", "/home/u/main.py", 10, "cThing", "l11")
LATER = info("work", "/home/u/main.py", 10, "cThing", "l12")


def thread(first, records, **more):
    return dict({"process": 0, "name": "t", "ident": first + 1, "tid": 50 + first, "start": 0,
                 "first": first, "records": records, "samples": records, "idle": False, "cpu": 0.25,
                 "jumps": [], "states": []}, **more)


def many(tmp_path):
    """Three threads in two processes, with states, jumps, an idle thread, and equal records."""
    records = [
        [[PARENT, MAIN, TOP, WORK], 0.0010004], [[PARENT, MAIN, TOP, WORK], 0.0010004],
        [[PARENT, MAIN, TOP, WORK], 0.0010004], [[PARENT, MAIN, TOP, LATER], 0.25],
        [[PARENT, MAIN], 0.5], [[PARENT, WORKER, info("loop", "/usr/lib/python3.11/x.py", 3, "l4")], 2.0],
        [[CHILD, MAIN, TOP], 0.125], [[CHILD, MAIN, TOP], 0.125],
    ]
    attach = {"v": 1, "tool": "1", "mode": "wall", "notes": ["</script>\u2028"], "processes": [
        {"pid": 7, "command": "app", "python": "3.13.0"}, {"pid": 8, "command": "app"}], "threads": [
            thread(0, 5, start=0.5, states=[[2, 1], [2, 2], [1, 3]], jumps=[[1, 0.6], [3, 0.1], [5, 9]]),
            thread(5, 1, idle=True, states=[[1, 2]]),
            thread(6, 2, process=1, start=0.001, states=[[2, 0]])],
        "missed": 3, "lost": 2, "truncated": 1, "unobserved": 0.25}
    return session_of(records, attach=attach)


def test_threads_processes_states_and_gaps(tmp_path):
    session = many(tmp_path)
    got = write(tmp_path, session)
    check_threads(got, session)
    meta, first = got.payload["meta"], got.threads[0]
    assert (meta["missed"], meta["lost"], meta["truncated"], meta["unobserved"]) == (3, 2, 1, 0.25)
    assert meta["python"] == "3.13.0" and meta["notes"] == ["</script>\u2028"]
    assert meta["has_states"] and meta["idle"] == 1
    assert first["state"] == [1, 1, 2, 2, 3] and first["gap"][1] == 99000
    assert [t["idle"] for t in got.threads] == [False, True, False]
    assert got.threads[1]["function"]["flags"] == 8
    assert [t["process"] for t in got.threads] == [0, 0, 1]
    names = [got.functions[p["func"]]["name"] for p in got.payload["processes"]]
    assert names == ["app (7)", "app (8)"]
    assert [p["pid"] for p in got.payload["processes"]] == [7, 8]
    assert first["nodes"][-1] == len(got.nodes)  # the thread's own time
    assert "state" not in got.payload["threads"][2]


@pytest.mark.parametrize("path, kind, flags", [
    ("/home/u/x.py", 0, 1), ("/usr/lib/python3/dist-packages/x.py", 1, 0),
    ("/usr/lib/python3.11/site-packages/x.py", 1, 0), ("/usr/lib/python3.11/json/x.py", 2, 0),
    ("<built-in>", 3, 0), ("<frozen importlib._bootstrap>", 4, 0), ("<frozen runpy>", 2, 0),
    ("/usr/lib/python3.11/importlib/_bootstrap_external.py", 4, 0), ("<gc>", 5, 0), ("<wait>", 6, 0),
    ("<gap>", 8, 0), ("<truncated>", 8, 0), ("<extended>", 8, 0), ("<ipython-input-3>", 0, 1),
    ("<attrs generated eq>", 1, 0), ("/usr/lib/libm.so.6", 3, 0), ("relative.py", 0, 1),
])
def test_kinds_of_code(tmp_path, path, kind, flags):
    session = session_of([[[MAIN, TOP, info("f", path, 3)], 1], [[MAIN, WORK], 1]])
    got = write(tmp_path, session)
    (row,) = [f for f in got.functions if f["path"] == path]
    assert (row["kind"], row["flags"]) == (kind, flags)


@pytest.mark.parametrize("above, kind, flags", [
    ([TOP], 0, 1), ([info("g", "/usr/lib/python3.11/x.py", 1)], 2, 0),
    ([info("g", "/usr/lib/python3/dist-packages/x.py", 1)], 1, 0), ([], 2, 0),
])
def test_code_without_a_file_is_what_its_caller_is(tmp_path, above, kind, flags):
    session = session_of([[[MAIN, *above, info("f", "<string>", 3)], 1], [[MAIN, WORK], 1]])
    (row,) = [f for f in write(tmp_path, session).functions if f["path"] == "<string>"]
    assert (row["kind"], row["flags"]) == (kind, flags)


def test_hidden_and_synthetic_frames(tmp_path):
    got = write(tmp_path, session_of([[[MAIN, info("f", "/a.py", 3, "cK", "l4", "h1")], 1],
                                      [[MAIN, TOP, "[await]"], 1]]))
    flags = {f["name"]: (f["kind"], f["flags"]) for f in got.functions}
    assert flags["f"] == (0, 3) and flags["[await]"] == (8, 4) and flags["MainThread"] == (7, 0)


EVIL = ["</script>", "</ScRiPt >", "<!--", "-->", "]]>", "<script>", "&lt;&amp;", "\u2028\u2029", "'\"\\",
        "</pre><img src=x onerror=1>", "</title>", "\u202e\u2066\u200f", "\x00", "\ud800", "\udc80",
        "\udcff\udc80", "\ufeff", "\x7f\x9b\x1b[31m", "".join(map(chr, range(2, 256))), "e\u0301", "😀",
        "${x}`", "x" * 1000000, "<" * 10000]


@pytest.mark.parametrize("evil", EVIL, ids=lambda text: ascii(text)[:30])
def test_hostile_names(tmp_path, evil):
    name = evil.replace("\0", "")
    session = session_of([
        [[info(name, "<thread>", 7), info(name, "/" + name, 1, "c" + name.replace("\x01", ""), "l5")], 1],
        [[info(name, "<thread>", 7), info("f", name + "/b.py", 2)], 0.5]],
        target_description="Program: " + evil, sys_prefixes=[evil + "x"])
    session["attach"] = {"v": 1, "notes": [evil], "processes": [{"pid": 1, "command": evil, "python": evil}],
                         "threads": [thread(0, 2, name=evil)]}
    got = write(tmp_path, session, "-p", "source=app")
    check_threads(got, session)
    got.check_policy()
    assert got.payload["meta"]["notes"] == [real(evil)]
    assert got.payload["meta"]["python"] == real(evil)
    assert got.strings[got.payload["meta"]["command"]] == real("Program: " + evil)
    shown = got.static + got.title
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200f\u2028-\u202e\u2066-\u2069\ufeff]", shown)
    assert b"<" not in got.json.encode() and not re.search(rb"[\x00-\x1f\x7f>&]", got.json.encode())
    assert not re.search("[\u2028\u2029]", got.json)


@pytest.mark.parametrize("records", [[], [[[], 1]], [[[MAIN], 1]], [[[MAIN, TOP], 0]],
                                     [[[TOP], 1], [[WORK], 1]], [[["f"], 1], [[], 2], [["", "x"], 3]]],
                         ids=["none", "empty", "thread", "zero", "frames", "odd"])
@pytest.mark.parametrize("start", [[], [MAIN], [MAIN, TOP], [TOP]], ids=len)
def test_tiny_sessions(tmp_path, records, start):
    session = session_of(records, start_call_stack=start)
    got = write(tmp_path, session, "-p", "source=all")
    check_threads(got, session)
    if not records:
        assert got.threads == [] and "No samples were recorded." in got.static


def test_a_hundred_hours_are_exact(tmp_path):
    session = session_of([[[MAIN, TOP], 360000.000001], [[MAIN, TOP, WORK], 0.0000004],
                          [[MAIN, TOP, WORK], 0.0000004], [[MAIN, TOP], 1e9]])
    got = write(tmp_path, session)
    assert got.threads[0]["dur"][0] == 360000000001 > 1 << 32
    assert sum(got.threads[0]["dur"]) == 1000360000000002


def test_rounding_never_accumulates(tmp_path):
    session = session_of([[[MAIN, TOP, info("f", "/a.py", i % 2)], 0.0000014] for i in range(1000)])
    assert sum(write(tmp_path, session).threads[0]["dur"]) == 1400


def test_deep_stacks(tmp_path):
    deep = [MAIN] + [info("f", "/home/u/main.py", 1, "l2")] * 100000
    got = write(tmp_path, session_of([[deep, 1], [deep[:50000], 1]]), "-p", "source=all")
    assert len(got.nodes) == 100000 and len(got.static) < 100000
    assert len(got.static.split("\n")) < 60 and "(the first 40 rows)" in got.static


def test_same_bytes_every_time(tmp_path):
    session = many(tmp_path)
    assert write(tmp_path, session).bytes == write(tmp_path, session).bytes
    other = dict(session, start_time=1)
    assert write(tmp_path, session).payload["meta"]["hash"] != write(tmp_path, other).payload["meta"]["hash"]


@pytest.mark.parametrize("description, title", [
    ("Program: a/b.py -x", "2.00s - b.py - pyinstrument"), ("Program: -c", "2.00s - -c - pyinstrument"),
    ("Profile at /x/y.py:20", "2.00s - y.py:20 - pyinstrument"), ("anything", "2.00s - anything - pyinstrument"),
    ("", "2.00s -  - pyinstrument"),
])
def test_title(tmp_path, description, title):
    session = session_of([[[MAIN, TOP], 2]], target_description=description, start_call_stack=[MAIN, TOP])
    got = write(tmp_path, session)
    assert got.title == title == got.payload["meta"]["title"]


def test_combined_sessions(tmp_path):
    one, two = tmp_path / "1.pyisession", tmp_path / "2.pyisession"
    one.write_text(json.dumps(many(tmp_path)))
    two.write_text(json.dumps(session_of([[[MAIN, TOP, WORK], 0.5]], start_time=1700000005.25)))
    both = tmp_path / "both.pyisession"
    assert pyi.run("--load", one, "--load", two, "-o", both, home=tmp_path).status == 0
    session = read_session(both)
    got = write(tmp_path, both)
    check_threads(got, session)
    assert len(got.threads) == 4


def test_base_of_a_comparison(tmp_path):
    base = tmp_path / "base.pyisession"
    before = session_of([[[MAIN, TOP, WORK], 0.5], [[MAIN, info("gone", "/home/u/o.py", 5)], 0.25]],
                        target_description="Program: old.py", duration=0.75)
    base.write_text(json.dumps(before))
    now = session_of([[[MAIN, TOP, WORK], 1], [[MAIN, TOP, LATER], 1]])
    got = write(tmp_path, now, "--diff", base)
    check_threads(got, now)
    (thread_before,) = got.base
    stacks = [[(f["name"], line) for f, line in got.stack(n)] for n in thread_before["nodes"]]
    assert stacks == [[("<module>", 50), ("work", 11)], [("gone", 0)]]
    assert thread_before["nodes"][0] == got.threads[0]["nodes"][0]  # equal paths are one node
    assert len(set(got.nodes)) == len(got.nodes)
    diff = got.payload["meta"]["diff"]
    assert (got.strings[diff["program"]], diff["duration"], diff["mode"]) == ("old.py", 0.75, "time")
    assert write(tmp_path, now, "--diff", base, "-p", "diff=share").payload["meta"]["diff"]["mode"] == "share"
    assert write(tmp_path, now).payload["meta"]["diff"] is None


def test_resampling_on_demand(tmp_path):
    records = [[[MAIN, TOP, info("f", "/a.py", i % 3)], 0.001] for i in range(100001)]
    session = session_of(records)
    assert write(tmp_path, session).threads[0]["runs"] == 100001
    assert write(tmp_path, session, "-p", "resample_interval=0").threads[0]["runs"] == 100001
    got = write(tmp_path, session, "-p", "resample_interval=0.0101")
    assert 8000 < got.payload["meta"]["samples"] < 10001
    assert "resampled from 100001 to" in got.payload["meta"]["notes"][0]


# ---- source text ----

SOURCE = '''import os

# module

@decorated(
    1)
def hot(
    a,
):
    """Text."""

    total = 0
    for i in range(9):
        total += i

# not of it
    return total


class K:
    def cold(self):
        return "cold"

    def warm(self):
        x = "\u00e9</script>"
        return x


async def far():
    pass
# one
# two
# three
value = hot(1)
'''


def line(text):
    return next(n for n, row in enumerate(SOURCE.splitlines(), 1) if text in row)


HOT, WARM, COLD, MODULE = line("@decorated"), line("def warm"), line("def cold"), line("value =")


def hot_session(path, times=(0.9, 0.05, 0.004), **more):
    top = info("<module>", path, 1, "l%d" % MODULE)
    return session_of([
        [[MAIN, top, info("hot", path, HOT, "l%d" % line("total += i"))], times[0]],
        [[MAIN, top, info("warm", path, WARM, "cK", "l%d" % (WARM + 2))], times[1]],
        [[MAIN, top, info("cold", path, COLD, "cK", "l%d" % (COLD + 1))], times[2]]], **more)


def parts_of(got, path):
    (row,) = [(key, value) for key, value in got.payload["source"].items()
              if got.functions[int(key)]["path"] == real(path)]
    first = next(i for i, f in enumerate(got.functions) if f["path"] == real(path))
    assert int(row[0]) == first
    return row[1]


def lines_of(source):
    lines = {}
    for part in source["parts"]:
        for offset, text in enumerate(part["text"].splitlines()):
            assert part["first"] + offset not in lines
            lines[part["first"] + offset] = text
    return lines


def test_source_of_hot_functions(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(SOURCE)
    os.utime(path, (1600000000, 1600000000))
    session = hot_session(str(path))
    assert "source" not in write(tmp_path, session).payload
    got = write(tmp_path, session, "-p", "source=app")
    assert got.payload["meta"]["source"] == "app"
    source = parts_of(got, str(path))
    text, lines = SOURCE.splitlines(), lines_of(source)
    assert not source["stale"] and source["reason"] is None
    assert lines == {n: text[n - 1] for n in lines}
    def around(first, last):
        return set(range(max(1, first - 3), min(len(text), last + 3) + 1))
    hot = around(HOT, line("return total")) | around(MODULE, MODULE)
    assert set(lines) == hot | around(WARM, WARM + 2)
    cold = write(tmp_path, hot_session(str(path), (0.9, 0.001, 0.001)), "-p", "source=app")
    assert set(lines_of(parts_of(cold, str(path)))) == hot


@pytest.mark.parametrize("option, there", [("source=app", False), ("source=all", True), ("source", False)])
def test_source_of_libraries(tmp_path, option, there):
    path = tmp_path / "lib.py"
    path.write_text(SOURCE)
    got = write(tmp_path, hot_session(str(path), sys_prefixes=[str(tmp_path)]), "-p", option)
    assert bool(got.payload["source"]) == there


def test_source_that_is_newer(tmp_path):
    path = tmp_path / "app.py"
    path.write_text(SOURCE)
    assert parts_of(write(tmp_path, hot_session(str(path)), "-p", "source=app"), str(path))["stale"]


def test_source_below_the_root_of_the_process(tmp_path):
    root = tmp_path / "root"
    (root / "srv").mkdir(parents=True)
    (root / "srv" / "app.py").write_text(SOURCE)
    (root / "srv" / "link.py").symlink_to("/srv/app.py")
    (tmp_path / "secret.py").write_text("SECRET = 1\n")
    (root / "srv" / "out.py").symlink_to("../../../../../../../.." + str(tmp_path / "secret.py"))
    attach = {"v": 1, "processes": [{"pid": 1, "root": str(root)}], "threads": [thread(0, 3)]}
    for name, there in (("app.py", True), ("link.py", True), ("out.py", False)):
        got = write(tmp_path, hot_session("/srv/" + name, attach=attach), "-p", "source=app")
        source = parts_of(got, "/srv/" + name)
        assert bool(source["parts"]) == there and bool(source["reason"]) != there
        assert "SECRET" not in got.json


def test_source_that_is_no_file_or_no_python(tmp_path):
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "shadow").write_text("root:secret\n" * 40)
    (tmp_path / "script").write_text("#!/usr/bin/env python3\n" + SOURCE)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "big.py").write_text("#" * (5 << 20))
    for name, words in (("fifo.py", "not a regular file"), ("folder.py", "not a regular file"),
                        ("shadow", "does not look like Python"), ("absent.py", "cannot be read"),
                        ("big.py", "larger than 4 MB"), ("script", None)):
        path = str(tmp_path / name)
        source = parts_of(write(tmp_path, hot_session(path), "-p", "source=app"), path)
        assert source["reason"] is None if words is None else words in source["reason"]
        assert bool(source["parts"]) == (words is None)
    for path in ("/dev/zero", "/dev/tty", "relative.py", "/proc/self/environ"):
        assert parts_of(write(tmp_path, hot_session(path), "-p", "source=app"), path)["reason"]


def test_source_in_other_encodings(tmp_path):
    path = tmp_path / "latin.py"
    path.write_bytes(SOURCE.encode("latin-1"))
    lines = lines_of(parts_of(write(tmp_path, hot_session(str(path)), "-p", "source=app"), str(path)))
    assert lines[WARM + 1] == '        x = "\ufffd</script>"'


def test_source_of_a_megabyte_at_most(tmp_path):
    path = tmp_path / "wide.py"
    path.write_text("def hot():\n" + "    x = 1  # %s\n" % ("y" * 100000) * 15 + "z = 1\n")
    session = session_of([[[MAIN, info("hot", str(path), 1, "l3")], 1]])
    source = parts_of(write(tmp_path, session, "-p", "source=app"), str(path))
    assert "more than 1 MB" in source["reason"] and sum(len(p["text"]) for p in source["parts"]) <= 1 << 20


# ---- the command line ----

def test_options_of_the_page(tmp_path):
    path = tmp_path / "s.pyisession"
    path.write_text(json.dumps(many(tmp_path)))
    for option in ("source=yes", "processor_options={}", "flat"):
        done = pyi.run("--load", path, "-r", "html", "-p", option, home=tmp_path)
        assert done.status == 2 and "Failed to create HTMLRenderer" in done.errors
    for words in (["--show-all"], ["--timeline"], ["-p", "show_all"]):
        done = pyi.run("--load", path, "-r", "html", *words, home=tmp_path)
        assert done.status == 0 and "deprecated" in done.errors
        assert done.out == write(tmp_path, many(tmp_path)).bytes
    assert pyi.run("--load", path, "-r", "html", "--hide", "*", home=tmp_path).errors == ""
