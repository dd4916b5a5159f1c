# SPDX-License-Identifier: BSD-3-Clause
"""Every way to be refused: the cause by name, and the printed way out, run as it is printed.

There is no sudo here and the tests are root already: a "sudo" in front of PATH runs its words.
Zombies, kernel threads, programs that are not Python: see tests/live/test_refusals.py.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import time

import lab
import places
import pyi
import pytest

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all"]
BUSY = "def work():\n    print('ready', flush=True)\n    while True: sum(range(100))\nwork()\n"
NOT_DUMPABLE = "import ctypes; ctypes.CDLL(None).prctl(4, 0)\n"


def attach(binary, pid, *options, home, prefix=(), env=None, cwd="/", timeout=60):
    command = [*prefix, binary, "--pid", str(pid), "-d", "0.3", *options]
    done = subprocess.run(command, env=pyi.environment(home, **(env or {})), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd=cwd)
    return pyi.Run(done.returncode, done.stdout, done.stderr)


def refused(slug, binary, pid, home, status=4, **options):
    """What a machine is told; a person is told the same."""
    run = attach(binary, pid, "--json-errors", home=home, **options)
    assert run.status == status and run.out == b"", run
    told = json.loads(run.errors.splitlines()[-1])
    assert told["code"] == slug, "WRONG: %s instead of %s: %s" % (told["code"], slug, told)
    plain = attach(binary, pid, home=home, **options)
    assert told["message"] in plain.errors and plain.status == status, plain
    return told


def sudo_folder(tmp_path):
    folder = tmp_path / "sudo"
    folder.mkdir(exist_ok=True)
    (folder / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (folder / "sudo").chmod(0o755)
    return str(folder)


def follow(words, tmp_path, home, prefix=()):
    """Runs a printed way out, as root, by a shell."""
    path = sudo_folder(tmp_path) + ":" + os.environ["PATH"]
    done = subprocess.run([*prefix, "sh", "-c", words.replace(" --json-errors", "")],
                          env=pyi.environment(home, PATH=path), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return pyi.Run(done.returncode, done.stdout, done.stderr)


def works(words, tmp_path, home, **options):
    run = follow(words, tmp_path, home, **options)
    assert run.status == 0 and "work" in run.text, "WRONG: the way out does not work: %s\n%s" % (words, run)


def start(targets, code=BUSY, become=()):
    folder, inside = lab.place(lab.any_one(), [])
    with open(os.path.join(folder, "main.py"), "w") as file:
        file.write(code)
    target = lab.Target([*become, *lab.any_one().command, os.path.join(inside, "main.py")], folder=folder)
    targets.append(target)
    target.line()
    return target


def in_a_container():
    """This machine itself, by the marks the program goes by: then root lacks what its container lacks."""
    return os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv") or "KUBERNETES_SERVICE_HOST" in os.environ


def lacking_root(slug, targets, anyone, home, tmp_path, become=()):
    target = start(targets, become=become)
    told = refused("container-cap" if in_a_container() else slug, anyone, target.pid, home,
                   prefix=["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-all"])
    assert "CAP_SYS_PTRACE" in json.dumps(told), told
    if in_a_container():
        # What that container lacks is what the refused one was deprived of.
        assert "--cap-add=SYS_PTRACE" in told["try"][0], told
        works(shlex.join([anyone, "--pid", str(target.pid), "-d", "0.3"]), tmp_path, home)
    else:
        works(told["try"][0], tmp_path, home)


# ---- users ----


def test_other_user(targets, row, anyone, home, tmp_path):
    row("other user", "no privilege", "ptrace-uid")
    target = start(targets)
    told = refused("ptrace-uid", anyone, target.pid, home, prefix=NOBODY)
    works(told["try"][0], tmp_path, home)


def test_not_dumpable(targets, row, anyone, home, tmp_path):
    row("same user", "not dumpable", "not-dumpable")
    target = start(targets, NOT_DUMPABLE + BUSY, NOBODY)
    told = refused("not-dumpable", anyone, target.pid, home, prefix=NOBODY)
    works(told["try"][0], tmp_path, home)


def test_root_without_the_capability(targets, row, anyone, home, tmp_path):
    row("uid 0", "no capability", "ptrace-uid")
    lacking_root("ptrace-uid", targets, anyone, home, tmp_path, NOBODY)


def test_capabilities_of_the_target(targets, row, anyone, home, tmp_path):
    row("uid 0", "fewer caps", "ptrace-caps")
    lacking_root("ptrace-caps", targets, anyone, home, tmp_path)


def test_same_user(targets, row, anyone, home):
    row("same user", "no privilege", "ok")
    target = start(targets, become=NOBODY)
    run = attach(anyone, target.pid, home=home, prefix=NOBODY)
    assert run.status == 0 and "work" in run.text, "WRONG: %s" % run


def test_user_namespace(targets, row, anyone, home, tmp_path):
    """From inside a namespace the processes outside it are out of reach, same user or not."""
    row("same user", "user ns outside", "userns")
    target = start(targets, become=NOBODY)
    told = refused("userns", anyone, target.pid, home, prefix=[*NOBODY, "unshare", "--user", "--map-root-user"])
    works(told["try"][0], tmp_path, home)


@pytest.mark.parametrize("level", [1, 2])
def test_hidden(targets, row, anyone, home, tmp_path, level):
    row("other user", "hidepid=%d" % level, "hidden")
    target = start(targets)
    script = 'mount -t proc -o hidepid=%d proc /proc && exec "$@"' % level
    prefix = ["unshare", "-m", "sh", "-c", script, "sh"]
    told = refused("hidden", anyone, target.pid, home, prefix=[*prefix, *NOBODY])
    assert "hidepid" in told["why"], told
    works(told["try"][0], tmp_path, home, prefix=prefix)


# ---- Yama, which this kernel may lack: its file is put where it would be ----

YAMA = """
set -e
if ! [ -e /proc/sys/kernel/yama ]; then
    mount -t tmpfs -o mode=755 none /proc/sys/kernel
    mkdir /proc/sys/kernel/yama
    : >/proc/sys/kernel/yama/ptrace_scope
fi
echo "$1" >/proc/sys/kernel/yama/ptrace_scope
mount --bind "$2" "/proc/$3/mem"
shift 3
exec "$@"
"""


def yama(level, pid, tmp_path):
    """The kernel's answer to the call is made by strace, that to the file by its mode."""
    if os.path.exists("/proc/sys/kernel/yama"):
        pytest.skip("this kernel has Yama: its level is not changed by a test")
    closed = tmp_path / "closed"
    closed.write_text("")
    closed.chmod(0)
    return ["unshare", "-m", "sh", "-c", YAMA, "sh", str(level), str(closed), str(pid), *NOBODY,
            "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=process_vm_readv",
            "-e", "inject=process_vm_readv:error=EPERM"]


@pytest.mark.parametrize("level, slug", [(1, "ptrace-yama"), (2, "ptrace-yama-admin"), (3, "ptrace-yama-off")])
def test_yama(targets, row, anyone, home, tmp_path, level, slug):
    row("same user", "Yama %d" % level, slug)
    target = start(targets, become=NOBODY)
    told = refused(slug, anyone, target.pid, home, prefix=yama(level, target.pid, tmp_path))
    assert "ptrace_scope is %d" % level in told["why"], told
    if level < 3:
        (words,) = [words for words in told["try"] if words.startswith("sudo env")]
        works(words, tmp_path, home)
    if level == 1:
        # To be the parent: the program is started again, and ends when its time is over.
        own = [words for words in told["try"] if "main.py" in words]
        assert own, told
        assert shlex.split(own[0])[1:] == open("/proc/%d/cmdline" % target.pid).read().split("\0")[1:-1], own


# ---- containers ----


def busy_container(targets, *options):
    interpreter = lab.by_version("3.11")
    target = places.Container(interpreter, options, [interpreter.executable, "-c", BUSY])
    targets.append(target)
    assert target.line() == b"ready"
    target.found()
    return target


def inside(target, *arguments, options=(), binary="/build/pyinstrument", timeout=60):
    done = subprocess.run([*target.inside(*options), binary, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return pyi.Run(done.returncode, done.stdout, done.stderr)


def told_inside(target, pid, slug, status, options=()):
    run = inside(target, "--pid", pid, "-d", "0.3", "--json-errors", options=options)
    assert run.status == status, "WRONG: %s" % run
    told = json.loads(run.errors.splitlines()[-1])
    assert told["code"] == slug, "WRONG: %s instead of %s: %s" % (told["code"], slug, told)
    return told


def sidecar(targets, target, *options):
    beside = places.Container(lab.by_version("3.11"), ["--pid", "container:" + target.name, *options],
                              ["sh", "-c", "echo ready; exec sleep 600"])
    targets.append(beside)
    assert beside.line() == b"ready"
    return beside


def test_same_container(targets, row):
    row("container root", "default caps", "ok")
    run = inside(busy_container(targets), "--pid", 1, "-d", "0.3")
    assert run.status == 0 and "work" in run.text, "WRONG: %s" % run


def test_sidecar_without_capabilities(targets, row):
    row("sidecar", "no capability", "container-cap")
    target = busy_container(targets)
    told = told_inside(sidecar(targets, target, "--cap-drop", "all"), 1, "container-cap", 4)
    (words,) = [words for words in told["try"] if words.startswith("docker run")]
    option = next(word for word in shlex.split(words) if word.startswith("--cap-add"))
    run = inside(sidecar(targets, target, "--cap-drop", "all", option), "--pid", 1, "-d", "0.3")
    assert run.status == 0 and "work" in run.text, "WRONG: the way out does not work: %s" % run


def test_kubernetes(targets, row):
    """The same with the mark of a pod: the lines that go into its description."""
    row("pod", "no capability", "container-cap")
    target = busy_container(targets)
    beside = sidecar(targets, target, "--cap-drop", "all", "-e", "KUBERNETES_SERVICE_HOST=127.0.0.1")
    told = told_inside(beside, 1, "container-cap", 4)
    assert 'add: ["SYS_PTRACE"]' in told["note"] and told["try"][0].startswith("kubectl"), told


def test_other_user_inside(targets, row):
    row("container user", "other user", "ptrace-uid")
    target = busy_container(targets)
    told_inside(target, 1, "ptrace-uid", 4, ["--user", "1000"])
    run = inside(target, "--pid", 1, "-d", "0.3", options=["--user", "0"])
    assert run.status == 0 and "work" in run.text, "WRONG: %s" % run


def test_other_pid_namespace(targets, row):
    """A number of the host means nothing inside."""
    row("container root", "host's pid", "no-process")
    outside = start(targets)
    target = busy_container(targets)
    told = told_inside(target, outside.pid, "no-process", 5)
    assert "differ from the host's" in told["note"], told


def test_seccomp(targets, row, tmp_path):
    """The call is refused by a filter and the file as well."""
    row("container root", "seccomp, no file", "container-seccomp")
    refused_call = ["--security-opt", "seccomp=" + places.seccomp_file(tmp_path, "process_vm_readv")]
    target = busy_container(targets, *refused_call)
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", "/proc/1/mem", "-e", "inject=openat:error=EACCES"]
    done = subprocess.run([*target.inside(), *strace, "/build/pyinstrument", "--pid", "1", "-d", "0.3",
                           "--json-errors"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    told = json.loads(done.stderr.decode().splitlines()[-1])
    assert told["code"] == "container-seccomp" and done.returncode == 4, "WRONG: %s" % told
    (words,) = [words for words in told["try"] if words.startswith("docker run")]
    option = next(word for word in shlex.split(words) if word.startswith("seccomp="))
    run = inside(busy_container(targets, "--security-opt", option), "--pid", 1, "-d", "0.3")
    assert run.status == 0 and "work" in run.text, "WRONG: the way out does not work: %s" % run


# ---- targets that do not move: no wait is without an end ----


def test_traced(targets, row, home):
    row("root", "traced by strace", "ok")
    target = start(targets)
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(target.pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        places.wait_until(lambda: target.status()["TracerPid"] == str(tracer.pid), "strace does not attach")
        run = attach(lab.BINARY, target.pid, home=home)
        assert run.status == 0 and "work" in run.text, "WRONG: %s" % run
        told = json.loads(pyi.run("--diagnose", target.pid, "--json", home=home).text)
        assert told["can_profile"] and "debugger is attached" in json.dumps(told["checks"]), told
        assert target.status()["TracerPid"] == str(tracer.pid)
    finally:
        tracer.kill()
        tracer.wait(timeout=10)


def all_options(pid, home, tmp_path):
    """Everything that looks at a process ends in time."""
    began = time.monotonic()
    run = pyi.run("--pid", pid, "-d", "0.5", home=home, timeout=20)
    assert run.status == 0 and "work" in run.text, "WRONG: %s" % run
    for words in (["--dump", "--pid", pid], ["--diagnose", pid], ["--ps"]):
        run = pyi.run(*words, home=home, timeout=20)
        assert run.status == 0, "WRONG: %s: %s" % (words, run)
    return time.monotonic() - began


def test_stopped(targets, row, home, tmp_path, figure):
    row("root", "SIGSTOPped", "ok")
    target = start(targets)
    os.kill(target.pid, signal.SIGSTOP)
    places.wait_until(lambda: target.status()["State"].startswith("T"), "it does not stop")
    figure("stopped target: attach 0.5 s, dump, diagnose, ps in %.1f s", all_options(target.pid, home, tmp_path))
    assert target.status()["State"].startswith("T"), "WRONG: it was set going again"


def test_frozen(targets, row, home, tmp_path, figure):
    row("root", "frozen", "ok")
    target = busy_container(targets)
    places.podman("pause", target.name)
    try:
        figure("frozen target: attach 0.5 s, dump, diagnose, ps in %.1f s", all_options(target.pid, home, tmp_path))
    finally:
        places.podman("unpause", target.name)


def test_frozen_while_starting(targets, row, home):
    """Stopped before its interpreter is up: refused when patience is over, not waited for."""
    row("root", "stopped at exec", "python-not-ready")
    target = lab.Target(["strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=brk",
                         "-e", "inject=brk:delay_enter=20000000:when=1", lab.any_one().executable, "-c",
                         "import time; time.sleep(600)"])
    targets.append(target)

    def started():
        for pid in places.descendants(target.pid):
            with contextlib.suppress(OSError):
                if os.path.basename(os.readlink("/proc/%d/exe" % pid)).startswith("python"):
                    return pid
        return None

    places.wait_until(started, "nothing was started")
    child = started()
    run = pyi.run("--pid", child, "-d", "0.3", "--wait", "0.5", "--json-errors", home=home, timeout=20)
    told = json.loads(run.errors.splitlines()[-1])
    assert told["code"] == "python-not-ready" and run.status == 3, "WRONG: %s" % told
