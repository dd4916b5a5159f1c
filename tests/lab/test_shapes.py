# SPDX-License-Identifier: BSD-3-Clause
"""Interpreters × shapes: attached for real, every stack against what the target says of itself."""

import lab
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


def attach(target, interpreter=None):
    first = getattr(target, "first", None)
    truth = truths.json.loads(first) if first is not None else target.json()
    target.wait_all_asleep()
    return truth, truths.check(truth, target.pid)


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
