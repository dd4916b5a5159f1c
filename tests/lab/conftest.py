# SPDX-License-Identifier: BSD-3-Clause
"""Rows of the matrix: every test here says which row it is, and the rows are printed at the end."""

import os
import shutil

import lab
import pytest


@pytest.fixture
def row(record_property):
    """row(interpreter, shape, place) names the row of this test; call it before anything else."""

    def name(*columns):
        record_property("row", " | ".join("%-13s" % column for column in columns))

    return name


@pytest.fixture
def anyone(home):
    """A copy of the program where every user may run it, and a home every user may write to."""
    folder = lab.place(lab.any_one(), [lab.BINARY])[0]
    for parent in [home, *list(home.parents)[:4]]:
        os.chmod(parent, os.stat(parent).st_mode | 0o055)
    os.chmod(home, 0o777)
    yield os.path.join(folder, os.path.basename(lab.BINARY))
    shutil.rmtree(folder)


def pytest_configure(config):
    config.addinivalue_line("markers", "full: only in the full tier")


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if item.get_closest_marker("full") and not lab.FULL]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if os.getuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root: containers, other users, mounts"))


def row_of(report):
    return next((value for key, value in report.user_properties if key == "row"), None)


def result_of(report):
    if report.passed:
        return "ok"
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        return "skip " + reason.replace("Skipped: ", "", 1)
    lines = str(report.longrepr).splitlines()
    wrong = [line for line in lines if "WRONG: " in line]
    return "WRONG " + (wrong[-1].split("WRONG: ", 1)[1] if wrong else lines[-1] if lines else "")[:300]


def pytest_terminal_summary(terminalreporter):
    """The matrix, when pytest is called by hand; tests/run makes it of the same properties."""
    rows = {}
    for outcome in ("passed", "skipped", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if row_of(report):
                rows[row_of(report), report.nodeid] = result_of(report)
    if rows:
        terminalreporter.section("matrix")
    for (row, _), result in sorted(rows.items()):
        terminalreporter.write_line("row %s | %s" % (row, result))
    words = [result.split(" ")[0] for result in rows.values()]
    if rows:
        terminalreporter.write_line("%d rows: %d ok, %d skip, %d WRONG" % (
            len(rows), words.count("ok"), words.count("skip"), words.count("WRONG")))
