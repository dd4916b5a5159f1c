# SPDX-License-Identifier: BSD-3-Clause
"""What a target says of itself against what is read of it."""

import json
import os
import subprocess

import lab
import pytest

HELPER = os.path.join(lab.BUILD, "tests", "live", "dump_stacks")
ROUNDS = 5


def shown(entry):
    return json.dumps(entry, ensure_ascii=False)


def differences(told, read, name):
    for number, (a, b) in enumerate(zip(told, read)):
        if a != b:
            return ["%s, entry %d: told %s, read %s" % (name, number, shown(a), shown(b))]
    if len(told) != len(read):
        return ["%s: told %d entries, read %d" % (name, len(told), len(read))]
    return []


def supported_versions():
    return {"%d.%d" % interpreter.version for interpreter in lab.supported()}


def read(pid, prefix=(), version="", helper=HELPER):
    """The reader's own words; `prefix` runs it somewhere else, where it calls the target `pid`.
    A `version` that is not supported may be refused."""
    done = subprocess.run([*prefix, helper, str(pid), str(ROUNDS)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    errors = done.stderr.decode("utf-8", "replace")
    if done.returncode != 0 and " version-old: " in errors and version not in supported_versions():
        pytest.skip("refused by name: Python %s is not read" % version)
    assert done.returncode == 0, "WRONG: " + errors
    return json.loads(done.stdout.decode("utf-8", "surrogatepass"))


def compare(truth, seen, pid):
    """Everything in which the two differ, in words; an empty list when all is right."""
    problems = []
    if not seen["version"].startswith(truth["version"]):
        problems.append("version: told %s, read %s" % (truth["version"], seen["version"]))
    threads = {t["ident"]: t for t in seen["threads"]}
    if len(threads) != len(truth["threads"]):
        problems.append("told %d threads, read %d" % (len(truth["threads"]), len(threads)))
    for told in truth["threads"]:
        thread = threads.get(told["ident"])
        name = "thread %s" % told["name"]
        if thread is None:
            problems.append("%s: not seen" % name)
        elif thread["status"] == 2:
            problems.append("%s: lost" % name)
        else:
            problems += differences(told["stack"], thread["stack"], name)
            if thread["name"] != told["name"]:
                problems.append("%s: its name was read as %r" % (name, thread["name"]))
            if told["name"] == "MainThread" and thread["tid"] != pid:
                problems.append("%s: thread id %d, process %d" % (name, thread["tid"], pid))
    if seen["lost"]:
        problems.append("%d stacks of a process at rest were lost" % seen["lost"])
    return problems


def check(truth, pid, prefix=(), **options):
    seen = read(pid, prefix, ".".join(truth["version"].split(".")[:2]), **options)
    problems = compare(truth, seen, pid)
    assert not problems, "WRONG: " + "; ".join(problems)
    return seen
