# SPDX-License-Identifier: BSD-3-Clause
"""Runs the real binary: in pipes, in a pseudo-terminal, against sessions made here and programs
started here. PYI_BINARY names the binary, PYI_PYTHON the interpreter of the programs."""
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("PYI_BINARY", os.path.join(ROOT, "build", "pyinstrument"))
PYTHON = os.environ.get("PYI_PYTHON", "/usr/bin/python3")
LIMIT = 60
USAGE = "Usage: pyinstrument [options] scriptfile [arg] ..."
HINT = "To view this report with different options, run:\n    pyinstrument --load-prev %s [options]\n\n"


def covers(*rows):
    """Says which rows of rows.txt a test is for."""
    return pytest.mark.covers(*rows)


def pytest_configure(config):
    config.addinivalue_line("markers", "covers(*rows): rows of rows.txt that the test is for")


def frame(function, path, line):
    return f"{function}\0{path}\0{line}"


def make_session(**changes):
    """A session as upstream writes it: main calls work (0.6 s) and wait (0.3 s), 0.1 s itself."""
    top = [frame("MainThread", "<thread>", 1000), frame("<module>", "/home/u/main.py", 1) + "\x01l50"]
    work = top + [frame("work", "/home/u/main.py", 10) + "\x01l11"]
    wait = top + [frame("wait", "/usr/lib/python3/site-packages/lib/wait.py", 7) + "\x01l8"]
    session = {
        "start_time": 1700000000.25, "duration": 1.0005, "min_interval": 0.001,
        "max_interval": 0.001, "sample_count": 3, "start_call_stack": top,
        "target_description": "Program: main.py", "cpu_time": 0.5, "sys_path": ["/home/u"],
        "sys_prefixes": ["/usr", "/usr", "/usr", "/usr"],
        "frame_records": [[work, 0.6], [wait, 0.3], [top, 0.1]],
    }
    session.update(changes)
    return session


class Tool:
    """The binary in a folder of its own, with its own store of sessions."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "data" / "pyinstrument" / "reports"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
                    "XDG_DATA_HOME": str(folder / "data"), "TZ": "UTC", "TERM": "xterm"}

    def run(self, *arguments, env=None, **options):
        changed = dict(self.env, **(env or {}))
        options.setdefault("stdin", subprocess.DEVNULL)
        if "input" in options:
            del options["stdin"]
        return subprocess.run([BINARY, *map(str, arguments)], cwd=self.folder, env=changed,
                              capture_output=True, timeout=LIMIT, text=options.pop("text", True),
                              **options)

    def start(self, *arguments, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([BINARY, *map(str, arguments)], cwd=self.folder,
                                env=dict(self.env, **(env or {})), text=True, **options)

    @staticmethod
    def wait_for(process, text):
        """Returns when the program's stderr has shown `text`; byte by byte, so that
        communicate() gets the rest."""
        seen = b""
        end = time.monotonic() + LIMIT
        while text.encode() not in seen:
            assert time.monotonic() < end, seen
            if select.select([process.stderr], [], [], 0.2)[0]:
                piece = os.read(process.stderr.fileno(), 1)
                assert piece, seen
                seen += piece

    def recording(self, *arguments, **options):
        """Starts the binary and returns once it has taken its first sample."""
        process = self.start("--debug=record", *arguments, **options)
        self.wait_for(process, ": first sample\n")
        return process

    def terminal(self, *arguments, env=None, on_text=None, seconds=LIMIT):
        """Everything in one pseudo-terminal. `on_text(text, fd, pid)` sees it grow. Returns the
        status as waitpid() gives it and the text."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(BINARY, [BINARY, *map(str, arguments)], dict(self.env, **(env or {})))
        text = b""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([fd], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            if not piece:
                break
            text += piece
            if on_text:
                on_text(text.decode("utf-8", "replace"), fd, pid)
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        return status, text.decode("utf-8", "replace").replace("\r\n", "\n")

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text)
        path.chmod(mode)
        return path

    def session(self, name="s.pyisession", **changes):
        return self.write(name, json.dumps(make_session(**changes)))


@pytest.fixture
def tool(tmp_path):
    return Tool(tmp_path)


WORKER = """\
import sys, time
def busy():
    end = time.monotonic() + float(sys.argv[1])
    n = 0
    while time.monotonic() < end:
        n += sum(range(100))
def main():
    print("ready", flush=True)
    busy()
main()
"""


@pytest.fixture
def worker(tool):
    """A running program that is busy for up to a minute; it is told to end at the end."""
    script = tool.write("worker.py", WORKER)
    process = subprocess.Popen([PYTHON, str(script), "60"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
