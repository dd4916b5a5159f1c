# SPDX-License-Identifier: BSD-3-Clause
"""The page in a real browser: what tests/report/browser/run.mjs says, one pytest row per test of it."""
import os
import re
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, "browser/run.mjs")
NODE = shutil.which("node")
# (a pattern of run.mjs, how long it may take): the budgets draw a million samples
PARTS = [("^([1-9]|1[0-24-6]) ", 500), ("^13 budgets [SM]", 240), ("^13 budgets L", 300)]


@pytest.mark.parametrize("pattern, limit", PARTS, ids=["page", "budgets", "budgets-large"])
def test_browser(pattern, limit, record_property):
    if not NODE:
        pytest.skip("node is not installed: the page is not opened in a browser")
    done = subprocess.run([NODE, RUN, "--only", pattern], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=limit)
    text = done.stdout.decode("utf-8", "replace")
    for figure in re.findall(r"^ok 13 .*$", text, re.M):
        record_property("figure", figure)
    counts = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M)
    assert counts, text[-4000:]
    assert done.returncode == 0 and counts.group(2) == "0", text[-8000:]
    if counts.group(1) == "0":
        assert int(counts.group(3)) > 0, "no test ran"
        pytest.skip(re.search(r"^skip \S+ .*: (.*)$", text, re.M).group(1))
