# SPDX-License-Identifier: BSD-3-Clause
"""Attaching and recording with the whole program: what it costs until the first sample, how much
memory it takes, and what one sample costs beside a bare timer loop."""

import os

import bench
import pyi

FIRST_SAMPLE = 3e-3  # seconds of CPU
PEAK = 64e6
READS = 2.2


def record(settings, workload, seconds, *options, home):
    """(Used, Session or None) of one recording."""
    out = os.path.join(home, "out.pyisession")
    figure = bench.used(settings, [settings.binary, "--pid", workload.pid, "-d", seconds, "-q", "-o", out,
                         *options], home=home, timeout=int(float(seconds)) + 60)
    if figure.status:
        raise bench.Skip("the recording ended with status %d" % figure.status)
    return figure, pyi.Session(out)


def first_sample(settings, interpreter):
    """CPU milliseconds of the shortest recording there is, and of the program that only starts."""
    runs = 5 if settings.quick else 15
    with bench.scratch(settings) as home, bench.Workload(interpreter, "W1") as workload:
        whole, bare, samples = [], [], 0
        for _ in range(runs):
            figure, session = record(settings, workload, "0.001", home=home)
            whole.append(figure.cpu)
            samples = max(samples, session.raw["sample_count"])
            bare.append(bench.used(settings, [settings.binary, "--version"], home=home).cpu)
    return bench.median(whole) * 1e3, bench.median(bare) * 1e3, samples


def first_samples(settings):
    settings.say("Exec to first sample: CPU of the shortest recording, its end included (goal 3 ms)")
    rows = []
    for interpreter in bench.interpreters(settings):
        try:
            whole, bare, samples = first_sample(settings, interpreter)
        except bench.Skip as reason:
            rows.append([interpreter.name, "-", "-", "-", str(reason)])
            continue
        rows.append([interpreter.name, "%.2f" % whole, "%.2f" % bare, samples,
                     bench.verdict(whole <= FIRST_SAMPLE * 1e3)])
    settings.table(["python", "CPU ms", "of it: start", "samples", "goal"], rows)


def paced(settings, interpreter, name, seconds):
    """One recording at 1 kHz between two bare timer loops of the same length in all."""
    with bench.scratch(settings) as home, bench.Workload(interpreter, name) as workload:
        before = bench.ask_helper(settings, "timer", min(seconds / 3, 2), 1000000)
        shortest = bench.median([record(settings, workload, "0.001", home=home)[0].cpu
                                 for _ in range(3)])
        figure, session = record(settings, workload, seconds, "-i", "0.001", home=home)
        after = bench.ask_helper(settings, "timer", min(seconds / 3, 2), 1000000)
        reads = bench.ask_helper(settings, "cost", workload.pid, 0.1, 1000000, 2)
    last = reads["slices"][-1]
    attach = session.attach
    samples = session.raw["sample_count"]
    ticks = attach.get("ticks") or samples
    each = (figure.cpu - shortest) / max(ticks, 1) * 1e6
    bare = (before["cpu"] + after["cpu"]) / 2 * 1e6
    return {
        "peak": figure.peak, "samples": samples, "rate": samples / seconds, "each": each,
        "bare": bare, "reads": last["calls"] / max(last["samples"], 1),
        "lost": attach.get("lost", 0), "missed": attach.get("missed", 0), "cpu": figure.cpu,
    }


def recordings(settings):
    settings.say("Recording at 1 kHz (peak goal 64 MB, reads goal 2.2; CPU without what attaching costs)")
    rows = []
    for interpreter in bench.interpreters(settings):
        version = "%d.%d" % interpreter.version
        long = version in ("3.11", "3.13", "3.15") and not settings.quick
        for name in ["W1", "W2", "W6"] if long else ["W2"]:
            seconds = 60 if long and name == "W2" else 3 if settings.quick else 5
            try:
                got = paced(settings, interpreter, name, seconds)
            except bench.Skip as reason:
                rows.append([interpreter.name, name, seconds] + ["-"] * 8 + [str(reason)])
                continue
            rows.append([
                interpreter.name, name, seconds, "%.0f" % got["rate"], "%.1f MB" % (got["peak"] / 1e6),
                "%.2f" % got["reads"], "%.1f" % got["each"], "%.1f" % got["bare"],
                "%+.1f" % (got["each"] - got["bare"]), got["lost"], got["missed"],
                bench.verdict(got["peak"] <= PEAK and got["reads"] <= READS)])
    settings.table(["python", "load", "s", "samples/s", "peak", "reads", "us/tick", "bare timer",
                    "more", "lost", "missed", "goals"], rows)


def run(settings):
    first_samples(settings)
    recordings(settings)
