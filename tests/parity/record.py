# SPDX-License-Identifier: BSD-3-Clause
"""Records fixtures/sessions/upstream with real pyinstrument 5.1.3.

usage: record.py [FOLDER]      default: fixtures/sessions/upstream

Programs of fixtures/programs under one interpreter each; upstream's C part exists for the newest
Pythons only, older ones use its own Python version of that part. Paths of this machine are
replaced by neutral ones of the same meaning, so the files can be looked at anywhere.
"""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
import lab  # noqa: E402
import upstream  # noqa: E402

PROGRAMS = os.path.join(lab.ROOT, "fixtures", "programs")
LIMIT = 100_000
MODULE_INPUT = '[%s {"a": [1, 2.5, "x"]}]' % ('{"k": [1, 2, {"z": null}], "t": "text"}, ' * 9000)
CODE = """
import time
def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pow(3, 10 ** 4)
class Job:
    def run(self):
        spin(0.2)
for _ in range(2):
    Job().run()
time.sleep(0.05)
"""

# name, Python, arguments after pyinstrument's own
RECORDINGS = [
    ("documents-3.8", "3.8", ["documents.py"]),
    ("log-scan-3.9", "3.9", ["log_scan.py"]),
    ("orders-3.10", "3.10", ["orders_db.py"]),
    ("queens-3.11", "3.11", ["queens.py"]),
    ("crawl-3.12", "3.12", ["crawl.py"]),
    ("pool-3.13", "3.13", ["pool.py"]),
    ("shapes-3.14", "3.14", ["shapes.py"]),
    ("templates-3.15", "3.15", ["templates.py"]),
    ("feeds-3.12", "3.12", ["feeds.py"]),
    ("imports-3.11", "3.11", ["imports.py"]),
    ("words-3.14", "3.14", ["words.py"]),
    ("module-3.13", "3.13", ["-m", "json.tool", "{input}", "{null}"]),
    ("code-3.14", "3.14", ["-c", CODE]),
    ("log-scan-module-3.14", "3.14", ["-m", "log_scan"]),
    ("queens-3.8", "3.8", ["queens.py"]),
]


# In place of the compiled module, for the Pythons it was not compiled for.
STAND_IN = r"""
from pyinstrument.low_level import stat_profile_python as plain


def get_frame_info(frame):
    # The rule of the compiled module: the first local variable decides, by its plain type name.
    code = frame.f_code
    info = "%s\x00%s\x00%d" % (code.co_name, code.co_filename, code.co_firstlineno)
    first = code.co_varnames[0] if code.co_varnames else ""
    if first in ("self", "cls") and first in frame.f_locals:
        value = frame.f_locals[first]
        kind = type(value) if first == "self" else value
        if isinstance(kind, type):
            info += "\x01c" + kind.__name__
    if frame.f_lineno:
        info += "\x01l%d" % frame.f_lineno
    if "__tracebackhide__" in code.co_varnames:
        info += "\x01h1"
    return info


def setstatprofile(target, interval=0.001, context_var=None, timer_type=None, timer_func=None):
    kind = timer_type if timer_type in ("walltime_thread", "timer_func") else "walltime"
    plain.setstatprofile(target, interval, context_var, kind, timer_func)


def measure_timing_overhead():
    return {"walltime": 1e-7}


def walltime_coarse_resolution():
    return None
"""


def package(folder):
    """A copy of upstream's package that older interpreters can import too."""
    source = os.path.join(upstream.ROOT_FOLDER, "usr/lib/python3/dist-packages/pyinstrument")
    shutil.copytree(source, os.path.join(folder, "pyinstrument"))
    low = os.path.join(folder, "pyinstrument", "low_level")
    with open(os.path.join(low, "stat_profile.py"), "w") as file:
        file.write(STAND_IN)


def neutral(data, interpreter, inside):
    """Folders of this machine out, neutral names of equal meaning in."""
    version = "%d.%d" % interpreter.version
    data = data.replace(inside + "/lib", "/usr/lib/python3/dist-packages")
    data = data.replace(inside, "/srv/app")
    marker = "/bin/python"
    if interpreter.executable.endswith(marker):
        prefix = interpreter.executable[: -len(marker)]
        data = data.replace(prefix, "/opt/python%s" % version)
    return data


def record(name, version, arguments, folder):
    interpreter = lab.by_version(version)
    if interpreter is None:
        print("%s: no Python %s here" % (name, version))
        return
    place, inside = lab.place(interpreter, [])
    try:
        package(os.path.join(place, "lib"))
        for file in os.listdir(PROGRAMS):
            if file.endswith(".py"):
                shutil.copy(os.path.join(PROGRAMS, file), place)
        with open(os.path.join(place, "input.json"), "w") as file:
            file.write(MODULE_INPUT)
        fills = {"{input}": inside + "/input.json", "{null}": inside + "/output.json"}
        arguments = [fills.get(argument, argument) for argument in arguments]
        out = inside + "/out.pyisession"
        env = {"PYTHONPATH": inside + "/lib", "PYINSTRUMENT_IGNORE_OVERHEAD_WARNING": "1",
               "LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC0",
               "PYTHONDONTWRITEBYTECODE": "1"}
        # chroot puts the working directory at its root; a plain interpreter starts where we say.
        start = "import os, sys; os.chdir(%r); sys.argv[0] = %r; sys.path[0] = %r\n" % (
            inside, inside + "/lib/pyinstrument/__main__.py", inside)
        start += "from pyinstrument.__main__ import main\nmain()"
        for interval in (0.004, 0.01, 0.03):
            subprocess.run(
                [*interpreter.command, "-c", start, "-i", str(interval), "-o", out, *arguments],
                env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=120)
            with open(interpreter.root + out) as file:
                data = neutral(file.read(), interpreter, inside)
            if len(data) <= LIMIT:
                break
        with open(os.path.join(folder, name + ".pyisession"), "w") as file:
            file.write(data)
        print("%s: %d bytes at %s s" % (name, len(data), interval))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def main():
    upstream.ensure()
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(lab.ROOT, "fixtures/sessions/upstream")
    os.makedirs(folder, exist_ok=True)
    for name, version, arguments in RECORDINGS:
        record(name, version, arguments, folder)


if __name__ == "__main__":
    main()
