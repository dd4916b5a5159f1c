# SPDX-License-Identifier: BSD-3-Clause
"""Runs inside the upstream root: one JSON request per input line, one JSON answer per line.

Every request is answered by a fork of this process, which has pyinstrument imported already,
calls its own main() with the given arguments, and leaves like a command would. That keeps
requests apart and costs a few milliseconds each.
"""

import base64
import json
import os
import shutil
import signal
import sys

import pyinstrument.__main__
import pyinstrument.renderers

FOLDER = sys.argv[1]


def child(arguments, out, err):
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    os.environ["XDG_DATA_HOME"] = os.path.join(FOLDER, "store")
    sys.argv[:] = ["pyinstrument", *arguments]
    status = 0
    try:
        pyinstrument.__main__.main()
    except SystemExit as error:
        if error.code is None:
            status = 0
        elif isinstance(error.code, int):
            status = error.code
        else:
            print(error.code, file=sys.stderr)
            status = 1
    except BaseException as error:
        print("%s: %s" % (type(error).__name__, error), file=sys.stderr)
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def read(path):
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode()


def answer(request):
    work = os.path.join(FOLDER, "work")
    os.makedirs(work)
    session = os.path.join(FOLDER, request["session"])
    places = {"{session}": session}
    arguments = []
    outfile = None
    for argument in request["arguments"]:
        if argument.startswith("{out}"):
            argument = outfile = os.path.join(work, argument.replace("{out}", "out"))
        arguments.append(places.get(argument, argument))
    out, err = os.path.join(work, "stdout"), os.path.join(work, "stderr")
    pid = os.fork()
    if pid == 0:
        signal.alarm(300)
        try:
            child(arguments, out, err)
        finally:
            os._exit(99)
    _, state = os.waitpid(pid, 0)
    found = {
        "status": os.waitstatus_to_exitcode(state),
        "out": read(out) or "",
        "err": read(err) or "",
        "outfile": read(outfile) if outfile else None,
    }
    shutil.rmtree(work)
    return found


def main():
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    os.chdir("/")
    for line in requests:
        answers.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
        answers.flush()


main()
