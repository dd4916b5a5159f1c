# SPDX-License-Identifier: BSD-3-Clause
"""Interpreters × shapes: attached for real, every stack against what the target says of itself."""

import json
import os
import shutil
import subprocess

import lab
import pyi
import pytest
import shapes
import truths

SAMPLE = {("debian-3.11", "deleted"), ("sid-3.15", "zipapp"), ("sid-3.14", "through ld.so"), ("pyenv-3.12.1", "replaced")}


def rows():
    """All in the full tier; every day a few that differ most."""
    for interpreter in lab.every_interpreter():
        for shape in shapes.everywhere():
            if lab.FULL or (interpreter.name, shape) in SAMPLE:
                yield pytest.param(interpreter, shape, id="%s-%s" % (interpreter, shape))


def place_of(interpreter):
    return "chroot" if interpreter.root else "host"


def attach(target, prefix=()):
    first = getattr(target, "first", None)
    truth = json.loads(first) if first is not None else target.json()
    target.wait_all_asleep()
    return truth, truths.check(truth, target.pid, prefix)


@pytest.mark.parametrize("interpreter, shape", rows())
def test_everywhere(targets, row, tmp_path, interpreter, shape):
    row(interpreter, shape, "host" if shape == "through ld.so" else place_of(interpreter))
    target = shapes.everywhere()[shape](interpreter, tmp_path)
    targets.append(target)
    truth, _ = attach(target)
    assert truth["version"].split(".")[:2] == [str(part) for part in interpreter.version]


SPECIAL_SAMPLE = ("static stripped", "static-PIE", ".PyRuntime PIE", "two, one unused")


@pytest.mark.parametrize("shape", [s for s in shapes.special() if lab.FULL or s in SPECIAL_SAMPLE])
def test_special(targets, row, tmp_path, shape):
    interpreter = lab.by_version("3.11")
    row("debian-3.11", shape, "host")
    target = shapes.special()[shape](interpreter, tmp_path)
    targets.append(target)
    attach(target)


def refusal(pid, *options, home):
    run = pyi.run("--pid", pid, "-d", "0.2", "--json-errors", *options, home=home)
    assert run.status != 0 and run.out == b"", run
    return json.loads(run.errors.splitlines()[-1])


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


@pytest.mark.full
def test_one_file(targets, row, tmp_path, home):
    """PyInstaller: the boot parent is refused and names its child, which is read."""
    row("trixie-3.13", "PyInstaller 1f", "chroot")
    target = shapes.one_file(None, tmp_path)
    targets.append(target)
    truth = target.json()
    (child,) = children(target.pid)
    told = refusal(target.pid, home=home)
    assert told["code"] == "not-python", told
    assert "children running Python: %d (" % child in told["note"], told
    assert "--pid %d" % child in told["try"][0], told
    truths.check(truth, child)


@pytest.mark.full
def test_one_folder(targets, row, tmp_path):
    row("trixie-3.13", "PyInstaller 1d", "chroot")
    target = shapes.one_folder(None, tmp_path)
    targets.append(target)
    attach(target)


def test_library_that_nobody_started(targets, row, tmp_path, home):
    """As in the first process of a web server."""
    row("debian-3.11", "unused library", "host")
    target = shapes.mapped(None, tmp_path)
    targets.append(target)
    target.line()
    told = refusal(target.pid, "--wait", "0.1", home=home)
    assert told["code"] == "python-unused" and "mapped" in told["message"], told
    assert told["exit"] == 3 and "libpython3.11" in told["why"], told


def test_without_any_name(targets, row, tmp_path, home):
    row("debian-3.11", "no headers", "host")
    target = shapes.headerless(lab.by_version("3.11"), tmp_path)
    targets.append(target)
    target.json()
    told = refusal(target.pid, home=home)
    assert told["exit"] == 3 and told["code"] in ("no-symbols", "not-python"), told


def unprivileged():
    """Same user, no capability: map_files is closed, so a deleted file is read in the target's memory."""
    if not lab.FULL:
        return [i for i in lab.every_interpreter() if i.name == "sid-3.14"]
    return lab.every_interpreter()


@pytest.mark.parametrize("interpreter", unprivileged(), ids=repr)
def test_deleted_without_privilege(targets, row, tmp_path, interpreter):
    row(interpreter, "deleted", "other user")
    if subprocess.run([*shapes.NOBODY, "test", "-x", interpreter.root + interpreter.executable]).returncode != 0:
        pytest.skip("its files are closed to other users")
    folder, copy = shapes.copied(interpreter, tmp_path)
    os.chmod(copy, 0o755)
    # The helper that reads, where that user may run it.
    reader = lab.place(lab.any_one(), [truths.HELPER])[0]
    try:
        target = shapes.start_copy(interpreter, folder, copy, shapes.NOBODY)
        targets.append(target)
        truth = target.json()
        target.wait_all_asleep()
        os.unlink(copy)
        truths.check(truth, target.pid, shapes.NOBODY, helper=os.path.join(reader, "dump_stacks"))
    finally:
        shutil.rmtree(reader)
