# SPDX-License-Identifier: BSD-3-Clause
"""The page's model, tested by node on the very bytes of dist/ that pages get; npm is not needed."""
import glob
import os
import re
import shutil
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
DIST = os.path.join(HERE, "../../src/report/dist/report.js")
FILES = sorted(glob.glob(os.path.join(HERE, "model/*.test.mjs")))
NODE = shutil.which("node")


def test_there_are_files():
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=[os.path.basename(path)[:-9] for path in FILES])
def test_model(path, record_property):
    if not NODE:
        pytest.skip("node is not installed: the page's model is not tested")
    if not os.environ.get("PYI_REPORT_MODEL") and not os.path.exists(DIST):
        pytest.skip("src/report/dist/report.js is not built: make report-bundle")
    done = subprocess.run([NODE, "--test", "--test-reporter=tap", path], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=110)
    text = done.stdout.decode("utf-8", "replace")
    for figure in re.findall(r"^(?:# )?figure (.*)$", text, re.M):
        record_property("figure", figure)
    assert done.returncode == 0, "\n".join(
        line for line in text.splitlines() if "duration_ms" not in line)[-8000:]
    # A file that ran nothing proves nothing.
    passed = re.search(r"^# pass (\d+)$", text, re.M)
    assert passed and int(passed.group(1)) > 0, text[-2000:]
