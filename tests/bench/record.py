# SPDX-License-Identifier: BSD-3-Clause
"""Profilers as whole programs: started on a running workload, their samples read and judged.

Each row of TOOLS says how a profiler is started and what its file looks like. What is counted is
the same for all of them: CPU of the profiler, samples it delivered, stacks that are impossible.
"""

import contextlib
import dataclasses
import os
import subprocess

import bench
import pyi


@dataclasses.dataclass
class Judged:
    stacks: int = 0   # samples that were judged
    torn: int = 0
    example: str = ""

    def add(self, workload, functions, count):
        self.stacks += count
        if workload.is_torn(functions):
            self.torn += count
            if not self.example:
                for caller, callee in zip(["-", *functions], functions):
                    if caller == "-" and callee in workload.known - workload.roots:
                        self.example = "- > %s" % callee
                        break
                    if (caller in workload.known and callee in workload.known
                            and caller != "-" and (caller, callee) not in workload.edges):
                        self.example = "%s > %s" % (caller, callee)
                        break


def is_frame(frame):
    """Not the thread, and no leaf of ours such as <built-in> or [truncated]."""
    return not (frame.path or "").startswith("<") and frame.first_line is not None


def judge_session(session, workload):
    judged = Judged()
    for stack, _ in session.records:
        judged.add(workload, [frame.function for frame in stack if is_frame(frame)], 1)
    return judged


def judge_collapsed(path, workload, function_of, count_of):
    judged = Judged()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("#") or " " not in line:
                continue
            stack, count = line.rstrip("\n").rsplit(" ", 1)
            functions = [function_of(part) for part in stack.split(";")]
            judged.add(workload, [name for name in functions if name], count_of(count))
    return judged


def between_colons(part):
    """FILE:FUNCTION:LINE; thread and process parts have fewer colons."""
    pieces = part.rsplit(":", 2)
    return pieces[1] if len(pieces) == 3 else ""


def before_bracket(part):
    """FUNCTION (FILE:LINE)"""
    return part.split(" (", 1)[0] if part.endswith(")") else ""


# ---- the tools ------------------------------------------------------------------------------------


class Ours:
    name = "pyinstrument (ours)"

    def __init__(self, settings):
        self.settings = settings

    def record(self, workload, seconds, interval, folder):
        out = os.path.join(folder, "ours.pyisession")
        figure = bench.used(self.settings, [
            self.settings.binary, "--pid", workload.pid, "-d", seconds, "-i", "%.7f" % interval, "-q",
            "-o", out], home=folder, timeout=60, workload=workload)
        if figure.status:
            raise bench.Skip("status %d" % figure.status)
        session = pyi.Session(out)
        return figure, session.raw["sample_count"], judge_session(session, workload)


class Tachyon:
    """The profiler in the standard library of 3.15; for targets of its own root only."""
    name = "profiling.sampling"

    def __init__(self, settings, *options):
        self.settings, self.options = settings, options
        if options:
            self.name += " " + " ".join(options)
        self.root = os.path.join(bench.lab.LAB, "sid")
        if not os.path.exists(os.path.join(self.root, "usr/bin/python3.15")):
            raise bench.Skip("profiling.sampling: there is no python3.15")
        if not bench.has_proc(self.root):
            raise bench.Skip("profiling.sampling: /proc cannot be mounted in its root")

    def command(self, workload, seconds, interval, out):
        # Its root has no locale but this one.
        return ["env", "LC_ALL=C", "chroot", self.root, "/usr/bin/python3.15", "-m", "profiling.sampling", "attach",
                "-a", "-r", round(1 / interval), "-d", seconds, "--collapsed", "-o", out,
                *self.options, workload.pid]

    def record(self, workload, seconds, interval, folder):
        out = os.path.join(workload.folder, "tachyon")
        figure = bench.used(self.settings, self.command(
            workload, seconds, interval, out[len(self.root):]), timeout=60, workload=workload)
        if figure.status or not os.path.exists(out):
            raise bench.Skip("status %d" % figure.status)
        judged = judge_collapsed(out, workload, between_colons, int)
        return figure, judged.stacks, judged


class Austin:
    """Debian's, unpacked; a target in a root is out of its reach."""
    name = "austin"

    def __init__(self, settings):
        self.settings = settings
        root = os.path.join(bench.CACHE, "austin")
        if not os.path.exists(os.path.join(root, "usr/bin/austin")):
            unpack(root, "trixie", "base-files,austin")
        self.start = [os.path.join(root, "usr/lib64/ld-linux-x86-64.so.2"), "--library-path",
                      os.path.join(root, "usr/lib/x86_64-linux-gnu"), os.path.join(root, "usr/bin/austin")]

    def command(self, workload, seconds, interval, out):
        return [*self.start, "-i", max(round(interval * 1e6), 1), "-o", out, "-x",
                max(round(float(seconds)), 1), "-p", workload.pid]

    def record(self, workload, seconds, interval, folder):
        out = os.path.join(folder, "austin.out")
        figure = bench.used(self.settings, self.command(workload, seconds, interval, out), timeout=60,
                            workload=workload)
        if not os.path.exists(out):
            raise bench.Skip("status %d" % figure.status)
        judged = judge_collapsed(out, workload, between_colons, lambda microseconds: 1)
        if not judged.stacks:
            raise bench.Skip("no samples")
        return figure, judged.stacks, judged


class PySpy:
    name = "py-spy"

    def __init__(self, settings, *options):
        self.settings, self.options = settings, options
        if options:
            self.name += " " + " ".join(options)
        folder = os.path.join(bench.CACHE, "py-spy")
        self.program = os.path.join(folder, "bin", "py-spy")
        if not os.path.exists(self.program):
            done = subprocess.run(["pip", "install", "-q", "--no-deps", "--target", folder, "py-spy"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
            if done.returncode or not os.path.exists(self.program):
                raise bench.Skip("py-spy: pip could not install it")

    def command(self, workload, seconds, interval, out):
        return [self.program, "record", *self.options, "-r", round(1 / interval), "-d",
                max(round(float(seconds)), 1), "-f", "raw", "-o", out, "--idle", "--pid", workload.pid]

    def record(self, workload, seconds, interval, folder):
        out = os.path.join(folder, "py-spy.out")
        figure = bench.used(self.settings, self.command(workload, seconds, interval, out), timeout=60,
                            workload=workload)
        if figure.status or not os.path.exists(out):
            raise bench.Skip("status %d" % figure.status)
        judged = judge_collapsed(out, workload, before_bracket, int)
        return figure, judged.stacks, judged


def available(settings, makers):
    """The tools that can be had, and a line for each that cannot."""
    tools = []
    for make in makers:
        try:
            tools.append(make(settings))
        except (bench.Skip, OSError, subprocess.SubprocessError) as reason:
            settings.say("  skipped: %s" % reason)
    return tools


def unpack(root, suite, packages):
    mirror = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().split()
    part = root + ".part"
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(["rm", "-rf", "--one-file-system", part], check=True)
    done = subprocess.run(
        ["mmdebstrap", "--mode=root", "--variant=extract", "--format=directory",
         '--aptopt=Acquire::Check-Valid-Until "false"', "--include=" + packages, suite, part,
         # Without a mirror of this machine's own, mmdebstrap takes its default.
         *(["deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main" % (mirror[0], suite)]
           if mirror else [])],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    if done.returncode:
        raise bench.Skip("%s of %s could not be unpacked" % (packages, suite))
    os.rename(part, root)
