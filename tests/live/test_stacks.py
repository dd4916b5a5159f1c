# SPDX-License-Identifier: BSD-3-Clause
"""Every frame of every kind of stack, against what the target says of itself."""

import json
import os
import subprocess

import lab
import pytest

HELPER = os.path.join(lab.BUILD, "tests", "live", "dump_stacks")
ROUNDS = 23
FILES = ("truth.py", "situations.py")


@pytest.fixture(scope="module", params=lab.every_profiled(), ids=repr)
def pair(request):
    """The target's own words and the reader's, for one interpreter."""
    script = "stacks2.py" if request.param.version < (3, 0) else "stacks.py"
    target = lab.start(request.param, script, files=FILES)
    try:
        truth = target.json()
        target.wait_asleep()
        answer = subprocess.run(
            [HELPER, str(target.pid), str(ROUNDS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60,
        )
        state = target.status()["State"]
        assert answer.returncode == 0, answer.stderr.decode("utf-8", "replace")
        seen = json.loads(answer.stdout.decode("utf-8", "surrogatepass"))
        yield request.param, truth, seen, state
    finally:
        target.close()


def look(interpreter, *arguments, **options):
    """(the target's own words, the reader's)"""
    target = lab.start(interpreter, "stacks.py", *arguments, files=FILES, **options)
    try:
        truth = target.json()
        target.wait_asleep()
        answer = subprocess.run([HELPER, str(target.pid), "7"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, timeout=60)
        assert answer.returncode == 0, answer.stderr.decode("utf-8", "replace")
        return truth, json.loads(answer.stdout.decode("utf-8", "surrogatepass"))
    finally:
        target.close()


def threads_by_ident(seen, main=True):
    return {t["ident"]: t for t in seen["threads"] if (t["interpreter"] == 0) == main}


def first_difference(told, read):
    for number, (a, b) in enumerate(zip(told, read)):
        if a != b:
            return "entry %d: the target says\n    %r\n  and was read as\n    %r" % (number, a, b)
    return "the target has %d entries, %d were read: %r" % (
        len(told), len(read), (told[len(read):] or read[len(told):])[:2],
    )


def compare(told, thread, name, problems):
    if thread is None:
        problems.append("%s: not seen" % name)
    elif thread["status"] == 2:
        problems.append("%s: lost" % name)
    elif thread["stack"] != told:
        problems.append("%s: %s" % (name, first_difference(told, thread["stack"])))


def test_frames(pair, figure):
    interpreter, truth, seen, _ = pair
    threads = threads_by_ident(seen)
    problems = []
    for told in truth["threads"]:
        compare(told["stack"], threads.get(told["ident"]), told["name"], problems)
    frames = sum(count for told in truth["threads"] for *_, count in told["stack"])
    figure("stacks, %s: %d threads, %d frames, %d threads differ", interpreter, len(truth["threads"]),
           frames, len(problems))
    assert not problems, "%d of %d threads differ\n%s" % (
        len(problems), len(truth["threads"]), "\n".join(problems),
    )


def test_leaves(pair):
    """Whatever led there, a thread at rest is inside the call that rests."""
    interpreter, truth, seen, _ = pair
    if interpreter in lab.older():
        pytest.skip("C functions are told from 3.8 on")
    threads = threads_by_ident(seen)
    resting = [told for told in truth["threads"] if told["stack"] and told["stack"][-1][0] == "rest"]
    assert resting
    wrong = [(told["name"], threads[told["ident"]]["leaf"]) for told in resting
             if threads[told["ident"]]["leaf"] != ["lock.acquire", "<built-in>", 0, 0]]
    assert not wrong, wrong


def test_subinterpreters(pair):
    interpreter, truth, seen, _ = pair
    if not truth["subinterpreters"]:
        pytest.skip("%s offers no sub-interpreters" % interpreter)
    problems = []
    for told in truth["subinterpreters"]:
        # Before 3.13 the thread state belongs to the thread that made the interpreter
        # (_xxsubinterpretersmodule.c: it runs scripts in the interpreter's first thread state).
        matching = [t for t in seen["threads"] if t["interpreter"] == told["id"]
                    and (t["ident"] == told["ident"] or interpreter.version < (3, 13))]
        name = "interpreter %d" % told["id"]
        compare(told["stack"], matching[0] if matching else None, name, problems)
        if matching and str(told["id"]) not in matching[0]["name"]:
            problems.append("%s: its number is not in the name %r" % (name, matching[0]["name"]))
    assert not problems, "\n".join(problems)


def test_thread_names(pair):
    _, truth, seen, _ = pair
    threads = threads_by_ident(seen)
    wrong = [(told["name"], threads[told["ident"]]["name"]) for told in truth["threads"]
             if told["ident"] in threads and told["name"] is not None
             and threads[told["ident"]]["name"] != told["name"]]
    assert not wrong, "(told, read): %r" % wrong
    unnamed = [told for told in truth["threads"] if told["name"] is None]
    assert all(threads[told["ident"]]["name"] for told in unnamed)


def test_main_thread(pair):
    _, truth, seen, _ = pair
    mains = [t for t in seen["threads"] if t["main"]]
    assert [t["ident"] for t in mains] == [truth["threads"][-1]["ident"]]
    assert mains[0]["tid"] == truth["pid"]


def test_sys(pair):
    _, truth, seen, _ = pair
    assert seen["sys"]["known"]
    for key in ("path", "argv", "prefixes"):
        assert seen["sys"][key] == truth["sys"][key], key


def test_version(pair):
    interpreter, _, seen, _ = pair
    assert seen["version"].startswith(interpreter.text)
    assert seen["build"] == interpreter.build


def test_at_rest(pair):
    """Nothing moves, so nothing may be lost or look changed, and the target stays undisturbed."""
    _, _, seen, state = pair
    assert seen["lost"] == 0
    assert seen["changed"] == 0
    assert state.startswith("S")


def test_read_calls(pair, figure):
    """In the steady state one or two system calls per thread and round."""
    interpreter, _, seen, _ = pair
    samples = (ROUNDS - 3) * len(seen["threads"])
    calls = seen["steady_calls"] / samples
    figure("stacks, %s: %.2f read calls per thread and round, %d bytes", interpreter, calls,
           seen["steady_bytes"] / samples)
    assert calls <= 2.2


def frames_and_leaves_hold(truth, seen):
    threads = threads_by_ident(seen)
    problems = []
    for told in truth["threads"]:
        thread = threads.get(told["ident"])
        compare(told["stack"], thread, told["name"], problems)
        resting = told["stack"][-1][0] == "rest"
        if thread and resting and thread["leaf"] != ["lock.acquire", "<built-in>", 0, 0]:
            problems.append("%s: leaf %r" % (told["name"], thread["leaf"]))
    assert not problems, "\n".join(problems)


NEWER = lab.one_per_version() + lab.special()


@pytest.mark.parametrize("interpreter", NEWER, ids=repr)
@pytest.mark.parametrize("how", ["trace", "monitor"])
def test_instrumented(interpreter, how):
    """Line tracing and sys.monitoring change instructions, not stacks, lines or leaves."""
    if how == "monitor" and interpreter.version < (3, 12):
        pytest.skip("%s has no sys.monitoring" % interpreter)
    frames_and_leaves_hold(*look(interpreter, how))


JIT = "import sys; print(getattr(sys, '_jit', None) and sys._jit.is_enabled())"


@pytest.mark.parametrize("interpreter", [i for i in NEWER if i.version >= (3, 13)], ids=repr)
def test_jit(interpreter):
    """Compiled loops store their instruction pointer before they call C."""
    env = dict(os.environ, PYTHON_JIT="1")
    done = subprocess.run([*interpreter.command, "-c", JIT], stdout=subprocess.PIPE, env=env,
                          timeout=60)
    if done.stdout.strip() != b"True":
        pytest.skip("%s has no JIT to switch on" % interpreter)
    frames_and_leaves_hold(*look(interpreter, env={"PYTHON_JIT": "1"}))
