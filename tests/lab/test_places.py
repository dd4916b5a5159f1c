# SPDX-License-Identifier: BSD-3-Clause
"""Interpreters × places: containers, namespaces and file systems, and who looks from where."""

import json
import shutil

import lab
import places
import pyi
import pytest
import truths

SAMPLE = ("sid-3.15", "bullseye-3.9")
DAILY = ("debian-3.11",)


def interpreters(sample=SAMPLE, rooted=False):
    return [i for i in lab.every_interpreter()
            if (lab.FULL or i.name in sample) and (i.root or not rooted)]


def begin(targets, target):
    targets.append(target)
    truth = target.json()
    pid = target.found() if not isinstance(target, places.Unshared) else target.found(truth)
    target.wait_all_asleep()
    return truth, pid


@pytest.mark.parametrize("interpreter", interpreters(), ids=repr)
def test_container_from_the_host(targets, row, interpreter):
    row(interpreter, "plain", "podman")
    truth, pid = begin(targets, places.Container(interpreter))
    assert truth["pid"] == 1
    truths.check(truth, pid)


@pytest.mark.parametrize("interpreter", interpreters(("sid-3.14",), True), ids=repr)
def test_bundle_from_the_host(targets, row, interpreter):
    row(interpreter, "plain", "runc")
    truth, pid = begin(targets, places.runc(interpreter))
    truths.check(truth, pid)


@pytest.mark.parametrize("interpreter", interpreters(("pyenv-3.8.18",)), ids=repr)
def test_pid_namespace(targets, row, interpreter):
    """3.8 to 3.10 keep no kernel thread id: the one inside the C library is the inner one."""
    row(interpreter, "plain", "pid ns")
    truth, pid = begin(targets, places.pid_namespace(interpreter))
    truths.check(truth, pid)


@pytest.mark.parametrize("interpreter", interpreters(("sid-3.13",)), ids=repr)
def test_user_namespace(targets, row, interpreter):
    row(interpreter, "plain", "user ns")
    truth, pid = begin(targets, places.user_namespace(interpreter))
    truths.check(truth, pid)


@pytest.mark.parametrize("interpreter", interpreters(("trixie-3.13",), True), ids=repr)
def test_overlay(targets, row, interpreter):
    row(interpreter, "plain", "overlay")
    target, space = places.overlay(interpreter)
    try:
        truth, pid = begin(targets, target)
        truths.check(truth, pid)
    finally:
        target.close()
        targets.remove(target)
        shutil.rmtree(space, ignore_errors=True)


def hosts():
    """Interpreters of the host: our program runs in their containers."""
    return [i for i in lab.every_interpreter() if not i.root and (lab.FULL or i.name in DAILY)]


@pytest.mark.parametrize("interpreter", hosts(), ids=repr)
def test_inside_a_container(targets, row, interpreter):
    row(interpreter, "plain", "inside podman")
    target = places.Container(interpreter)
    truth, _ = begin(targets, target)
    truths.check(truth, truth["pid"], target.inside(), helper="/build/tests/live/dump_stacks")


@pytest.mark.parametrize("interpreter", hosts(), ids=repr)
def test_sidecar(targets, row, interpreter):
    """A second container that shares the first one's processes, with another root."""
    row(interpreter, "plain", "sidecar")
    target = places.Container(interpreter)
    truth, _ = begin(targets, target)
    beside = places.Container(lab.by_version("3.11"), ["--pid", "container:" + target.name],
                              ["sh", "-c", "echo ready; exec sleep 600"])
    targets.append(beside)
    assert beside.line() == b"ready"
    truths.check(truth, truth["pid"], beside.inside(), helper="/build/tests/live/dump_stacks")


def test_pid_of_the_inside(targets, row, home):
    """What the process calls itself does not exist out here: the refusal names the outer number."""
    row("debian-3.11", "plain", "inner pid")
    interpreter = lab.by_version("3.11")
    # A number that is free out here: the next one that is given inside.
    script = ("until [ ! -e /host/$(($(sh -c 'echo $$') + 1)) ]; do :; done; \"$1\" /lab/shape.py; :")
    target = places.Container(interpreter, ["-v", "/proc:/host:ro"],
                              ["sh", "-c", "for i in $(seq 300); do (:); done; " + script, "sh",
                               interpreter.executable])
    targets.append(target)
    truth = target.json()
    target.found()
    outer = places.with_inner(target.pid, truth["pid"])
    try:
        with open("/proc/%d/comm" % truth["pid"]):
            pytest.skip("another process took the number meanwhile")
    except FileNotFoundError:
        pass
    run = pyi.run("--pid", truth["pid"], "-d", "0.2", "--json-errors", home=home)
    told = json.loads(run.errors.splitlines()[-1])
    assert run.status == 5 and told["code"] == "no-process", run
    assert "calls itself %d inside its container is here: %d" % (truth["pid"], outer) in told["note"], told
    # The advice as it is printed works.
    assert "--pid %d" % outer in told["try"][0], told
    truths.check(truth, outer)


def test_no_process_vm_readv(targets, row, tmp_path):
    """A filter that refuses the call but not the file: read through the file, and said."""
    row("debian-3.11", "plain", "seccomp")
    interpreter = lab.by_version("3.11")
    profile = places.seccomp_file(tmp_path, "process_vm_readv", "process_vm_writev", "ptrace")
    target = places.Container(interpreter, ["--security-opt", "seccomp=" + profile])
    truth, _ = begin(targets, target)
    truths.check(truth, 1, target.inside(), helper="/build/tests/live/dump_stacks")
    run = places.podman("exec", target.name, "/build/pyinstrument", "--diagnose", "1", "--json", check=False)
    told = json.loads(run.stdout)
    assert told["can_profile"], told
    permission = next(check for check in told["checks"] if check["name"] == "permission")
    assert "/proc/PID/mem" in permission["detail"] and "process_vm_readv" in permission["detail"], permission
