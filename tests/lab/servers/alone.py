# SPDX-License-Identifier: BSD-3-Clause
"""Programs that need nobody to ask them: alone.py kernel|pool|numpy. Says its places, goes on."""
import json
import multiprocessing
import os
import sys
import threading

import work

CELL = """
import sys; sys.path.insert(0, %r)
import json, work
counter = work.Counter()
print(json.dumps([json.loads(work.answer())]), flush=True)
while True:
    work.handle_request(); counter.step()
"""


def kernel():
    from jupyter_client.manager import start_new_kernel

    _manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    client.execute(CELL % os.path.dirname(os.path.abspath(__file__)))
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream":
            print(message["content"]["text"].strip(), flush=True)
            break
    threading.Event().wait()


def place(_):
    return json.loads(work.answer())


def pool():
    counter = work.Counter()
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        print(json.dumps(workers.map(place, range(20), 1)), flush=True)
        while True:
            for _ in workers.imap_unordered(place, range(100)):
                counter.step()


def numpy():
    import numpy as np

    counter = work.Counter()
    matrix = np.arange(3600.0).reshape(60, 60) % 7

    def handle_request():
        np.linalg.svd(matrix)

    print(json.dumps([json.loads(work.answer())]), flush=True)
    while True:
        handle_request()
        counter.step()


if __name__ == "__main__":
    {"kernel": kernel, "pool": pool, "numpy": numpy}[sys.argv[1]]()
