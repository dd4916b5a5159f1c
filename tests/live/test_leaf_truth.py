# SPDX-License-Identifier: BSD-3-Clause
"""C leaves against the native stack of the stopped target: missed, wrong, and pairs that cannot be.

Each sample falls into one class. The native stack above the innermost evaluation loop is the truth:

A  the C function we named is on it
B  another function is, and ours got there by jumping (it left no frame), or it belongs to the way
   into C functions: something that stands between the loop and a function in class A
U  another function is, and nothing tells how it got there
C  we named a function, and the loop itself is on top: wrong, or its work is written into the loop
W  we named a function that cannot stand under this Python function
D  we named none, and a C function that may stand there is on the native stack: missed
E  we named none, and a C function runs under something that is no call of it (partial, a type)
-  we named none, and there is none
"""

import collections
import os
import select
import shutil
import subprocess

import lab
import pyi
import pytest

HELPER = os.path.join(lab.BUILD, "tests", "live", "leaf_truth")
SAMPLES = int(os.environ.get("PYI_LEAF_SAMPLES", "4000" if lab.FULL else "500"))
Sample = collections.namedtuple("Sample", "function file label extended chain")
Step = collections.namedtuple("Step", "name labels how")


def start(interpreter, how=""):
    """The target at its calibration, and the table it wrote."""
    folder, inside = lab.place(interpreter, [])
    env = {"PYTHON_JIT": "1"} if how == "jit" else {}
    arguments = [how] if how in ("line", "monitor") else []
    target = lab.start(interpreter, "leaf_truth.py", inside + "/table", *arguments, env=env)
    target.also = folder
    try:
        assert target.line() == b"ready"
    except BaseException:
        finish(target)
        raise
    return target, os.path.join(folder, "table")


def finish(target):
    target.close()
    shutil.rmtree(target.also, ignore_errors=True)


def legal_of(table):
    legal = collections.defaultdict(set)
    with open(table) as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if fields[0] == "p":
                legal[fields[1]].update({fields[2]} - {"-"})
    return legal


def chain_of(text):
    if text in ("-", "?"):
        return text
    steps = []
    for part in text.split(" "):
        name, _, rest = part.partition("=")
        labels, _, how = rest.rpartition(":")
        steps.append(Step(name, set(filter(None, labels.split("|"))), how))
    return steps


def measure(target, table, samples):
    process = subprocess.Popen([HELPER, str(target.pid), table, str(samples)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready and process.stdout.readline() == b"calibrated\n", process.stderr.read1()
        target.say()
        out, err = process.communicate(timeout=60 + samples * 0.06)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    assert process.returncode == 0, err
    return [Sample(*fields[:4], chain_of(fields[4]))
            for fields in (line.split("\t") for line in out.decode().splitlines())]


def classify(samples, legal):
    """[(class, sample), ...]"""
    glue = set()
    for sample in samples:
        for number, step in enumerate(sample.chain if sample.label != "-" else ()):
            if step != "-" and step != "?" and step.how == "E":
                glue.update(s.name for s in sample.chain[number + 1:])
    judged = []
    for sample in samples:
        may = legal.get(sample.function) if sample.file == "own" else None
        if sample.chain == "?":
            kind = "?"
        elif sample.label != "-":
            if may is not None and sample.label not in may:
                kind = "W"
            elif sample.chain == "-":
                kind = "C"
            elif any(step.how == "E" for step in sample.chain):
                kind = "A"
            elif any(step.how == "T" or step.name in glue for step in sample.chain):
                kind = "B"
            else:
                kind = "U"
        elif sample.chain == "-":
            kind = "-"
        else:
            there = set().union(*(step.labels for step in sample.chain))
            last = {label.rpartition(".")[2] for label in there}
            if may is not None and sample.extended in ("+[SETUP_WITH]", "+[BEFORE_WITH]"):
                missed = False  # enters a lock without a call, before 3.14
            elif may is not None:
                missed = last & {label.rpartition(".")[2] for label in may}
            else:
                missed = last and sample.extended == "-"
            kind = "D" if missed else "E" if last else "-"
        judged.append((kind, sample))
    return judged


def figures(interpreter, judged):
    counts = collections.Counter(kind for kind, _ in judged)
    total = len(judged)
    share = {kind: 100 * counts[kind] / total for kind in "ABUCWDE-?"}
    line = "%-14s %5d  " % (interpreter, total) + "  ".join(
        "%s %5.2f" % (kind, share[kind]) for kind in "ABUCWDE-?")
    return share, line


def details(judged, kinds="UCWD"):
    seen = collections.Counter()
    for kind, sample in judged:
        if kind in kinds:
            chain = sample.chain if isinstance(sample.chain, str) else " < ".join(
                step.name + ("(%s)" % "|".join(sorted(step.labels)) if step.labels else "") + ":" +
                step.how for step in sample.chain)
            seen[kind, sample.function, sample.label, sample.extended, chain] += 1
    return ["    %4d  %s" % (count, "  ".join(key)) for key, count in seen.most_common(60)]


WAYS = [("plain", (3, 8)), ("line", (3, 8)), ("monitor", (3, 12)), ("jit", (3, 14))]


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
@pytest.mark.parametrize("how,since", WAYS, ids=[way for way, _ in WAYS])
def test_against_native_stack(interpreter, how, since, record_property):
    if interpreter.version < since:
        pytest.skip("%s has no %s" % (interpreter, how))
    if not lab.FULL and (how != "plain" or interpreter.version not in ((3, 11), (3, 14))):
        pytest.skip("part of the full tier")
    target, table = start(interpreter, how)
    try:
        judged = classify(measure(target, table, SAMPLES), legal_of(table))
    finally:
        finish(target)
    share, line = figures(interpreter, judged)
    record_property("figure", "%s %s" % (how, line))
    print(line, *details(judged), sep="\n")
    assert share["?"] <= 1
    assert share["D"] <= 1, "missed"
    assert share["C"] + share["W"] <= 1.5, "wrong"
    # A callback of tracing or monitoring runs inside the call instruction it tells of.
    assert share["U"] <= (2 if how in ("plain", "jit") else 6), "not explained"
    phases = {sample.function for _, sample in judged if sample.file == "own"}
    if SAMPLES >= 2000:
        assert len(phases) >= 22, phases


def own_samples(path, legal):
    """Counts of (function, leaf) by seconds over the samples in functions of the target's own."""
    counts = collections.Counter()
    for stack, seconds in pyi.Session(path).records:
        leaf = stack.pop().function if stack[-1].path == "<built-in>" else None
        if stack and stack[-1].function in legal and (stack[-1].path or "").endswith("leaf_truth.py"):
            counts[stack[-1].function, leaf] += seconds
    return counts


@pytest.mark.parametrize("interpreter", lab.one_per_version(), ids=repr)
def test_pairs_while_running(interpreter, tmp_path, record_property):
    """A function and a C function it does not call: not while everything moves either."""
    if not lab.FULL and interpreter.version not in ((3, 10), (3, 15)):
        pytest.skip("part of the full tier")
    target, table = start(interpreter)
    try:
        legal = legal_of(table)
        target.say()
        out = tmp_path / "run.pyisession"
        done = pyi.run("-q", "--pid", target.pid, "-i", "0.001", "-d", 10 if lab.FULL else 3,
                       "-r", "session", "-o", out, timeout=60)
        assert done.status == 0, done
    finally:
        finish(target)
    counts = own_samples(out, legal)
    total = sum(counts.values())
    wrong = {key: value for key, value in counts.items()
             if key[1] is not None and key[1] not in legal[key[0]]}
    named = sum(value for key, value in counts.items() if key[1] is not None)
    line = "%s: pairs that cannot be %.3f %% of %.2f s, %.1f %% with a leaf" % (
        interpreter, 100 * sum(wrong.values()) / total, total, 100 * named / total)
    record_property("figure", line)
    print(line)
    for key, value in sorted(wrong.items(), key=str):
        print("    %s -> %s %.4f s" % (*key, value))
    assert named >= 0.5 * total
    appending = sum(value for key, value in counts.items() if key[0] == "do_append")
    record_property("figure", "%s: list.append in %.0f %% of do_append" % (
        interpreter, 100 * counts["do_append", "list.append"] / appending))
    # From 3.14 on it is done in few instructions, and what comes before and after it is not told
    # from what is done before that: instructions that cannot fail leave no trace.
    if interpreter.version < (3, 14):
        assert counts["do_append", "list.append"] >= 0.1 * appending
    # One preempted sample is not a rate.
    assert sum(wrong.values()) <= max(0.002 * total, 0.0015), wrong
