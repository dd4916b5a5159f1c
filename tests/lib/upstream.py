# SPDX-License-Identifier: BSD-3-Clause
"""Answers of real pyinstrument 5.1.3, from one long-lived process in its root, and remembered.

`Upstream.ask(requests)` gives one Answer per request. A request is (session bytes or None,
arguments), where the arguments may hold {session} and {out}. Answers are kept in one sqlite
file below the lab, keyed by everything they depend on.
"""

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile

from lab import LAB, ROOT

VERSION = "5.1.3"
ROOT_FOLDER = os.path.join(LAB, "upstream")
SERVER = os.path.join(ROOT, "tests", "parity", "server.py")
CACHE_FORMAT = 3


class Unavailable(Exception):
    """There is no usable root, and why."""


class Answer:
    def __init__(self, status, out, outfile, err=b""):
        self.status, self.out, self.outfile, self.err = status, out, outfile, err


def ensure():
    """Makes the root if need be and returns upstream's version. Unavailable when impossible."""
    script = os.path.join(ROOT, "scripts", "lab")
    made = subprocess.run([script, "ensure", "upstream"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=900)
    if made.returncode != 0:
        lines = made.stdout.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise Unavailable(lines[-1])
    asked = subprocess.run(
        ["chroot", ROOT_FOLDER, "/usr/bin/python3", "-c",
         "import pyinstrument; print(pyinstrument.__version__)"],
        stdout=subprocess.PIPE, timeout=60, check=True)
    version = asked.stdout.decode().strip()
    if version != VERSION:
        raise Unavailable("the root has pyinstrument %s, not %s" % (version, VERSION))
    return version


class Upstream:
    def __init__(self):
        self.process = None
        self.folder = None
        self.asked = self.remembered = 0
        with open(SERVER, "rb") as file:
            self.identity = hashlib.sha256(file.read()).hexdigest() + str(CACHE_FORMAT) + VERSION
        self.cache = sqlite3.connect(os.path.join(LAB, "parity.sqlite"), timeout=120)
        self.cache.execute("create table if not exists answers (key text primary key, value text)")

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=30)
            self.process.stdout.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.cache.commit()
        self.cache.close()

    def _start(self):
        ensure()
        self.folder = tempfile.mkdtemp(prefix="pyi-parity-", dir=os.path.join(ROOT_FOLDER, "tmp"))
        shutil.copy(SERVER, self.folder)
        inside = self.folder[len(ROOT_FOLDER):]
        env = {"LC_ALL": "C.UTF-8", "TZ": "UTC0", "PATH": "/usr/sbin:/usr/bin", "HOME": "/tmp"}
        self.process = subprocess.Popen(
            ["chroot", ROOT_FOLDER, "/usr/bin/python3", os.path.join(inside, "server.py"), inside],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)

    def _one(self, session, arguments):
        if self.process is None:
            self._start()
        name = ""
        if session is not None:
            name = hashlib.sha256(session).hexdigest() + ".pyisession"
            path = os.path.join(self.folder, name)
            if not os.path.exists(path):
                with open(path, "wb") as file:
                    file.write(session)
        request = json.dumps({"session": name, "arguments": arguments})
        self.process.stdin.write(request.encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the upstream process ended at %s" % request)
        return line.decode()

    def ask(self, session, arguments):
        digest = hashlib.sha256(self.identity.encode())
        digest.update(json.dumps(list(arguments)).encode())
        digest.update(b"-" if session is None else b"+" + session)
        key = digest.hexdigest()
        self.asked += 1
        row = self.cache.execute("select value from answers where key = ?", (key,)).fetchone()
        if row is None:
            value = self._one(session, list(arguments))
            self.cache.execute("insert or replace into answers values (?, ?)", (key, value))
            if self.asked % 500 == 0:
                self.cache.commit()
        else:
            self.remembered += 1
            value = row[0]
        answer = json.loads(value)
        outfile = answer["outfile"]
        return Answer(
            answer["status"],
            base64.b64decode(answer["out"]),
            None if outfile is None else base64.b64decode(outfile),
            base64.b64decode(answer["err"]),
        )
