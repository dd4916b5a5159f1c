# SPDX-License-Identifier: BSD-3-Clause
"""Loading a session and printing its text: ours and pyinstrument 5.1.3, CPU and peak memory.

Both programs do what their users see: read the file, print the report and put the session into
their store of recent sessions (a folder of this run). The file is in the page cache. A million
records are too much to ask of the original each time; its figures for them were taken once.
"""

import os
import shutil
import subprocess
import sys

import bench

ONCE = {"records": 1000000, "cpu": 152.0, "peak": 12e9}
SMALL, LARGE = 100000, 1000000


def session(records):
    """Path of the generated session, made if it is absent."""
    os.makedirs(bench.CACHE, exist_ok=True)
    path = os.path.join(bench.CACHE, "session-%d.pyisession" % records)
    if os.path.exists(path):
        return path
    need = records * 2700 * 3
    free = shutil.disk_usage(bench.CACHE).free
    if free < need:
        raise bench.Skip("%d GB free in %s, %d needed" % (free >> 30, bench.CACHE, need >> 30))
    if bench.free_memory() < records * 2700 * 2:
        raise bench.Skip("not enough memory for a file of %d MB in the cache" % (records * 2700 >> 20))
    generator = os.path.join(bench.ROOT, "tests", "bench", "generate.py")
    subprocess.run([sys.executable, generator, str(records), path], check=True, timeout=600)
    return path


def into_cache(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 22):
            pass


class Upstream:
    """The original in its root; the session is linked into the root, not copied."""

    def __init__(self, path):
        import upstream
        try:
            upstream.ensure()
        except upstream.Unavailable as reason:
            raise bench.Skip("pyinstrument 5.1.3: %s" % reason) from None
        self.root = upstream.ROOT_FOLDER
        self.link = os.path.join(self.root, "tmp", "bench-%d.pyisession" % os.getpid())
        os.link(path, self.link)
        self.home = self.link + ".home"

    def run(self):
        os.makedirs(self.home, exist_ok=True)
        inside = [path[len(self.root):] for path in (self.link, self.home)]
        figure = bench.used(["chroot", self.root, "/usr/bin/python3", "-m", "pyinstrument",
                             "--load", inside[0]], home=inside[1])
        shutil.rmtree(self.home)
        return figure

    def close(self):
        os.unlink(self.link)


def ours(settings, path, *options):
    with bench.scratch(settings) as home:
        return bench.used([settings.binary, "--load", path, *options], home=home)


def row(name, figures):
    cpu = [figure.cpu for figure in figures]
    return [name, len(figures), "%.3f" % bench.median(cpu),
            "%.3f" % bench.median([figure.user for figure in figures]),
            "%.3f" % bench.median([figure.system for figure in figures]),
            "%.0f MB" % (max(figure.peak for figure in figures) / 1e6),
            "%.2f..%.2f" % (min(cpu), max(cpu))]


HEAD = ["program", "runs", "CPU s", "user", "system", "peak", "CPU range"]


def small(settings):
    path = session(SMALL)
    into_cache(path)
    rounds = 3 if settings.quick else 5
    mine, plain, theirs, reason = [], [], [], ""
    try:
        original = Upstream(path)
    except bench.Skip as skip:
        original, reason = None, str(skip)
    try:
        for number in range(rounds):
            mine.append(ours(settings, path))
            if original and number < (1 if settings.quick else 3):
                theirs.append(original.run())
            plain.append(ours(settings, path, "-o", "/dev/null", "-r", "text"))
    finally:
        if original:
            original.close()
    bad = [figure for figure in mine + plain + theirs if figure.status]
    if bad:
        raise bench.Skip("a program ended with status %d" % bad[0].status)
    settings.say("Load and print, %d records, depth 30, %d MB" % (
        SMALL, os.path.getsize(path) // 1000000))
    rows = [row("pyinstrument (ours)", mine), row("  the same, not stored", plain)]
    if theirs:
        rows.insert(1, row("pyinstrument 5.1.3", theirs))
    settings.table(HEAD, rows)
    if not theirs:
        settings.say("  skipped: %s" % reason)
        return
    ratio = bench.median([f.cpu for f in theirs]) / bench.median([f.cpu for f in mine])
    peak = max(f.peak for f in mine)
    settings.say("  CPU 1/%.1f of 5.1.3 (goal 1/15): %s; peak %.0f MB (goal 100): %s" % (
        ratio, bench.verdict(ratio >= 15), peak / 1e6, bench.verdict(peak <= 100e6)))
    settings.say()


def large(settings):
    path = session(LARGE)
    if bench.free_memory() < 6e9:
        raise bench.Skip("less than 6 GB of memory are free")
    into_cache(path)
    mine = [ours(settings, path) for _ in range(3)]
    plain = [ours(settings, path, "-o", "/dev/null", "-r", "text") for _ in range(3)]
    settings.say("Load and print, %d records, depth 30, %d MB" % (
        LARGE, os.path.getsize(path) // 1000000))
    settings.table(HEAD, [
        row("pyinstrument (ours)", mine), row("  the same, not stored", plain),
        ["pyinstrument 5.1.3 (once)", 1, "%.0f" % ONCE["cpu"], "", "", "%.0f MB" % (ONCE["peak"] / 1e6),
         ""]])
    ratio = ONCE["cpu"] / bench.median([f.cpu for f in mine])
    peak = max(f.peak for f in mine)
    settings.say("  CPU 1/%.1f of 5.1.3's (goal 1/25): %s; peak %.0f MB (goal 1000): %s" % (
        ratio, bench.verdict(ratio >= 25), peak / 1e6, bench.verdict(peak <= 1e9)))
    settings.say()


def run(settings):
    for part in [small] if settings.quick else [small, large]:
        try:
            part(settings)
        except bench.Skip as reason:
            settings.say("  skipped: %s" % reason)
