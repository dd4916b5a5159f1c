# SPDX-License-Identifier: BSD-3-Clause
"""What the areas of the benchmark share: targets, measured programs, medians, tables.

A figure is a median of interleaved runs. Where something is compared, both sides run in turn in
the same minute; where a bound is judged, the noise of the same kind of measurement is printed.
"""

import dataclasses
import json
import os
import platform
import random
import resource
import shlex
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import lab  # noqa: E402

PROGRAMS = os.path.join(ROOT, "fixtures", "programs")
CACHE = os.path.join(lab.LAB, "bench")
PACKAGES = "libelf libcjson libbsd libunwind-ptrace libunwind-generic libunwind libpcre2-8 zlib liblzma"


class Skip(Exception):
    """A measurement that cannot be made here, and why."""


@dataclasses.dataclass
class Settings:
    build: str
    quick: bool
    only: str
    results: list = dataclasses.field(default_factory=list)  # lines of the report

    @property
    def binary(self):
        return os.path.join(self.build, "pyinstrument")

    def say(self, text=""):
        self.results.append(text)
        print(text, flush=True)

    def table(self, head, rows):
        """Columns as wide as they need be, the first one to the left."""
        cells = [[str(cell) for cell in row] for row in [head, *rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        for row in cells:
            self.say("  " + "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
        self.say()


def median(values):
    return statistics.median(values) if values else float("nan")


def spread(values):
    """Half the distance of the quartiles, as a share of the median: the noise of one figure."""
    if len(values) < 4 or not median(values):
        return float("nan")
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / abs(median(values))


def bounds(values, repeats=2000):
    """95 % interval of the mean, by drawing the rounds again (bootstrap)."""
    choose = random.Random(95)
    means = sorted(statistics.fmean(choose.choices(values, k=len(values))) for _ in range(repeats))
    return means[int(0.025 * repeats)], means[int(0.975 * repeats) - 1]


def verdict(good):
    return "met" if good else "MISSED"


# ---- the machine ----------------------------------------------------------------------------------


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return "%s, Linux %s, %d x %s, load %.1f" % (
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), platform.release(),
        os.cpu_count(), model, os.getloadavg()[0])


def free_memory():
    with open("/proc/meminfo") as file:
        facts = dict(line.split(":") for line in file)
    return int(facts["MemAvailable"].split()[0]) * 1024


# ---- programs that are measured -------------------------------------------------------------------


@dataclasses.dataclass
class Used:
    """What a finished program used."""
    cpu: float
    user: float
    system: float
    peak: int  # bytes
    wall: float
    status: int
    share: float = float("nan")  # of the time the watched workload had a CPU


def clean_environment(home):
    keep = {key: os.environ[key] for key in ("PATH", "PYI_LAB") if key in os.environ}
    return dict(keep, HOME=home, XDG_DATA_HOME=home, LC_ALL="C.UTF-8", TZ="UTC0",
                PYTHONDONTWRITEBYTECODE="1")


def used(settings, command, home="/tmp", timeout=600, out=subprocess.DEVNULL,
         err=subprocess.DEVNULL, workload=None):
    """Runs a program to its end and says what it used; a deadline kills its group.
    `workload`: what it watches, for its share of the CPU meanwhile."""
    with scratch(settings) as folder:
        note = os.path.join(folder, "usage")
        had = workload.cpu() if workload else 0
        begin = time.monotonic()
        # In between stands a small program: a child starts with the peak memory of its parent.
        process = subprocess.Popen(
            [helper(settings), "run", note, *map(str, command)], stdin=subprocess.DEVNULL, stdout=out,
            stderr=err, env=clean_environment(home), start_new_session=True)
        try:
            process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Skip("%s did not end within %d s" % (command[0], timeout)) from None
        wall = time.monotonic() - begin
        share = (workload.cpu() - had) / wall if workload else float("nan")
        with open(note) as file:
            usage = json.load(file)
    return Used(usage["user"] + usage["system"], usage["user"], usage["system"], usage["peak"],
                wall, usage["status"], share)


def helper(settings):
    """The compiled tests/bench/sampler.c."""
    return compiled(settings, "sampler")


def compiled(settings, name, *libraries):
    """A program of this folder, linked with the library."""
    source = os.path.join(ROOT, "tests", "bench", name + ".c")
    library = os.path.join(settings.build, "libpyinstrument.a")
    program = os.path.join(settings.build, "tests", "bench", name)
    if os.path.exists(program) and all(os.path.getmtime(program) > os.path.getmtime(file)
                                       for file in (source, library)):
        return program
    os.makedirs(os.path.dirname(program), exist_ok=True)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *PACKAGES.split()],
                           stdout=subprocess.PIPE, check=True).stdout.decode().split()
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-O2", "-g", "-Wall", "-Wextra",
                    "-Wno-unused-parameter", "-D_GNU_SOURCE", "-I" + ROOT,
                    "-I" + os.path.join(ROOT, "include"), "-o", program, source, library,
                    *flags, *libraries, "-liberty", "-lm", "-lpthread"], check=True)
    return program


def ask_helper(settings, *arguments, timeout=300):
    done = subprocess.run([helper(settings), *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout)
    if done.returncode != 0:
        raise Skip(done.stderr.decode("utf-8", "replace").strip() or "the helper failed")
    return json.loads(done.stdout)


# ---- workloads ------------------------------------------------------------------------------------


class Workload:
    """A running bench_*.py under an interpreter, until the end of a `with`."""

    def __init__(self, interpreter, name, *arguments, before=(), env=None):
        self.interpreter, self.name = interpreter, name
        script = "bench_%s.py" % name.lower()
        self.folder, inside = lab.place(
            interpreter, [os.path.join(PROGRAMS, file) for file in (script, "bench_common.py")])
        self.file = os.path.join(self.folder, "counters")
        with open(self.file, "wb") as file:
            file.write(bytes(64))
        command = [*interpreter.command, *before, os.path.join(inside, script),
                   os.path.join(inside, "counters"), *map(str, arguments)]
        self.target = lab.Target(command, folder=self.folder, stderr=subprocess.DEVNULL,
                                 env=env or {})
        self.pid = self.target.pid

    def __enter__(self):
        try:
            self.said = self.target.json()
        except BaseException:
            self.target.close()
            raise
        self.edges = {tuple(edge) for edge in self.said["edges"]}
        self.roots = set(self.said["roots"])
        self.known = {name for edge in self.edges for name in edge} | self.roots
        return self

    def __exit__(self, *ignored):
        self.target.close()

    def counters(self):
        with open(self.file, "rb") as file:
            return struct.unpack("8Q", file.read())

    def work(self):
        return sum(self.counters()[:2]) if self.name == "W4" else self.counters()[0]

    def cpu(self):
        """CPU seconds it has used, as it noted with its last unit of work."""
        return self.counters()[7] * 1e-9

    def legal_file(self):
        """The possible calls in the form the helper reads."""
        names = sorted(self.known)
        number = {name: i for i, name in enumerate(names)}
        path = os.path.join(self.folder, "legal")
        with open(path, "w") as file:
            file.write("%d\n%s\n" % (len(names), "\n".join(names)))
            for name in self.roots:
                file.write("-1 %d\n" % number[name])
            for caller, callee in self.edges:
                file.write("%d %d\n" % (number[caller], number[callee]))
        return path

    def is_torn(self, functions):
        """Whether a stack of function names, outermost first, is impossible."""
        if functions and functions[0] in self.known and functions[0] not in self.roots:
            return True
        return any(pair[0] in self.known and pair[1] in self.known and pair not in self.edges
                   for pair in zip(functions, functions[1:]))


def interpreters(settings, only=None):
    """One of each version, oldest first; in a quick run the required ones."""
    found = lab.one_per_version()
    if settings.quick:
        found = [i for i in found if "%d.%d" % i.version in lab.REQUIRED and i.version != (3, 14)]
    if only is not None:
        found = [i for i in found if "%d.%d" % i.version in only]
    return found


def scratch(settings):
    os.makedirs(CACHE, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="run-", dir=CACHE)


def no_core_files():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# ---- /proc in the roots -----------------------------------------------------------------------------

PRIVATE = "PYI_BENCH_PRIVATE"


def private_mounts():
    """Starts this program again in a mount namespace of its own, so that /proc can be mounted in
    the roots and is gone with it. Some profilers need that, and targets of the same namespace."""
    if os.geteuid() != 0 or os.environ.get(PRIVATE):
        return
    probe = subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL)
    if probe.returncode == 0:
        os.environ[PRIVATE] = "1"
        os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])


def has_proc(root):
    """Mounts /proc there if it may."""
    proc = os.path.join(root, "proc")
    if not os.path.exists(os.path.join(proc, "self")) and os.environ.get(PRIVATE):
        subprocess.run(["mount", "-t", "proc", "proc", proc], stderr=subprocess.DEVNULL)
    return os.path.exists(os.path.join(proc, "self"))
