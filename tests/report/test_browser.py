# SPDX-License-Identifier: BSD-3-Clause
"""The page in a real browser: what tests/report/browser/run.mjs says. The check tier opens it and looks at the
figures, the tree and hostile names; the full tier does all there is, with budgets on pages of up to a million samples.
"""
import os
import re
import shutil
import subprocess
import sys

import lab
import pytest

sys.path.insert(0, os.path.join(lab.ROOT, "tests", "bench"))
import bench  # noqa: E402
import page as page_bench  # noqa: E402

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "browser/run.mjs")
NODE = shutil.which("node")
BUILD = os.environ.get("PYI_BUILD", os.path.join(lab.ROOT, "build"))
# name: (a pattern of run.mjs, how long it may take)
PARTS = {
    "smoke": ("^(1 opens|2 title|9 hostile)", 110),
    "page": ("^([1-9]|1[0-24-6]|17) (?!real)", 600),
    "real": (" real: ", 300),
    "budgets": ("^13 budgets [SM]", 240),
    "budgets-large": ("^13 budgets L", 300),
}
TIER = os.environ.get("PYI_TIER", "full")
NAMES = ["smoke"] if TIER == "check" else [name for name in PARTS if name != "smoke"]


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """A folder of pages of the sizes that budgets are for, as C writes them."""
    folder = tmp_path_factory.mktemp("pages")
    page_bench.write(bench.Settings(BUILD, True, "page"), folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def browser(name, record_property, request):
    if not NODE:
        pytest.skip("node is not installed: the page is not opened in a browser")
    pattern, limit = PARTS[name]
    env = dict(os.environ, PYI_PROGRAM=os.path.join(BUILD, "pyinstrument"))
    if name.startswith("budgets"):
        env["PYI_REPORT_PAGES"] = str(request.getfixturevalue("pages"))
    done = subprocess.run([NODE, RUN, "--only", pattern], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=limit, env=env)
    text = done.stdout.decode("utf-8", "replace")
    for figure in re.findall(r"^ok 13 .*$", text, re.M):
        record_property("figure", figure)
    counts = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M)
    assert counts, text[-4000:]
    assert done.returncode == 0 and counts.group(2) == "0", text[-8000:]
    if counts.group(1) == "0":
        assert int(counts.group(3)) > 0, "no test ran"
        pytest.skip(re.search(r"^skip \S+ .*: (.*)$", text, re.M).group(1))


if TIER != "fast":
    test_browser = browser
