# SPDX-License-Identifier: BSD-3-Clause
"""C functions as leaves: at rest every one by name, at work in shares, and what they cost."""

import collections
import json
import os
import re
import resource
import subprocess
import time

import lab
import pyi
import pytest

HELPER = os.path.join(lab.BUILD, "tests", "live", "dump_stacks")


def look(pid, rounds, labels):
    answer = subprocess.run([HELPER, str(pid), str(rounds), labels], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60)
    assert answer.returncode == 0, answer.stderr.decode("utf-8", "replace")
    return json.loads(answer.stdout.decode("utf-8", "surrogatepass"))


def leaves_of(seen):
    """{ident: (name, file) or None}"""
    return {thread["ident"]: tuple(thread["leaf"]) if thread["leaf"] else None
            for thread in seen["threads"]}


def expected(label, labels):
    if label is None or labels == "none":
        return None
    ours = label.endswith(")") or label.startswith("[")
    return (label, "<extended>" if ours else "<built-in>", 0, 0)


def compare(target, told, labels):
    """What differs once everything has come to rest; looks again until then."""
    deadline = time.monotonic() + 15
    while True:
        seen = look(target.pid, 3, labels)
        found = leaves_of(seen)
        wrong = []
        for ident, phase, plain, extended in told:
            wanted = expected(extended if labels == "extended" else plain, labels)
            if found.get(ident) != wanted:
                wrong.append("%s: %r instead of %r" % (phase, found.get(ident), wanted))
        if not wrong or time.monotonic() > deadline:
            return wrong


def test_tables():
    """The committed opcode tables are what the interpreters here say of themselves."""
    script = os.path.join(lab.ROOT, "scripts", "opcodes", "generate")
    done = subprocess.run([script, "--check"], stdout=subprocess.PIPE, timeout=120)
    assert done.returncode in (0, 77), done.stdout.decode()


@pytest.mark.parametrize("interpreter", lab.supported() + lab.special(), ids=repr)
@pytest.mark.parametrize("labels", ["compatible", "extended", "none"])
def test_rest(interpreter, labels):
    target = lab.start(interpreter, "leaves.py", "rest")
    try:
        told = target.json()
        wrong = compare(target, told, "compatible") or compare(target, told, labels)
        assert not wrong, "\n".join(wrong)
        # A thread may still be on its way to where it rests when the first look begins.
        looks = [look(target.pid, 23, labels)]
        while len(looks) < 3 and (looks[-1]["lost"] or looks[-1]["changed"]):
            looks.append(look(target.pid, 23, labels))
        assert looks[-1]["lost"] == 0 and looks[-1]["changed"] == 0, looks
    finally:
        target.close()


@pytest.mark.parametrize("interpreter", lab.supported() + lab.special(), ids=repr)
@pytest.mark.parametrize("how", ["trace", "monitor"])
def test_instrumented(interpreter, how):
    """Hooks written over the instructions hide no call."""
    if how == "monitor" and interpreter.version < (3, 12):
        pytest.skip("%s has no sys.monitoring" % interpreter)
    target = lab.start(interpreter, "leaves.py", "rest", how)
    try:
        wrong = compare(target, target.json(), "compatible")
        assert not wrong, "\n".join(wrong)
    finally:
        target.close()


def samples_of(session, allowed):
    """Counts of (phase, leaf) for samples whose Python frame is one of the functions."""
    counts = collections.Counter()
    for stack, seconds in session["frame_records"]:
        parts = [frame.split("\x01")[0].split("\0") for frame in stack]
        leaf = parts.pop()[0] if parts[-1][1] == "<built-in>" else None
        if parts[-1][0] in allowed and parts[-1][1].endswith("leaves.py"):
            counts[parts[-1][0], leaf] += seconds
    return counts


# Functions that are in C code nearly all of the time, and the least share of it that must show:
# the rest is the freeing of results, which no call does. Phases that got less time than ENOUGH
# (seconds) are not judged: one preempted sample decides there.
MOSTLY = {"do_sleep": 0.97, "do_sorted": 0.85, "do_hash": 0.9, "do_zlib": 0.85, "do_regex": 0.95,
          "do_keywords": 0.85, "do_bytes": 0.95, "do_builtins": 0.95}
ENOUGH = 0.15


@pytest.mark.parametrize("interpreter", lab.one_per_version() + lab.special(), ids=repr)
@pytest.mark.parametrize("jit", ["plain", "jit"])
def test_busy(interpreter, jit, tmp_path):
    if jit == "jit" and interpreter.version < (3, 14):
        pytest.skip("%s cannot switch a JIT on" % interpreter)
    env = {"PYTHON_JIT": "1"} if jit == "jit" else {}
    target = lab.start(interpreter, "leaves.py", "busy", env=env)
    try:
        allowed = target.json()
        out = tmp_path / "busy.pyisession"
        done = subprocess.run(
            [lab.BINARY, "-q", "--pid", str(target.pid), "-d", "4", "-r", "session", "-o", str(out)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
    finally:
        target.close()
    counts = samples_of(json.loads(out.read_text()), allowed)
    total = sum(counts.values())
    wrong = {key: value for key, value in counts.items()
             if key[1] is not None and key[1] not in allowed[key[0]]}
    right = sum(value for key, value in counts.items() if key[1] in allowed[key[0]])
    print("%s: right leaf %.1f %%, none %.1f %%, wrong %.2f %% of %.2f s" % (
        interpreter, 100 * right / total, 100 * (total - right - sum(wrong.values())) / total,
        100 * sum(wrong.values()) / total, total))
    shares = {}
    for phase in sorted(allowed):
        time_in = sum(value for key, value in counts.items() if key[0] == phase)
        good = sum(value for key, value in counts.items()
                   if key[0] == phase and key[1] in allowed[phase])
        if time_in > 0:
            shares[phase] = good / time_in
            print("    %-16s %5.1f %% of %.3f s" % (phase, 100 * good / time_in, time_in))
    for key, value in sorted(wrong.items(), key=str):
        print("    impossible: %s -> %s %.3f s" % (*key, value))
    assert sum(wrong.values()) <= 0.015 * total
    judged = [phase for phase in MOSTLY if sum(
        value for key, value in counts.items() if key[0] == phase) >= ENOUGH]
    assert judged
    for phase in judged:
        assert shares[phase] >= MOSTLY[phase], phase


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_cost(interpreter):
    """Calls per sample with leaves against without, one after the other on the same work."""
    target = lab.start(interpreter, "leaves.py", "busy")
    try:
        target.json()
        calls = collections.Counter()
        cpu = collections.Counter()
        rounds = 6000
        for _ in range(4):
            for labels in ("none", "compatible"):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                calls[labels] += look(target.pid, rounds, labels)["steady_calls"] / rounds
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                cpu[labels] += (after.ru_utime + after.ru_stime
                                - before.ru_utime - before.ru_stime) / rounds
    finally:
        target.close()
    more = (calls["compatible"] - calls["none"]) / 4
    print("%s: %.3f calls per sample, %+.3f for leaves; %.1f us, %+.2f us" % (
        interpreter, calls["none"] / 4, more, cpu["none"] / 4 * 1e6,
        (cpu["compatible"] - cpu["none"]) / 4 * 1e6))
    assert more <= 0.1
    assert (cpu["compatible"] - cpu["none"]) / 4 <= 2e-6


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_dump(interpreter):
    """--dump shows the C function as one line more, and none without labels."""
    target = lab.start(interpreter, "leaves.py", "rest")
    try:
        told = {ident: (plain, extended) for ident, _, plain, extended in target.json()}
        assert not compare(target, [[ident, "", *labels] for ident, labels in told.items()],
                           "compatible")
        for choice in ("compatible", "extended", "none"):
            done = pyi.run("--dump", "--json", "--locals", "--pid", target.pid,
                           "--c-labels=" + choice)
            assert done.status == 0, done
            for thread in json.loads(done.out)["threads"]:
                if thread["ident"] not in told:
                    continue
                plain, extended = told[thread["ident"]]
                wanted = expected(extended if choice == "extended" else plain, choice)
                top, below = thread["frames"][:2]
                assert (top["file"][0] == "<") == (wanted is not None) or top["file"] == "<string>"
                if wanted is not None:
                    assert (top["function"], top["file"], top["line"]) == wanted[:3]
                    assert top["locals"] == [] and below["line"] > 0
        text = pyi.run("--dump", "--pid", target.pid).text
        assert re.search(r"\n    sleep +<built-in>\n    wait_sleep +leaves\.py:\d+\n", text), text
    finally:
        target.close()
