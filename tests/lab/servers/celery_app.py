# SPDX-License-Identifier: BSD-3-Clause
"""Tasks through redis; run as a program it sends them, without an end, and says what it gets."""
import json
import sys

import work
from celery import Celery

app = Celery("celery_app", broker="redis://127.0.0.1:6379/0", backend="redis://127.0.0.1:6379/1")


@app.task
def task():
    return work.answer().decode()


def send():
    counter = work.Counter()
    # The worker must be up before the first answer is told.
    first = [task.delay().get(timeout=60) for _ in range(20)]
    print(json.dumps([json.loads(text) for text in first]), flush=True)
    while True:
        for result in [task.delay() for _ in range(40)]:
            result.get(timeout=60)
            counter.step()


if __name__ == "__main__":
    send() if sys.argv[1:] == ["send"] else None
