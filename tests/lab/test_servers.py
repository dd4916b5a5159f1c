# SPDX-License-Identifier: BSD-3-Clause
"""Servers that people run, under load: the handler under the right thread of the right process,
and what a request costs with us and without us."""

import json
import os
import re
import signal

import pyi
import pytest
import serving

GUNICORN = "exec gunicorn -b 127.0.0.1:8000 --worker-tmp-dir /dev/shm "
UVICORN = "exec python3 -m uvicorn --log-level warning --port 8000 "
REDIS = "redis-server --bind 127.0.0.1 --save '' --daemonize yes >&2 && "

# name: (command, where requests go, None when it keeps itself busy)
SERVERS = {
    "gunicorn sync": (GUNICORN + "-w 2 wsgi:application", serving.URL),
    "gunicorn gthread": (GUNICORN + "-w 1 -k gthread --threads 4 wsgi:application", serving.URL),
    "gunicorn gevent": (GUNICORN + "-w 1 -k gevent wsgi:application", serving.URL),
    "gunicorn uvicorn": (GUNICORN + "-w 2 -k uvicorn.workers.UvicornWorker asgi:app", serving.URL),
    "uvicorn loop": (UVICORN + "asgi:app", serving.URL),
    "uvicorn pool": (UVICORN + "asgi:app", serving.URL + "/pool"),
    "Django": ("exec python3 django_app.py", serving.URL),
    "Flask": ("exec python3 flask_app.py", serving.URL),
    "uWSGI": ("exec uwsgi-core --plugin python3 --http-socket 127.0.0.1:8000 --master --processes 2 --threads 2 "
              "--disable-logging --wsgi-file wsgi.py", serving.URL),
    "mod_wsgi": ("exec apache2 -DFOREGROUND -f /srv/apache.conf", serving.URL),
    "Celery": (REDIS + "(celery -A celery_app worker -c 2 -l ERROR >&2 &) && exec python3 celery_app.py send", None),
    "ipykernel": ("exec python3 alone.py kernel", None),
    "multiprocessing": ("exec python3 alone.py pool", None),
    "numpy": ("exec python3 alone.py numpy", None),
}
SECONDS = 5
PAIRS = int(os.environ.get("PYI_LAB_PAIRS", "12"))

pytestmark = pytest.mark.full


def kind(name):
    """A thread's name without its number."""
    return re.sub(r"\d+", "N", name)


def record(server, pid, seconds, home, path):
    load = server.load(seconds + 1)
    run = pyi.run("--pid", pid, "-d", seconds, "-o", path, home=home, timeout=seconds + 60)
    server.load_end(load, 0)
    assert run.status == 0, "WRONG: %s" % run
    return pyi.Session(path)


def measured(server, pid, home, tmp_path, with_us):
    if not with_us:
        return serving.per_request(server, 1)
    profiler = pyi.start("--pid", pid, "-d", 60, "-o", tmp_path / "cost.pyisession", home=home)
    pyi.wait_ticking(profiler)
    seconds = serving.per_request(server, 1)
    profiler.send_signal(signal.SIGINT)
    assert pyi.finish(profiler).status == 0
    return seconds


def costs(server, pid, home, tmp_path, pairs):
    """Pairs of rounds, with and without us; between them pairs without us. Which of the two comes
    first changes from pair to pair, so that a machine that gets slower favours nobody."""
    found = {True: [], False: []}
    for number in range(pairs):
        for with_us in (True, False):
            order = [False, with_us] if number % 2 else [with_us, False]
            seconds = [measured(server, pid, home, tmp_path, one) for one in order]
            without, other = seconds if number % 2 else reversed(seconds)
            found[with_us].append(other / without - 1)
    return found[True], found[False]


@pytest.mark.xdist_group("servers")
@pytest.mark.parametrize("name", SERVERS)
def test_server(targets, row, home, tmp_path, figure, name):
    row("debian-3.11", name, "under load")
    command, url = SERVERS[name]
    server = serving.Server(command, url)
    targets.append(server)
    told = server.answers()
    inner = max({answer["pid"] for answer in told}, key=[answer["pid"] for answer in told].count)
    worker = server.outer(inner)
    threads = {kind(answer["thread"]) for answer in told if answer["pid"] == inner}
    session = record(server, worker, SECONDS, home, tmp_path / "out.pyisession")
    holding = {stack[0].function for stack, _ in session.records
               if stack and any(frame.function == "handle_request" for frame in stack)}
    assert holding, "WRONG: the handler is on no stack of %d; threads: %s" % (worker, session.threads())
    # A thread per request lives for some milliseconds and may be seen before threading knows its name.
    whole = session.seconds_with("handle_request")
    right = sum(session.seconds_with("handle_request", thread) for thread in holding if kind(thread) in threads)
    assert right >= 0.95 * whole, "WRONG: %.1f %% of the handler's time is under other threads than %s: %s" % (
        100 - 100 * right / whole, threads, {kind(thread) for thread in holding})
    figure("%s: %.2f %% of the handler's time under the thread's own name", name, 100 * right / whole)
    share = session.seconds_with("handle_request") / max(session.attach.get("duration") or SECONDS, 0.1)
    figure("%s: handler in %.0f %% of %d s, thread %s", name, 100 * share, SECONDS, sorted(holding)[0])
    assert share > 0.05, "WRONG: the handler has only %.1f %% of the time" % (100 * share)
    # The process that serves nothing shows no handler.
    others = [pid for pid in server.processes() if server.inner(pid) not in {a["pid"] for a in told}]
    if others and name.startswith(("gunicorn", "Django", "uWSGI")):
        parent = record(server, server.first(), 1, home, tmp_path / "parent.pyisession")
        assert parent.seconds_with("handle_request") == 0, "WRONG: a handler in the parent"
    on, off = costs(server, worker, home, tmp_path, PAIRS)
    word, words = serving.verdict(on, off)
    figure("%s: CPU seconds per request with us %s", name, words)
    assert word != "over", words


def test_parent_of_mod_wsgi(targets, row, home):
    """libpython is mapped in it and was never started: that is said, and the workers are named."""
    row("debian-3.11", "mod_wsgi parent", "host")
    server = serving.Server(*SERVERS["mod_wsgi"])
    targets.append(server)
    workers = {server.outer(answer["pid"]) for answer in server.answers()}
    run = pyi.run("--pid", server.first(), "-d", "0.2", "--wait", "0.1", "--json-errors", home=home)
    told = json.loads(run.errors.splitlines()[-1])
    assert told["code"] == "python-unused" and run.status == 3, "WRONG: %s" % told
    named = {int(number) for number in re.findall(r"(\d+) \(", told["note"])}
    assert workers <= named, "WRONG: %s are not all in %s" % (workers, told)
