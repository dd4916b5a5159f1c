# SPDX-License-Identifier: BSD-3-Clause
"""Interpreters of this machine and its roots, and target processes that never outlive a test.

A target runs in its own session; `Target.close()` kills the whole group, whatever became of it.
Interpreters in a root run by chroot: what they need is copied below the root's /tmp first.
"""

import contextlib
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGETS = os.path.join(ROOT, "fixtures", "targets")
BUILD = os.environ.get("PYI_BUILD") or os.path.join(ROOT, "build")
BINARY = os.environ.get("PYI_BINARY") or os.path.join(BUILD, "pyinstrument")
LAB = os.environ.get("PYI_LAB") or "/var/tmp/pyinstrument-lab"
FULL = os.environ.get("PYI_FULL", "0") not in ("", "0")

# Minor versions with everything (proven calls and C functions come with 3.8 and 3.11), and those
# of which stacks, names and times are read.
SUPPORTED = range(8, 16)
OLDER = ((2, 7), (3, 6), (3, 7))
REQUIRED = ("3.11", "3.13", "3.14", "3.15")


class Interpreter:
    def __init__(self, name, version, command):
        self.name = name
        self.text = version
        self.version = tuple(int(part) for part in version.split(".")[:2])
        self.command = command
        self.build = {"t": "free-threaded", "d": "debug"}.get(name[-1], "default")
        self.root = command[1] if command[0] == "chroot" else ""
        self.executable = command[-1]

    def __repr__(self):
        return self.name


@functools.lru_cache(maxsize=None)
def every_interpreter():
    script = os.path.join(ROOT, "scripts", "lab")
    listing = subprocess.run([script, "list"], stdout=subprocess.PIPE, check=True, timeout=120)
    found = []
    for line in listing.stdout.decode().splitlines():
        name, version, *command = line.split(" ")
        found.append(Interpreter(name, version, command))
    return sorted(found, key=lambda i: (i.version, i.name))


def supported():
    """Default builds of the newer versions."""
    return [i for i in every_interpreter() if i.build == "default"
            and i.version[0] == 3 and i.version[1] in SUPPORTED]


def older():
    return [i for i in every_interpreter() if i.version in OLDER]


SPECIAL = {"3.11d": "python3.11-dbg (scripts/setup full)", "3.13t": "scripts/lab ensure 3.13t"}


def special():
    """Debug and free-threaded builds."""
    return [i for i in every_interpreter() if i.build != "default"]


def absent():
    """Parameters that are skipped by name, for interpreters that are not here."""
    import pytest  # the benchmark uses this module without it

    ways = {"2.7": "pyenv, or scripts/lab ensure old", "3.6": "pyenv", "3.7": "pyenv", **SPECIAL}
    found = {i.name.rpartition("-")[2] for i in special()}
    found |= {"%d.%d" % i.version for i in older()}
    return [pytest.param(None, id="absent-" + name, marks=pytest.mark.skip(
        reason="no Python %s here: %s" % (name, ways[name]))) for name in ways if name not in found]


def every_profiled():
    """Parameters: all that can be read, and what is absent as skips."""
    return older() + supported() + special() + absent()


def one_of_each():
    """The same with one of each minor version of the newer ones."""
    return older() + one_per_version() + special() + absent()


def one_per_version():
    """The newest of each minor version, system builds before home-made ones."""
    chosen = {}
    for interpreter in supported():
        known = chosen.get(interpreter.version)
        if known is None or (known.name.startswith("pyenv") and interpreter.name[0] != "p"):
            chosen[interpreter.version] = interpreter
    return list(chosen.values())


def local():
    """Interpreters that run without chroot, so that pyinstrument can start them itself."""
    return [i for i in supported() if not i.root]


def local_of_any_kind():
    """The same with the older ones and other builds, and what is absent as skips."""
    return local() + [i for i in older() + special() if not i.root] + absent()


def by_version(text):
    for interpreter in one_per_version():
        if "%d.%d" % interpreter.version == text:
            return interpreter
    return None


def any_one():
    """The interpreter of tests that do not depend on the version."""
    return by_version("3.11") or supported()[0]


class Target:
    """A process of ours, its pipes, and the copy of its files in a root."""

    def __init__(self, command, folder=None, **options):
        self.folder = folder
        options.setdefault("stdin", subprocess.PIPE)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
        env.pop("PYTHONPATH", None)
        env.update(options.pop("env", {}))
        self.process = subprocess.Popen(
            command, start_new_session=True, bufsize=0, env=env, **options
        )
        self.pid = self.process.pid
        self.pending = b""

    def line(self, timeout=60):
        """Next line of its standard output, without the newline. AssertionError at its end."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            assert ready, "the target said nothing for %d s" % timeout
            data = self.process.stdout.read(1 << 16)
            if not data:
                self.process.wait(timeout=10)
                errors = self.process.stderr.read() if self.process.stderr else b""
                raise AssertionError("the target ended: %r" % errors[-2000:])
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line

    def json(self, timeout=60):
        return json.loads(self.line(timeout))

    def say(self, text=b"go\n"):
        self.process.stdin.write(text)

    def status(self):
        """Fields of /proc/PID/status."""
        with open("/proc/%d/status" % self.pid) as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

    def wait_asleep(self, timeout=10):
        """Returns when its main thread sleeps: what it printed last is behind it then."""
        deadline = time.monotonic() + timeout
        while not self.status()["State"].startswith("S"):
            assert time.monotonic() < deadline, "the target does not come to rest"
            time.sleep(0.002)

    def wait_all_asleep(self, timeout=10):
        """Returns when all its threads sleep at once: nobody is on the way to somewhere."""
        deadline = time.monotonic() + timeout
        folder = "/proc/%d/task" % self.pid
        while True:
            states = set()
            for tid in os.listdir(folder):
                with open("%s/%s/stat" % (folder, tid)) as file:
                    states.add(file.read().rpartition(")")[2].split()[0])
            if states == {"S"}:
                return
            assert time.monotonic() < deadline, "threads of the target do not come to rest"
            time.sleep(0.002)

    def close(self):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def place(interpreter, files):
    """Copies files where the interpreter sees them: (folder here, folder as it sees it)."""
    base = os.path.join(interpreter.root or "/", "tmp")
    os.makedirs(base, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="pyi-target-", dir=base)
    os.chmod(folder, 0o755)
    for file in files:
        shutil.copy(file, folder)
    return folder, folder[len(interpreter.root) :]


def start(interpreter, script, *arguments, files=(), **options):
    """Starts a script of fixtures/targets (and the files it needs) under an interpreter."""
    names = [script, *files]
    folder, inside = place(interpreter, [os.path.join(TARGETS, name) for name in names])
    command = [*interpreter.command, *options.pop("flags", ()), os.path.join(inside, script)]
    return Target([*command, *map(str, arguments)], folder=folder, **options)


def start_code(interpreter, code, *arguments, **options):
    """The same for a program given as text; it runs from a file, so that its frames have one."""
    folder, inside = place(interpreter, [])
    with open(os.path.join(folder, "main.py"), "w") as file:
        file.write(code)
    command = [*interpreter.command, os.path.join(inside, "main.py"), *map(str, arguments)]
    return Target(command, folder=folder, **options)
