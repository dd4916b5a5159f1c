# SPDX-License-Identifier: BSD-3-Clause
"""Where a target can live: containers, namespaces, other roots and file systems.

Containers run by podman and runc, without network, from a root laid over the one of the
interpreter (":O": what they write is thrown away). They see the host's /usr when the interpreter
is the host's, so that our own program runs inside as well.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import lab
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = dict(os.environ, CONTAINERS_CONF=os.path.join(HERE, "containers.conf"))
FILES = ("shape.py", "truth.py")
NAMES = iter(range(10**6))


def podman(*arguments, timeout=60, check=True):
    done = subprocess.run(["podman", *map(str, arguments)], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True)
    assert not check or done.returncode == 0, (arguments, done.stderr)
    return done


def needs_podman():
    if not shutil.which("podman") or not shutil.which("runc"):
        pytest.skip("podman and runc are not installed")


class Container(lab.Target):
    """A target that is the first process of a container; `pid` is its number on the host."""

    def __init__(self, interpreter, options=(), command=None, files=FILES, env=()):
        needs_podman()
        self.name = "pyi-lab-%d-%d" % (os.getpid(), next(NAMES))
        self.scratch = tempfile.mkdtemp(prefix="pyi-container-")
        os.chmod(self.scratch, 0o755)
        os.mkdir(self.scratch + "/lab")
        for name in files:
            shutil.copy(os.path.join(lab.TARGETS, name), self.scratch + "/lab")
        mounts = ["-v", self.scratch + "/lab:/lab:ro"]
        root = interpreter.root
        if not root:
            root = self.scratch + "/root"
            for folder in ("usr", "etc", "tmp", "proc", "dev", "sys", "run", "lab", "build"):
                os.makedirs(os.path.join(root, folder))
            for link in ("bin", "sbin", "lib", "lib64"):
                os.symlink("usr/" + link, os.path.join(root, link))
            mounts += ["-v", "/usr:/usr:ro", "-v", lab.BUILD + ":/build:ro"]
            prefix = os.path.dirname(os.path.dirname(interpreter.executable))
            if prefix not in ("/usr", "/"):
                mounts += ["-v", "%s:%s:ro" % (prefix, prefix)]
        command = command or [interpreter.executable, "/lab/shape.py"]
        super().__init__(["podman", "run", "-i", "--rm", "--name", self.name, *mounts, *options,
                          "--rootfs", root + ":O", *command], env={**ENVIRONMENT, **dict(env)})
        self.client = self.process.pid

    def found(self):
        """Its first process, as the host numbers it; call it when the target has said something."""
        self.pid = int(podman("inspect", "--format", "{{.State.Pid}}", self.name).stdout)
        return self.pid

    def inside(self, *options):
        """The prefix of a command that runs in it."""
        return ["env", "CONTAINERS_CONF=" + ENVIRONMENT["CONTAINERS_CONF"], "podman", "exec", *options, self.name]

    def close(self):
        with contextlib.suppress(Exception):
            podman("rm", "-f", "-t", "0", self.name, check=False)
        self.pid = self.client
        super().close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def descendants(pid):
    found, queue = [], [pid]
    while queue:
        at = queue.pop()
        with contextlib.suppress(OSError):
            for tid in os.listdir("/proc/%d/task" % at):
                with open("/proc/%d/task/%s/children" % (at, tid)) as file:
                    queue += [int(word) for word in file.read().split()]
        found.append(at)
    return found


def with_inner(pid, inner):
    """The descendant that calls itself `inner` in the innermost namespace it is in."""
    for other in descendants(pid):
        with open("/proc/%d/status" % other) as file:
            line = next(line for line in file if line.startswith("NSpid:"))
        if int(line.split()[-1]) == inner and len(line.split()) > 2:
            return other
    raise AssertionError("no process calls itself %d" % inner)


class Unshared(lab.Target):
    """A target in namespaces of its own; ended with the helper that made them."""

    def __init__(self, interpreter, script, flags, arguments=()):
        folder, inside = lab.place(interpreter, [os.path.join(lab.TARGETS, name) for name in FILES])
        super().__init__(["unshare", *flags, "--kill-child=KILL", "sh", "-ec", script, "sh",
                          inside + "/shape.py", interpreter.root or "/", interpreter.executable, *arguments],
                         folder=folder)
        self.helper = self.pid

    def found(self, truth):
        self.pid = with_inner(self.helper, truth["pid"])
        return self.pid

    def close(self):
        self.pid = self.helper
        super().close()


RUN = 'if [ "$2" = / ]; then exec "$3" "$1"; else exec chroot "$2" "$3" "$1"; fi'


def pid_namespace(interpreter):
    return Unshared(interpreter, RUN, ["--pid", "--fork", "--mount-proc"])


def user_namespace(interpreter):
    """Root there is nobody here."""
    return Unshared(interpreter, RUN, ["--user", "--map-root-user", "--pid", "--fork"])


def overlay(interpreter):
    """Maps name the device of a lower file system."""
    script = ('mkdir "$4/up" "$4/work" "$4/all"; '
              'mount -t overlay overlay -o "lowerdir=$2,upperdir=$4/up,workdir=$4/work" "$4/all"; '
              'exec chroot "$4/all" "$3" "$1"')
    if not interpreter.root:
        pytest.skip("only roots are laid over")
    space = tempfile.mkdtemp(prefix="pyi-overlay-")
    return Unshared(interpreter, script, ["--mount", "--pid", "--fork"], [space]), space


def runc(interpreter):
    """A bundle, without podman: the OCI runtime alone."""
    needs_podman()
    if not interpreter.root:
        pytest.skip("only roots make a bundle")
    bundle = tempfile.mkdtemp(prefix="pyi-bundle-")
    subprocess.run(["runc", "spec"], cwd=bundle, check=True, timeout=30)
    folder, inside = lab.place(interpreter, [os.path.join(lab.TARGETS, name) for name in FILES])
    with open(bundle + "/config.json") as file:
        config = json.load(file)
    config["process"].update(terminal=False, rlimits=[], args=[interpreter.executable, inside + "/shape.py"])
    config["root"] = {"path": interpreter.root, "readonly": True}
    with open(bundle + "/config.json", "w") as file:
        json.dump(config, file)
    name = "pyi-runc-%d-%d" % (os.getpid(), next(NAMES))
    target = Runc(["runc", "run", "--bundle", bundle, name], folder=folder)
    target.name, target.bundle, target.client = name, bundle, target.pid
    return target


class Runc(lab.Target):
    def found(self):
        state = subprocess.run(["runc", "state", self.name], stdout=subprocess.PIPE, check=True, timeout=30)
        self.pid = json.loads(state.stdout)["pid"]
        return self.pid

    def close(self):
        subprocess.run(["runc", "delete", "--force", self.name], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60)
        self.pid = self.client
        super().close()
        shutil.rmtree(self.bundle, ignore_errors=True)


def seccomp_file(folder, *refused):
    """The default profile of containers without some calls."""
    with open("/usr/share/containers/seccomp.json") as file:
        profile = json.load(file)
    for entry in profile["syscalls"]:
        entry["names"] = [name for name in entry["names"] if name not in refused]
    profile["syscalls"].append({"names": list(refused), "action": "SCMP_ACT_ERRNO", "args": [], "errnoRet": 1})
    path = os.path.join(str(folder), "seccomp.json")
    with open(path, "w") as file:
        json.dump(profile, file)
    return path


def wait_until(question, what, timeout=20):
    deadline = time.monotonic() + timeout
    while not question():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
