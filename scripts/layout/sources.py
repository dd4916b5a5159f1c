# SPDX-License-Identifier: BSD-3-Clause
"""Where offsets are measured: debug information of built interpreters, headers of packages.

Comes in: a list of fields (name, structure, C member paths) and the name of a source. Goes out:
{name: offset or None} and the exact version the numbers were taken from. Knows nothing of rows,
ranges or the table's text.
"""

import os
import re
import shutil
import subprocess
import tempfile

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TIMEOUT = 300
# Not $CC: the messages that name missing members are read, and those are gcc's.
COMPILER = os.environ.get("PYI_GCC", "gcc")


class Unavailable(Exception):
    """A source cannot be read on this machine; the text says why."""


def run(arguments, **more):
    return subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT, **more)


def mirror():
    """$PYI_MIRROR, else the Debian mirror this machine already uses."""
    given = os.environ.get("PYI_MIRROR")
    if given:
        return given
    asked = run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"])
    lines = asked.stdout.split()
    if asked.returncode or not lines:
        raise Unavailable("no Debian mirror is configured here; give one in PYI_MIRROR")
    return lines[0]


def spellings(field):
    """(C type, member or None) in the order to try; None asks for the size."""
    name, structures, paths = field
    for structure in structures.split("|"):
        for path in paths.split("|"):
            yield structure, None if path == "sizeof" else path


# ---- debug information -------------------------------------------------------------------

# Runs inside gdb: its expression evaluator answers sizeof and offsetof from DWARF without a
# process. A structure is looked up as a typedef first, then as a tag.
GDB_SCRIPT = """
import gdb, json
questions = json.load(open(%r))
answers = {}
for name, tries in questions:
    answers[name] = None
    for structure, member in tries:
        for spelled in (structure, "struct " + structure):
            text = "sizeof(%%s)" %% spelled
            if member is not None:
                text = "(unsigned long)&((%%s *)0)->%%s" %% (spelled, member)
            try:
                answers[name] = int(gdb.parse_and_eval(text))
                break
            except gdb.error:
                continue
        if answers[name] is not None:
            break
json.dump(answers, open(%r, "w"))
"""


def pyenv_library(version):
    """The libpython of a pyenv version, or the executable when it is linked statically."""
    root = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    minor = ".".join(version.split(".")[:2])
    for name in ("lib/libpython%s.so.1.0" % minor, "lib/libpython%sm.so.1.0" % minor,
                 "bin/python%s" % minor):
        path = os.path.join(root, "versions", version, name)
        if os.path.exists(path):
            return path
    raise Unavailable("no interpreter %s below %s/versions" % (version, root))


def file_version(path):
    """The full version in a binary's read-only data: the only X.Y.Z of its own X.Y."""
    minor = re.search(r"python(\d+\.\d+)", os.path.basename(path)).group(1)
    with open(path, "rb") as stream:
        found = set(re.findall(rb"(?<![\d.])(%s\.\d+)\0" % re.escape(minor).encode(), stream.read()))
    if len(found) != 1:
        raise Unavailable("%s: cannot tell its version, found %r" % (path, sorted(found)))
    return found.pop().decode()


def measure_dwarf(path, fields):
    import json

    if not shutil.which("gdb"):
        raise Unavailable("gdb is not installed")
    if ".debug_info" not in run(["readelf", "-SW", path]).stdout:
        raise Unavailable("%s has no debug information" % path)
    with tempfile.TemporaryDirectory(prefix="pyi-layout-") as folder:
        questions, answers = os.path.join(folder, "q"), os.path.join(folder, "a")
        script = os.path.join(folder, "ask.py")
        with open(questions, "w") as stream:
            json.dump([(field[0], list(spellings(field))) for field in fields], stream)
        with open(script, "w") as stream:
            stream.write(GDB_SCRIPT % (questions, answers))
        done = run(["gdb", "-nx", "-batch", "-x", script, path])
        if not os.path.exists(answers):
            raise Unavailable("gdb said: " + (done.stderr or done.stdout).strip()[-300:])
        with open(answers) as stream:
            return file_version(path), json.load(stream)


# ---- headers -----------------------------------------------------------------------------

# Internal headers that declare the structures of the field list; each is included when the
# version has it. The frame and interpreter headers changed names in 3.11 and 3.14.
HEADERS = """
internal/pycore_runtime.h internal/pycore_interp.h internal/pycore_pystate.h
internal/pycore_tstate.h internal/pycore_ceval.h internal/pycore_gil.h internal/pycore_gc.h
internal/pycore_frame.h internal/pycore_interpframe.h internal/pycore_interpframe_structs.h
internal/pycore_code.h internal/pycore_dict.h internal/pycore_genobject.h
internal/pycore_moduleobject.h internal/pycore_object.h internal/pycore_long.h
internal/pycore_debug_offsets.h internal/pycore_optimizer.h frameobject.h
""".split()


class Headers:
    """Unpacked libpython3.X-dev packages by suite; nothing is installed. With `root` given they
    are at root/SUITE/usr/include already. Use as a context: what was fetched is removed."""

    def __init__(self, root=None, offline=False):
        self.root, self.offline, self.folder = root, offline, None
        self.unpacked = {}

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="pyi-headers-")
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def include(self, suite, minor):
        """The include folder that holds python3.X."""
        if self.root:
            return os.path.join(self.root, suite, "usr/include")
        if self.offline:
            raise Unavailable("headers %s %s are not fetched (--offline)" % (suite, minor))
        if (suite, minor) not in self.unpacked:
            try:
                self.unpacked[suite, minor] = self.fetch(suite, minor)
            except Unavailable as error:
                self.unpacked[suite, minor] = error
        if isinstance(self.unpacked[suite, minor], Exception):
            raise self.unpacked[suite, minor]
        return self.unpacked[suite, minor]

    def fetch(self, suite, minor):
        if not shutil.which("apt-get") or not shutil.which("dpkg"):
            raise Unavailable("apt-get and dpkg are needed to fetch headers")
        state = os.path.join(self.folder.name, suite)
        commands = [["download", "libpython%s-dev" % minor]]
        if not os.path.isdir(state):
            source = mirror()
            for name in ("lists/partial", "cache/archives/partial"):
                os.makedirs(os.path.join(state, name))
            open(os.path.join(state, "status"), "w").close()
            with open(os.path.join(state, "sources.list"), "w") as stream:
                stream.write("deb [signed-by=%s] %s %s main\n" % (KEYRING, source, suite))
            commands.insert(0, ["update"])
        options = []
        for option in (
            "Dir::Etc::sourcelist=%s/sources.list" % state,
            "Dir::Etc::sourceparts=-",
            "Dir::State::lists=%s/lists" % state,
            "Dir::State::status=%s/status" % state,
            "Dir::Cache=%s/cache" % state,
            "Acquire::Check-Valid-Until=false",
            "Acquire::Languages=none",
            "APT::Sandbox::User=root",
            "Debug::NoLocking=1",
        ):
            options += ["-o", option]
        for command in commands:
            done = run(["apt-get", "-q"] + options + command, cwd=state)
            if done.returncode != 0:
                raise Unavailable("apt-get %s: %s" % (command[0], done.stderr.strip()[-300:]))
        debs = [name for name in os.listdir(state) if name.startswith("libpython%s-" % minor)]
        if not debs:
            raise Unavailable("suite %s has no libpython%s-dev" % (suite, minor))
        root = os.path.join(state, "root-" + minor)
        done = run(["dpkg", "-x", os.path.join(state, debs[0]), root])
        if done.returncode != 0:
            raise Unavailable("dpkg: " + done.stderr.strip()[-300:])
        return os.path.join(root, "usr/include")


def probe_text(include, questions):
    """C source that prints one line per question; one question per source line, so that the
    compiler's messages name those a version cannot answer."""
    lines = ["#include <Python.h>", "#include <stddef.h>", "#include <stdio.h>"]
    lines += ['#include "%s"' % name for name in HEADERS if os.path.exists(include + "/" + name)]
    lines.append("int main(void) {")
    lines.append('printf("version %s\\n", PY_VERSION);')
    at = {}
    for name, spelled, member in questions:
        what = "sizeof(%s)" % spelled
        if member is not None:
            what = "offsetof(%s, %s)" % (spelled, member)
        lines.append('printf("%s %%zu\\n", (size_t)(%s));' % (name, what))
        at[len(lines)] = (name, spelled, member)
    lines.append("return 0; }")
    return "\n".join(lines) + "\n", at


def measure_headers(usr_include, minor, free_threaded, fields):
    """Compiles and runs an offsetof printer against unpacked headers."""
    include = os.path.join(usr_include, "python" + minor)
    flags = ["-std=gnu11", "-w", "-fmax-errors=0", "-DPy_BUILD_CORE=1", "-I" + include,
             "-I" + os.path.join(include, "internal"), "-I" + usr_include]
    multiarch = os.path.join(usr_include, "x86_64-linux-gnu")
    flags += ["-isystem", multiarch, "-I" + os.path.join(multiarch, "python" + minor)]
    if free_threaded:
        flags.append("-DPy_GIL_DISABLED=1")
    questions = []
    for field in fields:
        for structure, member in spellings(field):
            for spelled in (structure, "struct " + structure):
                questions.append((field[0], spelled, member))
    with tempfile.TemporaryDirectory(prefix="pyi-layout-") as folder:
        source, binary = os.path.join(folder, "probe.c"), os.path.join(folder, "probe")
        for attempt in range(2):
            text, at = probe_text(include, questions)
            with open(source, "w") as stream:
                stream.write(text)
            done = run([COMPILER] + flags + ["-o", binary, source])
            if done.returncode == 0:
                break
            bad = {int(n) for n in re.findall(r"probe\.c:(\d+):\d+: error", done.stderr)}
            if attempt or not bad or not bad <= set(at):
                raise Unavailable("compiler: " + done.stderr.strip()[:600])
            questions = [at[line] for line in sorted(at) if line not in bad]
        else:
            raise Unavailable("the probe does not compile")
        answers, version = {field[0]: None for field in fields}, ""
        for line in run([binary], check=True).stdout.splitlines():
            name, value = line.split()
            if name == "version":
                version = value
            elif answers[name] is None:
                answers[name] = int(value)
        return version, answers


# ---- by name -----------------------------------------------------------------------------


def measure(source, free_threaded, fields, headers):
    """`source`: "dwarf VERSION" or "headers SUITE MINOR". Returns (label, version, offsets)."""
    kind, *arguments = source.split()
    if kind == "dwarf":
        version, offsets = measure_dwarf(pyenv_library(arguments[0]), fields)
        if version != arguments[0]:
            raise Unavailable("asked for %s, the file says %s" % (arguments[0], version))
        return "DWARF of CPython " + version, version, offsets
    if kind != "headers":
        raise ValueError("unknown kind of source: " + source)
    suite, minor = arguments
    version, offsets = measure_headers(headers.include(suite, minor), minor, free_threaded, fields)
    flag = ", Py_GIL_DISABLED" if free_threaded else ""
    return "headers of CPython %s (Debian %s)%s" % (version, suite, flag), version, offsets
