# SPDX-License-Identifier: BSD-3-Clause
"""Real servers in namespaces of their own: processes, mounts, and a network that is only lo.

Everything dies with the helper that made the namespaces. Nothing is listening outside of them.
"""

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

import lab
import places
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(lab.LAB, "servers")
URL = "http://127.0.0.1:8000"

ENTER = """
set -e
root=$1 app=$2 command=$3
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 none "$root/dev"
for node in null:3 zero:5 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir -m 1777 "$root/dev/shm"
for folder in run tmp root; do mount -t tmpfs -o mode=1777 none "$root/$folder"; done
mount --bind "$app" "$root/srv"
chroot "$root" ip link set lo up
exec chroot "$root" /bin/sh -c "cd /srv && export HOME=/root C_FORCE_ROOT=1 && $command"
"""


class Server(lab.Target):
    def __init__(self, command, url=URL):
        if not os.path.isdir(ROOT):
            pytest.skip("no root with servers (scripts/lab ensure servers)")
        self.url = url
        app = tempfile.mkdtemp(prefix="pyi-server-")
        shutil.copytree(os.path.join(HERE, "servers"), app, dirs_exist_ok=True)
        os.chmod(app, 0o777)
        # What a server prints goes to a file: nobody empties a pipe for five minutes.
        self.log = open(os.path.join(app, "log"), "wb")
        super().__init__(["unshare", "-m", "-n", "-p", "--fork", "--kill-child=KILL", "sh", "-c", ENTER, "sh",
                          ROOT, app, command], folder=app, stderr=self.log,
                         stdout=subprocess.PIPE if url is None else self.log)
        self.app = app

    def processes(self):
        return [pid for pid in places.descendants(self.pid) if pid != self.pid]

    def first(self):
        return min(self.processes(), key=lambda pid: int(self.inner(pid)))

    @staticmethod
    def inner(pid):
        with open("/proc/%d/status" % pid) as file:
            return int(next(line for line in file if line.startswith("NSpid:")).split()[-1])

    def outer(self, inner):
        return places.with_inner(self.pid, inner)

    def enter(self):
        return ["nsenter", "-t", str(self.first()), "-n"]

    def answers(self):
        """Where requests are served, as the server says: a list of {"pid", "thread"}."""
        if self.url is None:
            return self.json(90)
        places.wait_until(self.processes, "nothing was started")
        time_left = time.monotonic() + 20
        while os.readlink("/proc/%d/ns/net" % self.first()) == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < time_left
        done = subprocess.run([*self.enter(), "/usr/bin/python3", "-I", HERE + "/servers/client.py", self.url],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        with open(os.path.join(self.app, "log"), "rb") as file:
            log = file.read()[-3000:]
        assert done.returncode == 0, (done.stderr[-500:], log)
        return json.loads(done.stdout)

    def load(self, seconds, connections=4):
        """Starts the load; load_end gives the number of requests it had answered."""
        if self.url is None:
            self.before = self.count()
            return None
        return subprocess.Popen([*self.enter(), "wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, self.url],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def load_end(self, load, seconds):
        if load is None:
            time.sleep(seconds)  # not a wait for something: the length of the measurement
            return self.count() - self.before
        words, _ = load.communicate(timeout=seconds + 30)
        found = re.search(rb"(\d+) requests in", words)
        assert found, words
        return int(found.group(1))

    def count(self):
        with open(os.path.join(self.app, "count"), "rb") as file:
            return int.from_bytes(file.read(8), "little")

    def cpu(self):
        """CPU seconds of all its processes: their CPU clocks, to the nanosecond."""
        total = 0.0
        for pid in self.processes():
            try:
                total += time.clock_gettime((~pid << 3) | 2)
            except OSError:
                pass  # ended meanwhile
        return total

    def close(self):
        super().close()
        self.log.close()


def per_request(server, seconds):
    """One request at a time: with the whole machine busy the cost would be that of more programs
    than processors, whatever the one more program does."""
    before = server.cpu()
    requests = server.load_end(server.load(seconds, 1), seconds)
    assert requests > 0, "no request was answered"
    return (server.cpu() - before) / requests


def bounds(values):
    """Median and its 95 % interval by order statistics (sign test), whatever the distribution."""
    ordered, n = sorted(values), len(values)
    if n < 6:
        return statistics.median(ordered), -math.inf, math.inf
    weight, tail, rank = 0.5**n, 0.0, 0
    for k in range(n // 2):
        tail += weight
        if 2 * tail > 0.05:
            break
        rank = k + 1
        weight = weight * (n - k) / (k + 1)
    low = ordered[rank - 1] if rank else ordered[0]
    high = ordered[n - rank] if rank else ordered[-1]
    return statistics.median(ordered), low, high


def verdict(on, off, limit=0.01):
    """on: relative differences with and without us; off: the same twice without."""
    middle, low, high = bounds(on)
    if len(on) < 6:
        return "inconclusive", "%+.1f %% (%d pairs are too few for a bound)" % (100 * middle, len(on))
    _, off_low, off_high = bounds(off)
    if high <= limit:
        word = "within"
    elif low > limit and low > off_high and low > -off_low:
        word = "over"
    else:
        word = "inconclusive"
    return word, "%+.1f %% (95 %%: %+.1f to %+.1f), off/off %+.1f to %+.1f: %s %g %%" % (
        100 * middle, 100 * low, 100 * high, 100 * off_low, 100 * off_high, word, 100 * limit)
