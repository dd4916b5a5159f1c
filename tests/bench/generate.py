#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes a session file of any length: 30 frames deep, about 2,670 bytes per record.

usage: generate.py RECORDS FILE
The shape is that of a busy service: 5,986 distinct frame strings (a function and the line it is
on), one record in three has another stack than the one before, about 9 frames of it new. The
same number of records gives the same bytes every time.
"""

import os
import random
import sys

DEPTH = 30
STRINGS = 5986
FUNCTIONS = 1000
CHANGE = 0.37       # probability that a record's stack is not the one before it
MEAN_REPLACED = 10  # frames of a changed stack that are new, on average
BLOCK = 2000        # records per write

HEAD = (
    '{"start_time": 1700000000.25, "duration": %r, "min_interval": 0.001, "max_interval": 0.001, '
    '"sample_count": %d, "start_call_stack": ["%s"], "target_description": "Program: service.py", '
    '"cpu_time": %r, "sys_path": ["/home/user/service", "/usr/lib/python3.13"], '
    '"sys_prefixes": ["/usr", "/usr", "/usr", "/usr"], "frame_records": ['
)
THREAD = "MainThread\\u0000<thread>\\u0000140234567891"


def call_sites():
    """Per function its (frame string, callee) pairs; callees are other functions."""
    choose = random.Random(5986)
    places = ["/home/user/service/app/%s_%02d.py", "/usr/lib/python3.13/%s/core%02d.py",
              "/home/user/service/lib/%s%02d.py", "/usr/lib/python3/dist-packages/%s_%02d.py"]
    words = ["orders", "render", "schema", "search", "invoice", "session", "router", "codec"]
    count = [STRINGS // FUNCTIONS] * FUNCTIONS
    for extra in range(STRINGS % FUNCTIONS):
        count[extra] += 1
    sites = []
    for number in range(FUNCTIONS):
        path = places[number % 4] % (choose.choice(words), number % 37)
        name = "%s_%s" % (choose.choice(words), choose.choice(["one", "all", "by_key", "in_order"]))
        first = 10 + 40 * (number // 37)
        mark = "\\u0001c%s" % choose.choice(words).title() if number % 3 else ""
        own = []
        for site in range(count[number]):
            text = '"%s_%d\\u0000%s\\u0000%d%s\\u0001l%d"' % (
                name, number, path, first, mark, first + 1 + site)
            own.append((text, choose.randrange(FUNCTIONS)))
        sites.append(own)
    return sites


def records(total):
    """Yields each record's text."""
    choose = random.Random(total and 30)
    sites = call_sites()
    texts, callees = ['"%s"' % THREAD], [0]
    stack = ""
    for number in range(total):
        if number == 0 or choose.random() < CHANGE:
            keep = max(1, DEPTH - 1 - int(choose.expovariate(1 / MEAN_REPLACED)))
            del texts[keep:], callees[keep:]
            while len(texts) < DEPTH:
                text, callee = choose.choice(sites[callees[-1]])
                texts.append(text)
                callees.append(callee)
            stack = "[[" + ", ".join(texts)
        yield stack + "], 0.00%d]" % (100000 + choose.randrange(9000))


def main():
    total, path = int(sys.argv[1]), sys.argv[2]
    part = "%s.part%d" % (path, os.getpid())
    with open(part, "w", encoding="ascii") as file:
        file.write(HEAD % (total * 0.00105, total, THREAD, total * 0.0009))
        block = []
        for number, text in enumerate(records(total)):
            block.append(text)
            if len(block) == BLOCK:
                file.write((", " if number >= BLOCK else "") + ", ".join(block))
                block.clear()
        if block:
            file.write((", " if total > BLOCK else "") + ", ".join(block))
        file.write("]}")
    os.rename(part, path)


if __name__ == "__main__":
    main()
