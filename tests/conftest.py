# SPDX-License-Identifier: BSD-3-Clause
"""Makes tests/lib importable, and hands tests targets that are killed when they end."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import lab  # noqa: E402


@pytest.fixture
def targets():
    """A list of targets and processes to be killed at the end; tests append to it."""
    started = []
    yield started
    for target in reversed(started):
        target.close()


@pytest.fixture
def figure(record_property):
    """Prints a measured figure and keeps it for the summary of tests/run."""

    def keep(words, *values):
        text = words % values
        print(text)
        record_property("figure", text)

    return keep


@pytest.fixture
def home(tmp_path):
    """A private place for the store of sessions."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def pytest_configure(config):
    if not os.path.exists(lab.BINARY) and not config.option.collectonly:
        raise pytest.UsageError("%s does not exist; run make first" % lab.BINARY)
