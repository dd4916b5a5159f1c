# SPDX-License-Identifier: BSD-3-Clause
"""--diagnose PID --json: the chain of checks, and at which step it breaks."""

import json

import lab
import places
import pyi
import pytest
import shapes

STEPS = ["process", "permission", "program", "runtime", "version", "layout", "threads", "trial"]


def diagnosed(pid, home, status):
    run = pyi.run("--diagnose", pid, "--wait", "0.1", "--json", home=home)
    assert run.status == status, "WRONG: %s" % run
    told = json.loads(run.text)
    assert [check["name"] for check in told["checks"]] == STEPS, told
    assert told["exit"] == status and told["can_profile"] == (status == 0), told
    return told, {check["name"]: check for check in told["checks"]}


@pytest.mark.parametrize("interpreter", [i for i in lab.every_interpreter()
                                         if lab.FULL or i.name == "sid-3.15"], ids=repr)
def test_whole_chain(targets, row, home, interpreter):
    row(interpreter, "--diagnose", "podman")
    target = places.Container(interpreter)
    targets.append(target)
    truth = target.json()
    told, checks = diagnosed(target.found(), home, 0)
    assert all(check["result"] == "passed" for check in told["checks"]), "WRONG: %s" % told
    assert "called 1 inside its container" in checks["process"]["detail"], checks
    assert "found through" in checks["runtime"]["detail"] or interpreter.version < (3, 7), checks
    assert truth["version"] in checks["version"]["detail"], checks
    assert checks["layout"]["detail"].startswith("its structures are known from: "), checks
    assert "%d Python threads" % len(truth["threads"]) in checks["threads"]["detail"], checks
    assert "samples in 1." in checks["trial"]["detail"] or "samples in 0.9" in checks["trial"]["detail"], checks


def broken_at(told, checks, step):
    results = [check["result"] for check in told["checks"]]
    at = STEPS.index(step)
    assert results == ["passed"] * at + ["failed"] + ["not reached"] * (len(STEPS) - at - 1), "WRONG: %s" % told
    assert checks[step]["detail"] == told["error"]["message"], told


def test_broken_chains(targets, row, home, tmp_path):
    row("debian-3.11", "--diagnose", "broken chains")
    sleeping = lab.Target(["/bin/sleep", "600"])
    targets.append(sleeping)
    places.wait_until(lambda: sleeping.status()["Name"] == "sleep", "no exec")
    broken_at(*diagnosed(sleeping.pid, home, 3), "runtime")
    unused = shapes.mapped(None, tmp_path)
    targets.append(unused)
    unused.line()
    broken_at(*diagnosed(unused.pid, home, 3), "threads")
