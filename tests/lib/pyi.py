# SPDX-License-Identifier: BSD-3-Clause
"""Runs the program under test: always with a deadline, a private home, and a clean environment."""

import json
import os
import re
import signal
import subprocess
import time

from lab import BINARY

DROPPED = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "VIRTUAL_ENV", "PYTHONPATH", "COLUMNS")


def environment(home=None, **changes):
    env = {key: value for key, value in os.environ.items() if key not in DROPPED}
    env["LC_ALL"] = "C.UTF-8"
    env["TZ"] = "UTC0"
    if home is not None:
        env["HOME"] = str(home)
        env["XDG_DATA_HOME"] = str(home)
    for key, value in changes.items():
        if value is None:
            env.pop(key, None)
        else:
            env[key] = str(value)
    return env


class Run:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def text(self):
        return self.out.decode("utf-8", "surrogateescape")

    @property
    def errors(self):
        return self.err.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return "status %s\n--- out\n%s\n--- err\n%s" % (
            self.status,
            self.text[-3000:],
            self.errors[-3000:],
        )


def start(*arguments, home=None, env=None, **options):
    """Starts pyinstrument in its own session and returns the Popen object."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("start_new_session", True)
    return subprocess.Popen(
        [BINARY, *map(str, arguments)], env=environment(home, **(env or {})), **options
    )


def finish(process, timeout=60, input=None):
    try:
        out, err = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(
            "still running after %d s\n%s\n%s" % (timeout, (out or b"")[-500:], (err or b"")[-2000:])
        ) from None
    return Run(process.returncode, out or b"", err or b"")


def run(*arguments, timeout=60, input=None, **options):
    if input is not None:
        options["stdin"] = subprocess.PIPE
    return finish(start(*arguments, **options), timeout, input)


def wait_ticking(process, ticks=40, timeout=20):
    """Returns when the recorder has slept that often, which it does once per tick."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        assert process.poll() is None, finish(process)
        with open("/proc/%d/status" % process.pid) as file:
            switches = re.search(r"^voluntary_ctxt_switches:\t(\d+)", file.read(), re.MULTILINE)
        if int(switches.group(1)) >= ticks:
            return
        time.sleep(0.002)
    raise AssertionError("the recorder did not begin to tick")


# The peak of a process includes that of the one it was started from, so a small one starts it.
MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""


class Cost:
    def __init__(self, status, cpu, peak):
        self.status, self.cpu, self.peak = status, cpu, peak


def measured(*arguments, home=None, timeout=120):
    """Runs to the end: exit status, CPU seconds, and peak memory in MB (at least a small Python's)."""
    command = ["/usr/bin/python3", "-I", "-S", "-c", MEASURE, BINARY, *map(str, arguments)]
    process = subprocess.Popen(
        command, env=environment(home), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True)
    run = finish(process, timeout)
    status, cpu, peak = run.out.split()[-3:]
    return Cost(int(status), float(cpu), int(peak) / 1024)


class Session:
    """A .pyisession file, its frames split into their parts."""

    def __init__(self, path):
        with open(path, encoding="ascii") as file:
            self.raw = json.load(file)
        self.records = [
            ([Frame(info) for info in stack], seconds)
            for stack, seconds in self.raw["frame_records"]
        ]
        self.attach = self.raw.get("attach") or {}

    def seconds(self):
        return sum(seconds for _, seconds in self.records)

    def seconds_with(self, function, thread=None):
        """Time of the records whose stack holds the function."""
        total = 0.0
        for stack, seconds in self.records:
            if thread is not None and (not stack or stack[0].function != thread):
                continue
            if any(frame.function == function for frame in stack):
                total += seconds
        return total

    def threads(self):
        return sorted({stack[0].function for stack, _ in self.records if stack})


class Frame:
    def __init__(self, info):
        identifier, *attributes = info.split("\x01")
        parts = identifier.split("\x00")
        self.function = parts[0]
        self.path = parts[1] if len(parts) > 1 else None
        self.first_line = int(parts[2]) if len(parts) > 2 else None
        self.attributes = attributes
        self.line = next((int(a[1:]) for a in attributes if a[:1] == "l"), None)
        self.class_name = next((a[1:] for a in attributes if a[:1] == "c"), None)

    def __repr__(self):
        return "%s %s:%s" % (self.function, self.path, self.first_line)
