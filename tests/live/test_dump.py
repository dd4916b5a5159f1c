# SPDX-License-Identifier: BSD-3-Clause
"""--dump against what the target says of itself: stacks, states, the lock, variables."""

import json
import re
import shutil
import subprocess

import lab
import pyi
import pytest

FILES = ("truth.py", "situations.py")


def dump(pid, *options, home=None):
    run = pyi.run("--dump", "--json", *options, "--pid", pid, home=home)
    assert run.status == 0, run
    assert run.errors == "", run
    return json.loads(run.out)


# ---- stacks of every kind, at rest -------------------------------------------------------------


@pytest.fixture(scope="module", params=lab.every_profiled(), ids=repr)
def pair(request, tmp_path_factory):
    script = "stacks2.py" if request.param.version < (3, 0) else "stacks.py"
    target = lab.start(request.param, script, files=FILES)
    try:
        truth = target.json()
        target.wait_asleep()
        home = tmp_path_factory.mktemp("home")
        yield request.param, truth, dump(target.pid, "--reverse", home=home), target, home
    finally:
        target.close()


def entry(frame):
    return [frame["function"], frame["file"], frame["first_line"], frame["line"],
            frame.get("class"), frame["count"]]


def test_stacks_are_what_the_target_says(pair):
    _, truth, seen, _, _ = pair
    threads = {t["ident"]: t for t in seen["threads"] if t["interpreter"] == 0}
    problems = []
    for told in truth["threads"]:
        thread = threads.get(told["ident"])
        want = [e[:5] + e[6:] for e in told["stack"]]
        # A C function at the top is not in the target's own list.
        have = [entry(f) for f in thread["frames"] if f["first_line"] > 0] if thread else None
        if want != have:
            problems.append((told["name"], [p for p in zip(want, have or []) if p[0] != p[1]][:1]))
    assert not problems, problems
    assert len(threads) >= len(truth["threads"])


def test_everything_at_rest_is_consistent_and_waits(pair):
    interpreter, truth, seen, _, _ = pair
    assert seen["pid"] == truth["pid"] or interpreter.root
    assert seen["python"].startswith(interpreter.text)
    told = {t["ident"] for t in truth["threads"]}
    for thread in seen["threads"]:
        assert thread["consistent"] and thread["read"] and not thread["truncated"], thread
        if thread["interpreter"] == 0 and thread["ident"] in told:
            assert thread["state"] == "waiting", thread["name"]
            if interpreter.build == "free-threaded":
                assert "gil" not in thread, thread
            else:
                assert thread["gil"] == "other", thread["name"]
    assert sum(t["main"] for t in seen["threads"]) == 1
    assert seen["threads"][0]["main"]


def test_text_and_full_agree_with_json(pair):
    _, _, seen, target, home = pair
    full = dump(target.pid, "--reverse", "--full", home=home)
    deep = 0
    for thread, unfolded in zip(seen["threads"], full["threads"]):
        repeated = [dict(f, count=1) for f in thread["frames"] for _ in range(f["count"])]
        assert repeated == unfolded["frames"]
        deep = max(deep, *[f["count"] for f in thread["frames"]], 0)
    run = pyi.run("--dump", "--pid", target.pid, home=home)
    assert run.status == 0, run
    assert deep > 10 and "\u00d7%d\n" % deep in run.text
    # Most recent call first, as the JSON without --reverse has it.
    assert "\x1b" not in run.text
    plain = dump(target.pid, home=home)
    for thread, other in zip(seen["threads"], plain["threads"]):
        assert thread["frames"] == other["frames"][::-1]


def test_the_target_is_left_alone(pair):
    _, _, _, target, home = pair
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = home / "log"
    command = ["strace", "-f", "-o", log, "-e",
               "trace=ptrace,process_vm_writev,kill,tkill,tgkill,pidfd_send_signal", lab.BINARY,
               "--dump", "--locals", "--pid", str(target.pid)]
    # A sanitizer's search for leaks would be traced, too.
    env = pyi.environment(home, ASAN_OPTIONS="detect_leaks=0")
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not re.findall(r"^\d+ +\w+\(", log.read_text(errors="replace"), re.MULTILINE)


# ---- states and the lock -----------------------------------------------------------------------

BUSY = """
import sys, threading, time
def start(name, function, *arguments):
    thread = threading.Thread(target=function, args=arguments, name=name)
    thread.daemon = True
    thread.start()
def spin(n):
    if n:
        return spin(n - 1)
    x = 0
    while True:
        x += 1
def idle():
    time.sleep(1000)
for name in ("busy-1", "busy-2"):
    start(name, spin, 20)
start("idle", idle)
sys.stdout.write("ready\\n")
sys.stdout.flush()
threading.Event().wait(100000)
"""


@pytest.mark.parametrize("interpreter", lab.one_of_each(), ids=repr)
def test_states_and_the_lock(interpreter, targets, home):
    target = lab.start_code(interpreter, BUSY)
    targets.append(target)
    target.line()
    run = pyi.run("--dump", "--json", "--repeat", 60, "--every", "0.02", "--pid", target.pid, home=home)
    assert run.status == 0, run
    now, states, holders, idle = {}, {}, 0, []
    for line in run.out.splitlines():
        look = json.loads(line)
        assert sum(t.get("gil") == "holder" for t in look["threads"]) <= 1, look
        for thread in look["threads"]:
            now[thread["name"]] = thread
            assert thread["read"], thread
            if thread["name"] == "idle" and thread["state"] == "waiting":
                idle.append(thread)
        for name, thread in now.items():
            states.setdefault(name, set()).add(thread["state"])
        holders += any(t.get("gil") == "holder" for t in now.values())
    assert states["idle"] - {"on CPU", "on CPU, holds the GIL", "waiting for the GIL"} == {"waiting"}
    waits = {look["wait"] for look in idle if "wait" in look}
    assert waits and waits <= {"[nanosleep]", "[select]"}, waits
    assert {t["function"] for t in now["idle"]["frames"]} >= {"idle", "run"}
    busy = states["busy-1"] | states["busy-2"]
    if interpreter.build == "free-threaded":
        assert busy <= {"on CPU", "waiting"} and "on CPU" in busy and holders == 0, states
    else:
        assert "on CPU, holds the GIL" in busy, states
        # Before 3.7 nothing tells what a thread waits for that waits for the lock.
        assert "waiting for the GIL" in busy or interpreter.version < (3, 7), states
        assert holders >= 20
    spinning = [f for f in now["busy-1"]["frames"] if f["function"] == "spin"]
    assert [f["count"] for f in spinning] == [1, 20], spinning


# ---- variables ---------------------------------------------------------------------------------

VARIABLES = '''
import json, sys, threading
class Thing:
    pass
class Text(str):
    pass
def outer(argument, captured):
    small, negative, large, zero = 7, -1, 2 ** 89 + 3, 0
    huge = 1 << 5000
    yes, no, nothing = True, False, None
    third, tiny, infinite = 1 / 3, 5e-324, float("-inf")
    text = "it's \\u7dda \\x1b[31m \\u202e \\U00010330 \\ud800\\n"
    latin, empty, quotes = "\\xfcber", "", "\\"'"
    raw = b"a\\x00\\xff'"
    pair, single, none = (1, "b"), (captured,), ()
    numbers, nested = [1, 2, 3], [[1, [2]], {"k": (None,)}]
    table, keys = {"a": 1, 2: "b"}, {"only": "text"}
    one_set, frozen, no_set, no_dict = {5}, frozenset(["x"]), set(), {}
    long = "x" * 500
    many = list(range(1000))
    big_table = {n: n for n in range(100000)}
    many_set = set(range(5000))
    deep = [[[[[1]]]]]
    cycle = []
    cycle.append(cycle)
    thing, kind, of_kind = Thing(), Text("t"), Thing
    unbound = 1
    del unbound
    def inner():
        return captured, argument
    told = {name: repr(value) for name, value in locals().items() if name in (
        "argument captured small negative large zero yes no nothing third tiny infinite text latin "
        "empty quotes raw pair single none numbers nested table keys one_set frozen no_set "
        "no_dict").split()}
    addresses = {"thing": id(thing), "kind": id(kind), "of_kind": id(of_kind)}
    sys.stdout.write(json.dumps([told, addresses]) + "\\n")
    sys.stdout.flush(), threading.Event().wait()
outer("given", 12)
'''


MODERN = [i for i in lab.older() if i.version >= (3, 0)] + lab.supported() + lab.special()


@pytest.fixture(scope="module", params=MODERN, ids=repr)
def variables(request, tmp_path_factory):
    """(told by the target, addresses, shown by us)"""
    target = lab.start_code(request.param, VARIABLES)
    try:
        told, addresses = target.json()
        target.wait_asleep()
        home = tmp_path_factory.mktemp("home")
        seen = dump(target.pid, "--locals", home=home)
        frame, = [f for f in seen["threads"][0]["frames"] if f["function"] == "outer"]
        shown = {v["name"]: v["value"] for v in frame["locals"]}
        text = pyi.run("--dump", "--locals", "--pid", target.pid, home=home)
        yield told, addresses, shown, text
    finally:
        target.close()


def test_plain_values_are_as_repr_has_them(variables):
    told, _, shown, _ = variables
    # repr() of a bidirectional control is an escape; ours leaves that to the printing.
    told = dict(told)
    told["text"] = told["text"].replace("\\u202e", "\u202e")
    assert {name: shown.get(name) for name in told} == told


def test_other_objects_by_type_and_address(variables):
    _, addresses, shown, _ = variables
    assert shown["thing"] == "<Thing at %#x>" % addresses["thing"]
    assert shown["kind"] == "<Text at %#x>" % addresses["kind"]
    assert shown["of_kind"] == "<type at %#x>" % addresses["of_kind"]
    assert re.fullmatch(r"<function at 0x[0-9a-f]+>", shown["inner"])
    assert "unbound" not in shown


def test_large_and_cyclic_values_are_bounded(variables):
    _, _, shown, _ = variables
    assert shown["huge"] == "<int of 5010 bits>"
    assert shown["long"] == "'%s'... 380 more" % ("x" * 120)
    assert shown["many"] == "[0, 1, 2, 3, 4, 5, 6, 7, ... 992 more]"
    assert shown["big_table"].startswith("{0: 0, 1: 1, ")
    assert shown["big_table"].endswith(", ... 99992 more}")
    assert shown["many_set"].endswith(", ... 4992 more}")
    assert shown["deep"] == "[[[[...]]]]"
    assert shown["cycle"] == "[[[[...]]]]"


def test_values_cannot_steer_a_terminal(variables):
    _, _, _, text = variables
    assert text.status == 0, text
    assert "\x1b" not in text.text and "\u202e" not in text.text
    assert re.search(r"^        text = .*\\x1b\[31m \\u202e", text.text, re.MULTILINE), text


def test_modules_have_none(variables):
    _, _, _, text = variables
    assert text.text.rstrip().splitlines()[-1].split()[0] == "<module>"


VARIABLES_2 = """
import json, sys, threading
class Old:
    pass
def outer(argument, captured):
    small, negative, zero, big, wide = 7, -1, 0, 2 ** 62, 2 ** 89 + 3
    yes, no, nothing, third = True, False, None, 1 / 3.0
    raw, quotes, text = "a\\x00\\xff'", "\\"'", u"\\u7dda \\U00010330"
    pair, single, numbers, table = (1, "b"), (captured,), [1, 2, 3], {"a": 1}
    def inner():
        return captured
    told = dict((name, repr(value)) for name, value in locals().items() if name not in (
        "inner", "text"))
    old = Old()
    sys.stdout.write(json.dumps([told, id(old)]) + "\\n")
    sys.stdout.flush(), threading.Event().wait()
outer("given", 12)
"""


@pytest.mark.parametrize("interpreter", [i for i in lab.older() if i.version < (3, 0)], ids=repr)
def test_values_of_python_2(interpreter, targets, home):
    target = lab.start_code(interpreter, VARIABLES_2)
    targets.append(target)
    told, old = target.json()
    target.wait_asleep()
    seen = dump(target.pid, "--locals", home=home)
    frame, = [f for f in seen["threads"][0]["frames"] if f["function"] == "outer"]
    shown = {v["name"]: v["value"] for v in frame["locals"]}
    assert {name: shown.get(name) for name in told} == told
    # Text is shown as it is, not as the escapes of 2.7's repr().
    assert shown["text"] == "u'\u7dda \U00010330'"
    assert shown["old"] == "<instance at %#x>" % old
