# SPDX-License-Identifier: BSD-3-Clause
"""Runs in the emulated machine: unit tests, fuzz corpora, then the live tests given as arguments.

One line each for the console: `ok NAME`, `skip NAME: reason`, `FAIL NAME: why`.
"""
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

BUILD = "build"
# Tests that an emulator's speed, or a disk without the sources, does not allow.
LEFT_OUT = {
    "tests/live/test_recording.py::test_metadata": "counts ticks of a machine with its own speed",
    "tests/live/test_recording.py::test_rates": "counts ticks of a machine with its own speed",
    "tests/live/test_launch.py::test_daemon_and_exit_handlers": "two threads race for a fifth of a second",
    "tests/live/test_leaves.py::test_tables": "compares sources, which are not here",
}


def one_line(text, limit=600):
    return " | ".join(line.strip() for line in text.strip().splitlines())[-limit:]


def program(name, command, timeout):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout)
        status, output = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        status, output = -1, "took too long"
    print(f"ok {name}" if status == 0 else f"FAIL {name}: {one_line(output)}", flush=True)


def units():
    folder = os.path.join(BUILD, "tests/unit")
    for name in sorted(os.listdir(folder)):
        if name.startswith("test_") and "." not in name:
            program(f"unit {name}", [os.path.join(folder, name)], 240)
    for name in sorted(os.listdir("fixtures/corpus")):
        corpus = os.path.join("fixtures/corpus", name)
        files = [os.path.join(corpus, file) for file in sorted(os.listdir(corpus))]
        program(f"corpus {name}", [os.path.join(BUILD, "tests/fuzz", name), *files], 240)


def live(files):
    with tempfile.TemporaryDirectory() as scratch:
        report = os.path.join(scratch, "report.xml")
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml",
                               report, *[f"--deselect={name}" for name in LEFT_OUT], *files], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if not os.path.exists(report):
            print(f"FAIL live: {one_line(done.stdout.decode(errors='replace'))}", flush=True)
            return
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            bad = case.find("failure") if case.find("failure") is not None else case.find("error")
            skipped = case.find("skipped")
            if bad is not None:
                print(f"FAIL {name}: {one_line((bad.get('message') or '') + chr(10) + (bad.text or ''))}")
            elif skipped is not None:
                print(f"skip {name}: {one_line(skipped.get('message') or '')}")
            else:
                print(f"ok {name}")
        for name, reason in LEFT_OUT.items():
            print(f"skip {name}: {reason}")
        sys.stdout.flush()


units()
live(sys.argv[1:])
print("END of tests", flush=True)
