# SPDX-License-Identifier: BSD-3-Clause
"""How a Python can be built into a process. Each shape starts fixtures/targets/shape.py in it.

A shape is a function of an interpreter and a scratch folder; it gives a started lab.Target, or
skips with the reason why that shape cannot be had here. Programs are compiled once per build.
"""

import fcntl
import functools
import glob
import os
import shutil
import subprocess
import tempfile
import zipfile

import lab
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("shape.py", "truth.py")
MADE = os.path.join(lab.BUILD, "tests", "lab")


class Folder:
    """Files a target needs, where its interpreter sees them; removed with the target."""

    def __init__(self, interpreter, files=FILES):
        paths = [os.path.join(lab.TARGETS, name) for name in files]
        self.here, self.inside = lab.place(interpreter, paths)

    def start(self, command, **options):
        return lab.Target(command, folder=self.here, **options)


def plain(interpreter, scratch):
    return lab.start(interpreter, "shape.py", files=("truth.py",))


def copied(interpreter, scratch):
    """The executable and, when it has one, its library, as copies: (folder, executable)."""
    folder = Folder(interpreter)
    root = interpreter.root
    source = os.path.realpath(root + interpreter.executable)
    copy = os.path.join(folder.here, os.path.basename(source))
    shutil.copy(source, copy)
    for library in glob.glob(os.path.join(os.path.dirname(source), "../lib/libpython?.*.so.*")):
        shutil.copy(library, folder.here)
    return folder, copy


NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps", "-all")


def start_copy(interpreter, folder, copy, become=()):
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(interpreter.root + interpreter.executable)))
    env = {"LD_LIBRARY_PATH": folder.inside,
           "PYTHONHOME": prefix[len(interpreter.root):] or "/"}
    inside = os.path.join(folder.inside, os.path.basename(copy))
    if become and interpreter.root:
        start = ["chroot", "--userspec=65534:65534", "--groups=", interpreter.root]
    else:
        start = [*become, *interpreter.command[:-1]]
    return folder.start([*start, inside, os.path.join(folder.inside, "shape.py")], env=env)


def deleted(interpreter, scratch):
    """Removed while it runs, as a package manager does."""
    folder, copy = copied(interpreter, scratch)
    target = start_copy(interpreter, folder, copy)
    target.first = target.line()
    os.unlink(copy)
    for library in glob.glob(os.path.join(folder.here, "libpython*")):
        os.unlink(library)
    return target


def replaced(interpreter, scratch):
    """Another program has taken the names: nothing may be read from those files."""
    target = deleted(interpreter, scratch)
    names = [os.path.basename(os.path.realpath(interpreter.root + interpreter.executable))]
    other = lab.by_version("3.14") if interpreter.version != (3, 14) else lab.by_version("3.13")
    source = os.path.realpath((other.root if other else "") + (other.executable if other else "/bin/true"))
    for name in names:
        shutil.copy(source, os.path.join(target.folder, name))
    return target


def zipped(interpreter, scratch):
    """A zipapp: what is executed has no file of its own."""
    folder = Folder(interpreter, ())
    archive = os.path.join(folder.here, "app.pyz")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(os.path.join(lab.TARGETS, "shape.py"), "__main__.py")
        file.write(os.path.join(lab.TARGETS, "truth.py"), "truth.py")
    return folder.start([*interpreter.command, os.path.join(folder.inside, "app.pyz")])


def through_loader(interpreter, scratch):
    """The dynamic loader is the executable; without chroot also in a root of its own."""
    loader = interpreter.root + "/lib64/ld-linux-x86-64.so.2"
    folder = Folder(lab.any_one())
    libraries = []
    if interpreter.root:
        root = interpreter.root
        loader = os.path.join(root, "usr/lib64/ld-linux-x86-64.so.2")
        if not os.path.exists(loader):
            loader = os.path.join(root, "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
        if not os.path.exists(loader):
            loader = glob.glob(root + "/lib/x86_64-linux-gnu/ld-*.so*")[0]
        libraries = ["--library-path", ":".join([root + "/usr/lib/x86_64-linux-gnu", root + "/lib/x86_64-linux-gnu"])]
    executable = interpreter.root + interpreter.executable
    home = {}
    if interpreter.root:
        home = {"PYTHONHOME": interpreter.root + "/usr"}
    return folder.start([loader, *libraries, executable, os.path.join(folder.inside, "shape.py")], env=home)


# ---- programs that hold a Python ----


def needs(path, package):
    if not os.path.exists(path):
        pytest.skip("%s is absent (package %s)" % (path, package))
    return path


def config(name):
    folder = glob.glob("/usr/lib/python3.11/config-3.11-*-linux-gnu")
    return needs(os.path.join(folder[0] if folder else "/usr/lib/python3.11", name), "libpython3.11-dev")


def made(name, make):
    """build/tests/lab/NAME, by make(path), once, however many tests want it at a time."""
    os.makedirs(MADE, exist_ok=True)
    path = os.path.join(MADE, name)
    with open(os.path.join(MADE, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(os.path.getmtime(p) for p in [*glob.glob(HERE + "/programs/*"), __file__,
                                                   *(os.path.join(lab.TARGETS, f) for f in FILES)])
        if not os.path.exists(path) or os.path.getmtime(path) < newest:
            part = path + ".part"
            make(part)
            if os.path.isdir(path):
                shutil.rmtree(path)
            os.utime(part)
            os.replace(part, path)
    return path


def run(*command, cwd=None):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, cwd=cwd)
    assert done.returncode == 0, "%s\n%s" % (command, done.stdout.decode("utf-8", "replace")[-3000:])


INCLUDES = ["-I/usr/include/python3.11"]
STATIC = ["-lm", "-lz", "-lexpat", "-ldl", "-lpthread", "-lutil"]


def compiled(name, *options, libraries=(), strip=()):
    needs("/usr/include/python3.11/Python.h", "libpython3.11-dev")

    def make(path):
        run("gcc", "-O1", "-w", *INCLUDES, *options, "-o", path, os.path.join(HERE, "programs", "embed.c"), *libraries)
        if strip:
            run("strip", *strip, path)

    return made(name, make)


def embedded(interpreter, scratch, program):
    folder = Folder(interpreter)
    return folder.start([program, os.path.join(folder.inside, "shape.py")])


def embed_shared(interpreter, scratch):
    return embedded(interpreter, scratch, compiled("host-shared", libraries=["-lpython3.11"]))


def embed_archive(interpreter, scratch):
    return embedded(interpreter, scratch, compiled(
        "host-archive", "-no-pie", "-Wl,-export-dynamic", libraries=[config("libpython3.11.a"), *STATIC]))


def section_only(interpreter, scratch):
    """No symbol is left: only the section's name tells."""
    return embedded(interpreter, scratch, compiled(
        "host-section", "-no-pie", libraries=[config("libpython3.11.a"), *STATIC], strip=["-s"]))


def section_only_pie(interpreter, scratch):
    return embedded(interpreter, scratch, compiled(
        "host-section-pie", "-pie", libraries=[config("libpython3.11-pic.a"), *STATIC], strip=["-s"]))


def fully_static(interpreter, scratch):
    return embedded(interpreter, scratch, compiled(
        "host-static", "-static", "-no-pie", libraries=[config("libpython3.11.a"), *STATIC]))


def static_stripped_program():
    return compiled("host-static-stripped", "-static", "-no-pie",
                    libraries=[config("libpython3.11.a"), *STATIC], strip=["-s"])


def fully_static_stripped(interpreter, scratch):
    return embedded(interpreter, scratch, static_stripped_program())


def static_pie(interpreter, scratch):
    return embedded(interpreter, scratch, compiled(
        "host-static-pie", "-static-pie", libraries=[config("libpython3.11-pic.a"), *STATIC]))


def cython(interpreter, scratch):
    """The program's own main is C; what it imports is Python."""
    if not shutil.which("cython3"):
        pytest.skip("cython3 is not installed")
    needs("/usr/include/python3.11/Python.h", "libpython3.11-dev")

    def make(path):
        source = os.path.join(MADE, "host_cython.pyx")
        with open(source, "w") as file:
            file.write("import runpy, sys\nrunpy.run_path(sys.argv[1], run_name='__main__')\n")
        run("cython3", "-3", "--embed", source, "-o", path + ".c")
        run("gcc", "-O1", "-w", *INCLUDES, "-o", path, path + ".c", "-lpython3.11")
        os.unlink(source)
        os.unlink(path + ".c")

    return embedded(interpreter, scratch, made("host-cython", make))


# ---- several in one process ----


def several(interpreter, scratch, *before):
    program = made("several", lambda path: run("gcc", "-O1", "-o", path, HERE + "/programs/several.c", "-ldl"))
    folder = Folder(interpreter)
    return folder.start([program, *before, "--", library_311(), os.path.join(folder.inside, "shape.py")])


def library_311():
    return needs("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "libpython3.11")


def pyenv_library(version):
    found = [i for i in lab.every_interpreter() if i.name.startswith("pyenv") and i.version == version]
    paths = [p for i in found for p in
             glob.glob(os.path.join(os.path.dirname(i.executable), "../lib/libpython?.*.so.1.0"))]
    if not paths:
        pytest.skip("no libpython %d.%d besides Debian's" % version)
    return os.path.realpath(paths[0])


def several_one_unused(interpreter, scratch):
    """A second library is mapped, but nobody started it."""
    return several(interpreter, scratch, pyenv_library((3, 8)))


def several_both_live(interpreter, scratch):
    """The other one was started as well, and has a thread without a frame."""
    return several(interpreter, scratch, "-" + pyenv_library((3, 12)))


LATE = """
import ctypes, runpy, sys
program = ctypes.CDLL(None)
program.dlmopen.restype = program.dlsym.restype = ctypes.c_void_p
other = program.dlmopen(ctypes.c_long(-1), sys.argv[1].encode(), 2)
ctypes.CFUNCTYPE(None, ctypes.c_int)(program.dlsym(ctypes.c_void_p(other), b"Py_InitializeEx"))(0)
def run():
    # One line: the frames of this file are the same to both who look.
    runpy.run_path(sys.argv[2], run_name="__main__")
run()
"""


def several_in_program(interpreter, scratch):
    """A static Python that has loaded a library with another one, and started that too."""
    folder = Folder(interpreter)
    with open(folder.here + "/late.py", "w") as file:
        file.write(LATE)
    return folder.start([interpreter.executable, folder.inside + "/late.py", pyenv_library((3, 12)),
                         folder.inside + "/shape.py"])


def several_newer_unused(interpreter, scratch):
    return several(interpreter, scratch, pyenv_library((3, 13)))


# ---- shapes that are refused, and why ----


def headerless(interpreter, scratch):
    """Neither a symbol nor a section header is left, and 3.11 has no cookie either."""
    source = static_stripped_program()

    def make(path):
        shutil.copy(source, path)
        with open(path, "r+b") as file:
            header = bytearray(file.read(64))
            header[40:48] = bytes(8)  # e_shoff
            header[58:64] = bytes(6)  # e_shentsize, e_shnum, e_shstrndx
            file.seek(0)
            file.write(header)

    return embedded(interpreter, scratch, made("host-headerless", make))


def mapped(interpreter, scratch):
    """As in the first process of a web server: the library is there, nobody started it."""
    program = made("mapped", lambda path: run("gcc", "-O1", "-o", path, HERE + "/programs/mapped.c", "-ldl"))
    return lab.Target([program, library_311()])


# ---- frozen programs ----


def frozen_program(kind):
    """build/tests/lab/frozen-KIND/: shape.py made into a program of its own by PyInstaller."""
    root = os.path.join(lab.LAB, "frozen")
    if not os.path.isdir(root):
        pytest.skip("no root with PyInstaller (scripts/lab ensure frozen)")

    def make(path):
        with tempfile.TemporaryDirectory(prefix="pyi-frozen-", dir=os.path.join(root, "tmp")) as work:
            inside = work[len(root):]
            for name in FILES:
                shutil.copy(os.path.join(lab.TARGETS, name), work)
            # In namespaces of its own: it wants /proc, and nothing may stay mounted.
            script = ('mount -t proc proc "$1/proc" && mount -t tmpfs none "$1/dev" && '
                      'mknod -m 666 "$1/dev/null" c 1 3 && cd / && exec chroot "$1" /bin/sh -c "$2"')
            build = ("cd %s && HOME=%s python3 -m PyInstaller --log-level ERROR --%s "
                     "--name frozen shape.py </dev/null" % (inside, inside, kind))
            run("unshare", "-m", "-p", "--fork", "sh", "-c", script, "sh", root, build)
            made_there = os.path.join(work, "dist", "frozen")
            if kind == "onedir":
                shutil.copytree(made_there, path, symlinks=True)
            else:
                os.makedirs(path)
                shutil.copy(made_there, path)

    return os.path.join(made("frozen-" + kind, make), "frozen")


def start_frozen(kind):
    """Runs in the root it was made for: it needs that C library."""
    program = frozen_program(kind)
    root = os.path.join(lab.LAB, "frozen")
    folder = tempfile.mkdtemp(prefix="pyi-target-", dir=os.path.join(root, "tmp"))
    copy = os.path.join(folder, "frozen")
    shutil.copytree(os.path.dirname(program), copy, symlinks=True)
    return lab.Target(["chroot", root, os.path.join(copy[len(root):], "frozen")], folder=folder)


def one_file(interpreter, scratch):
    """Two processes: the first one unpacks and has no Python in it."""
    return start_frozen("onefile")


def one_folder(interpreter, scratch):
    return start_frozen("onedir")


@functools.lru_cache(maxsize=None)
def everywhere():
    """Shapes that any interpreter can take."""
    return {"plain": plain, "deleted": deleted, "replaced": replaced, "zipapp": zipped,
            "through ld.so": through_loader}


@functools.lru_cache(maxsize=None)
def special():
    """Shapes made of Debian's 3.11 and its archives."""
    return {"shared embedded": embed_shared, "archive embedded": embed_archive,
            ".PyRuntime only": section_only, ".PyRuntime PIE": section_only_pie,
            "fully static": fully_static, "static stripped": fully_static_stripped,
            "static-PIE": static_pie, "Cython --embed": cython,
            "two, one unused": several_one_unused, "two, newer unused": several_newer_unused,
            "two, both live": several_both_live, "static and live": several_in_program}
