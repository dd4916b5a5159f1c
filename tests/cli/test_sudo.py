# SPDX-License-Identifier: BSD-3-Clause
"""Under sudo, what we write belongs to the user who asked, and is found again without sudo."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import BINARY

USER = 4242
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"),
                                reason="needs root, unshare and setpriv")


@pytest.fixture
def sudo(tool):
    """Runs the binary as sudo would for a user whose home is in the test's folder."""
    os.chmod(tool.folder, 0o755)
    for parent in list(tool.folder.parents)[:3]:
        os.chmod(parent, os.stat(parent).st_mode | 0o011)
    home = tool.folder / "home"
    home.mkdir()
    os.chown(home, USER, USER)
    with open("/etc/passwd") as file:
        passwd = file.read()
    tool.write("passwd", passwd + f"dev:x:{USER}:{USER}::{home}:/bin/sh\n")
    tool.home = home

    def run(*arguments, as_user=False, cwd=home):
        env = {"PATH": os.environ["PATH"], "HOME": str(home) if as_user else "/root", "LANG": "C.UTF-8", "TZ": "UTC"}
        if not as_user:
            env.update(SUDO_UID=str(USER), SUDO_GID=str(USER), SUDO_USER="dev")
        script = 'mount --bind "$1" /etc/passwd || exit 99; shift; exec "$@"'
        become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"] if as_user else []
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", tool.folder / "passwd", *become, BINARY,
                               *map(str, arguments)], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        if done.returncode == 99:
            pytest.skip("nothing can be mounted here")
        return done

    tool.sudo = run
    return tool


def owner(path):
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def test_reports_and_store_are_the_users(sudo):
    session = sudo.session()
    os.chmod(session, 0o644)
    done = sudo.sudo("--load", session)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    identifier = re.search(r"--load-prev (\S+)", done.stdout).group(1)
    stored = sudo.home / ".local/share/pyinstrument/reports" / f"{identifier}.pyisession"
    for path in (stored, stored.parent, sudo.home / ".local"):
        assert owner(path) == (USER, USER)
    again = sudo.sudo("--load-prev", identifier, as_user=True)
    assert again.returncode == 0 and again.stdout == done.stdout, again.stderr
    assert sudo.sudo("--load", session, "-o", "report.json").returncode == 0
    assert owner(sudo.home / "report.json") == (USER, USER)
    assert [p.name for p in sudo.home.iterdir() if p.name.startswith(".pyinstrument")] == []


def test_where_only_root_may_write(sudo):
    session = sudo.session()
    closed = sudo.folder / "closed"
    closed.mkdir(mode=0o700)
    assert sudo.sudo("--load", session, "-o", closed / "report.json").returncode == 0
    assert owner(closed / "report.json") == (USER, USER)
    # What was there keeps its owner.
    kept = closed / "kept.json"
    kept.write_text("old")
    assert sudo.sudo("--load", session, "-o", kept).returncode == 0
    assert owner(kept) == (0, 0) and kept.read_text() != "old"


@pytest.mark.parametrize("names", [{"SUDO_UID": "x"}, {"SUDO_UID": "0"}, {"SUDO_UID": "-1"}, {"SUDO_UID": "4242"}])
def test_incomplete_words_of_sudo_change_nothing(tool, names):
    done = tool.run("--load", tool.session(), "-o", "report.json", env={"SUDO_GID": "", **names})
    assert done.returncode == 0
    assert owner(tool.folder / "report.json") == (os.geteuid(), os.getegid())
