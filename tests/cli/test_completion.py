# SPDX-License-Identifier: BSD-3-Clause
"""Completion as a user sees it: each shell in a pseudo-terminal, keys typed, words read back."""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time

import pytest

from conftest import BINARY

STORED = "2023-11-14T22-13-20"


class Shell:
    """An interactive shell with the completion installed, told apart by its prompt."""
    PROMPT = "READY> "

    def __init__(self, name, tool):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
        self.name = name
        folder = tool.folder
        scripts = tool.write(f"functions/{'_pyinstrument' if name == 'zsh' else 'pyinstrument.' + name}",
                             tool.run("--completions", name).stdout)
        env = dict(tool.env, PATH=f"{os.path.dirname(BINARY)}:{tool.env['PATH']}", PS1=self.PROMPT,
                   TERM="dumb" if name != "fish" else "xterm", ZDOTDIR=str(folder), INPUTRC="/dev/null",
                   XDG_CONFIG_HOME=str(folder / "config"))
        if name == "bash":
            tool.write("rc", f"PS1='{self.PROMPT}'\nsource {scripts}\nbind 'set show-all-if-ambiguous on'\n"
                             "bind 'set completion-query-items 0'\nbind 'set page-completions off'\n"
                             "bind 'set enable-bracketed-paste off'\n")
            words = ["bash", "--noprofile", "--rcfile", str(folder / "rc"), "-i"]
        elif name == "zsh":
            tool.write(".zshrc", f"PS1='{self.PROMPT}'\nfpath=({folder}/functions $fpath)\n"
                                 "autoload -Uz compinit; compinit -u -D\nunsetopt zle_bracketed_paste 2>/dev/null\n"
                                 "LISTMAX=0\nsetopt auto_list\nzstyle ':completion:*' list-prompt ''\n")
            words = ["zsh", "-i"]
        else:
            tool.write("config/fish/config.fish", f"function fish_prompt; printf '{self.PROMPT}'; end\n"
                                                  "function fish_greeting; end\n"
                                                  f"source {scripts}\nset -g fish_autosuggestion_enabled 0\n")
            words = ["fish", "-i"]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 200, 0, 0))
            os.chdir(folder)
            os.execvpe(words[0], words, env)
        self.text = ""
        self.until(lambda: self.PROMPT in self.text)

    def read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
        return True

    def until(self, condition, seconds=15):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} shows only: {self.text!r}")
            self.read(0.2)

    def offers(self, typed, *wanted, without=()):
        """Types, presses Tab twice, and waits for the words; then clears the line."""
        self.text = ""
        os.write(self.fd, typed.encode() + b"\t")
        while self.read(0.6):
            pass
        if not all(word in self.shown() for word in wanted):
            os.write(self.fd, b"\t")
        self.until(lambda: all(word in self.shown() for word in wanted))
        for word in without:
            assert word not in self.shown().replace(typed, "", 1), self.shown()
        os.write(self.fd, b"\x15" if self.name != "fish" else b"\x03")
        self.text = ""
        while self.read(0.3):
            pass

    def shown(self):
        return re.sub(r"\x1b(\[[0-9;?>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()].|[=>78])", "", self.text)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion(tool, worker, name):
    tool.write("script_of_mine.py", "")
    tool.session("saved_by_me.pyisession")
    assert tool.run("--load", "saved_by_me.pyisession").returncode == 0
    shell = Shell(name, tool)
    try:
        shell.offers("pyinstrument --show", "--show-all", "--show-regex")
        shell.offers("pyinstrument -r s", "speedscope")
        shell.offers("pyinstrument --progress ", "always", "never", "auto")
        shell.offers("pyinstrument --pid ", str(worker.pid))
        shell.offers("pyinstrument --load-prev ", STORED)
        shell.offers("pyinstrument --load sav", "saved_by_me.pyisession")
        shell.offers("pyinstrument -p fla", "flat_time")
        shell.offers("pyinstrument -r pyisession -p ", "tree_format", without=["flat_time"])
        shell.offers("pyinstrument --color=a", "always", "auto")
        shell.offers("pyinstrument scr", "script_of_mine.py")
        shell.offers("pyinstrument -t script_of_mine.py sav", "saved_by_me.pyisession")
        if name != "zsh":
            # zsh puts the whole word "time=..." on the line
            shell.offers("pyinstrument -p time=p", "percent_of_total")
    finally:
        shell.close()
