# SPDX-License-Identifier: BSD-3-Clause
"""client.py URL: waits until the server answers, then prints what forty requests were told."""
import json
import sys
import time
import urllib.error
import urllib.request

deadline = time.monotonic() + 60
answers = []
while len(answers) < 40:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=20) as reply:
            answers.append(json.load(reply))
    except (OSError, ValueError) as error:
        if time.monotonic() > deadline:
            raise SystemExit("no answer: %s" % error)
        time.sleep(0.02)
print(json.dumps(answers))
