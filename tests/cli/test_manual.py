# SPDX-License-Identifier: BSD-3-Clause
"""Manual, help and completions say what the option table says."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import BINARY, PYTHON, ROOT

PAGE = os.path.join(ROOT, "src/cli/pyinstrument.1")
BEGIN = '.\\" BEGIN OPTIONS: made by pyinstrument --print-man-options\n'
END = '.\\" END OPTIONS\n'


def page():
    with open(PAGE) as file:
        return file.read()


def option_names(tool):
    return set(re.findall(r"--([a-z][a-z-]+)", tool.run("--help-all").stdout.split("\n\n", 1)[1]))


def test_options_of_the_manual_are_the_tables(tool):
    text = page()
    section = text[text.index(BEGIN) + len(BEGIN):text.index(END)]
    assert section == tool.run("--print-man-options").stdout


def test_every_format_is_named(tool):
    formats = tool.run("-r", "?", "--load", "x").stderr.split("there are: ")[1].strip().split(", ")
    assert len(formats) >= 11
    words = " ".join(tool.run("--help").stdout.split())
    assert f"format: {', '.join(formats)}" in words
    section = re.search(r"^\.Sh RENDERERS$(.*?)^\.Sh ", page(), re.M | re.S).group(1)
    assert set(formats) <= set(re.findall(r"^\.It Cm (\w+)$", section, re.M))


def test_every_cause_is_in_the_manual():
    with open(os.path.join(ROOT, "src/cli/errors.c")) as file:
        slugs = set(re.findall(r'\.slug = "([a-z0-9-]+)"', file.read()))
    text = page()
    section = text[text.index(".Sh DIAGNOSTICS"):text.index(".Sh SEE ALSO")]
    named = set(re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"^\.It Cm (.*)$", section, re.M))))
    assert slugs == named


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_the_manual_is_clean():
    done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", PAGE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def examples():
    text = page()
    section = text[text.index(".Sh EXAMPLES"):]
    section = section[:section.index("\n.Sh", 5)]
    return [line[4:].replace("\\(dq", '"') for line in section.split("\n") if line.startswith(".Dl ")]


def test_examples_run(tool, worker):
    tool.write("app.py", "sum(i * i for i in range(2000000))")
    tool.write("data.json", "[1, 2]")
    folder = os.path.dirname(BINARY)
    assert len(examples()) >= 6
    for command in examples():
        env = dict(tool.env, PATH=f"{folder}:{tool.env['PATH']}")
        done = subprocess.run(["sh", "-c", command.replace("1234", str(worker.pid))],
                              cwd=tool.folder, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"


# ---- completions -------------------------------------------------------------------------------

def complete_bash(tool, *words):
    """What bash would offer for the last word."""
    tool.write("c.bash", tool.run("--completions", "bash").stdout)
    quoted = " ".join(f"'{w}'" for w in words)
    script = f"""
        source ./c.bash
        compopt() {{ :; }}
        COMP_WORDS=({quoted}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _pyinstrument '{BINARY}' "${{COMP_WORDS[COMP_CWORD]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], cwd=tool.folder, env=tool.env,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return set(done.stdout.split())


def test_bash_offers_every_option(tool):
    offered = complete_bash(tool, "pyinstrument", "--")
    assert {f"--{name}" for name in option_names(tool)} == offered


def test_bash_offers_values(tool, worker):
    tool.write("script.py", "")
    assert {"text", "json"} <= complete_bash(tool, "pyinstrument", "-r", "")
    assert complete_bash(tool, "pyinstrument", "--progress", "=", "al") == {"always"}
    assert str(worker.pid) in complete_bash(tool, "pyinstrument", "--pid", "")
    assert "script.py" in complete_bash(tool, "pyinstrument", "scr")
    tool.run("--load", tool.session())
    assert complete_bash(tool, "pyinstrument", "--load-prev", "") == {"2023-11-14T22-13-20"}
    # Behind the script everything is the program's.
    assert "script.py" in complete_bash(tool, "pyinstrument", "x.py", "-r", "")
    assert "script.py" in complete_bash(tool, "pyinstrument", "-t", "-m", "x", "-r", "")


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]),
                                          ("fish", ["fish", "--no-execute"])])
def test_scripts_parse(tool, shell, check):
    done = tool.run("--completions", shell)
    assert done.returncode == 0 and done.stdout
    for name in option_names(tool):
        assert name in done.stdout
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    path = tool.write(f"completion.{shell}", done.stdout)
    parsed = subprocess.run([*check, str(path)], capture_output=True, text=True)
    assert parsed.returncode == 0 and parsed.stderr == "", parsed.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_offers(tool):
    tool.write("c.fish", tool.run("--completions", "fish").stdout)
    env = dict(tool.env, PATH=f"{os.path.dirname(BINARY)}:{tool.env['PATH']}")
    done = subprocess.run(["fish", "--no-config", "-c",
                           "source c.fish; complete -C 'pyinstrument --thre'; complete -C 'pyinstrument -r '"],
                          cwd=tool.folder, env=env, capture_output=True, text=True, timeout=30)
    assert "--thread" in done.stdout and "speedscope" in done.stdout, done.stderr
