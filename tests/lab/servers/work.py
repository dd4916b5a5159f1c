# SPDX-License-Identifier: BSD-3-Clause
"""What every server of the lab does for a request: about 2 ms of Python, then it says where."""

import json
import mmap
import os
import threading

COUNT = 12000


def handle_request():
    total = 0
    for number in range(COUNT):
        total += number * number % 7
    return total


def answer():
    handle_request()
    thread = threading.current_thread().name
    # Under gevent each greenlet looks like a thread of its own; the system knows one.
    if thread.startswith("Dummy") and threading.get_native_id() == os.getpid():
        thread = "MainThread"
    return json.dumps({"pid": os.getpid(), "thread": thread}).encode()


class Counter:
    """Requests served so far, where a process outside can read it: for what has no network."""

    def __init__(self, name="count"):
        self.path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
        with open(self.path, "wb") as file:
            file.write(bytes(8))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        self.value = 0

    def step(self):
        self.value += 1
        self.map[0:8] = self.value.to_bytes(8, "little")
