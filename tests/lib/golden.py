# SPDX-License-Identifier: BSD-3-Clause
"""Files of expected answers: one per session, made by real 5.1.3, read without it.

A file is a run of cases. Each begins with a line `#### STATUS SIZE KIND ARGUMENTS`, where KIND is
`stdout` or `outfile`, ARGUMENTS a JSON list, and SIZE counts the masked bytes that follow (then
one newline). They can be read, and compared in a review, as the text they mostly are.
"""

import json


def write(path, cases):
    with open(path, "wb") as file:
        for status, kind, arguments, data in cases:
            head = "#### %d %d %s %s\n" % (status, len(data), kind, json.dumps(arguments))
            file.write(head.encode() + data + b"\n")


def read(path):
    with open(path, "rb") as file:
        while True:
            head = file.readline()
            if not head:
                return
            mark, status, size, kind, arguments = head.decode().rstrip("\n").split(" ", 4)
            assert mark == "####", head
            data = file.read(int(size))
            assert file.read(1) == b"\n"
            yield int(status), kind, json.loads(arguments), data
