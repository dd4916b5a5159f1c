# SPDX-License-Identifier: BSD-3-Clause
"""The page in Firefox, which Debian has but playwright does not know: opened from a file, with its policy, and asked
through Marionette, its own protocol. Only of the full tier."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time

import lab
import pyi
import pytest

FIREFOX = shutil.which("firefox-esr")
SESSION = os.path.join(lab.ROOT, "fixtures/sessions/upstream/queens-3.11.pyisession")
HOSTILE = ["</script><script>globalThis.hurt=1</script>", "<img src=x onerror='globalThis.hurt=1'>", "<!--<script>"]


class Marionette:
    def __init__(self, folder, process):
        self.buffer, self.count = b"", 0
        end = time.monotonic() + 60
        port = None
        while port is None:
            assert process.poll() is None and time.monotonic() < end, "Firefox does not start"
            with contextlib.suppress(OSError, ValueError):
                port = int((folder / "MarionetteActivePort").read_text())
            time.sleep(0.05)
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.receive()
        self.send("WebDriver:NewSession", capabilities={})

    def receive(self):
        while not re.match(rb"\d+:", self.buffer):
            self.more()
        length, _, self.buffer = self.buffer.partition(b":")
        while len(self.buffer) < int(length):
            self.more()
        text, self.buffer = self.buffer[:int(length)], self.buffer[int(length):]
        return json.loads(text)

    def more(self):
        data = self.socket.recv(1 << 16)
        assert data, "Firefox has gone"
        self.buffer += data

    def send(self, name, **arguments):
        self.count += 1
        text = json.dumps([0, self.count, name, arguments]).encode()
        self.socket.sendall(b"%d:%s" % (len(text), text))
        answer = self.receive()
        assert answer[2] is None, answer[2]
        return answer[3]

    def open(self, path):
        self.send("WebDriver:Navigate", url="file://%s" % path)

    def ask(self, script):
        return self.send("WebDriver:ExecuteScript", script="return " + script, args=[])["value"]

    def until(self, script):
        end = time.monotonic() + 30
        while not self.ask(script):
            assert time.monotonic() < end, "never: " + script
            time.sleep(0.05)

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.send("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])


@pytest.fixture
def firefox(tmp_path):
    if os.environ.get("PYI_TIER", "full") != "full":
        pytest.skip("Firefox is of the full tier")
    if not FIREFOX:
        pytest.skip("firefox-esr is not installed")
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "user.js").write_text('user_pref("marionette.port", 0);\nuser_pref("app.update.enabled", false);\n')
    process = subprocess.Popen([FIREFOX, "--headless", "--no-remote", "--profile", folder, "--marionette"],
                               env=dict(os.environ, HOME=str(folder)), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield Marionette(folder, process)
    finally:
        process.kill()
        process.wait()


def write(path, session):
    done = pyi.run("--load", session, "-r", "html", home=path)
    assert done.status == 0, done
    page = path / "page.html"
    page.write_bytes(done.out)
    return page


def test_opens_moves_and_finds(firefox, tmp_path):
    firefox.open(write(tmp_path, SESSION))
    firefox.until("document.querySelectorAll('[role=treeitem]').length > 3")
    assert firefox.ask("document.querySelectorAll('[role=alert]').length") == 0
    assert re.match(r"\d+\.\d+s - .* - pyinstrument$", firefox.ask("document.title"))
    assert firefox.ask("document.querySelector('#static').hidden") is True
    assert firefox.ask("getComputedStyle(document.querySelector('header')).backgroundColor") != "rgba(0, 0, 0, 0)"
    for key in "2345":
        firefox.press(key)
        firefox.until("document.querySelector('[role=tab][aria-selected=true] kbd').textContent === '%s'" % key)
    firefox.press("1")
    firefox.until("document.querySelector('[role=treeitem]') !== null")
    firefox.press("/")
    firefox.press(*"queens")
    firefox.until("/\\d functions?,[^]*nodes?/.test(document.querySelector('.search').innerText)")
    # Nothing else gets in: the policy holds.
    firefox.ask("void document.body.append(Object.assign(document.createElement('script'), "
                "{textContent: 'document.title = \"hurt\"'}))")
    assert firefox.ask("document.title") != "hurt"


@pytest.mark.parametrize("escaped", [True, False])
def test_hostile_names(firefox, tmp_path, escaped):
    with open(os.path.join(lab.ROOT, "fixtures/sessions/one.pyisession"), encoding="utf-8") as file:
        session = json.load(file)
    stack = ["%s\0%s\0%d\x01l1" % (name, name, i) for i, name in enumerate(HOSTILE)]
    session.update(frame_records=[[stack, 0.5]], start_call_stack=[], sample_count=1)
    (tmp_path / "hostile.pyisession").write_text(json.dumps(session))
    page = write(tmp_path, tmp_path / "hostile.pyisession")
    if not escaped:  # then only the policy stands between them and the reader
        page.write_bytes(page.read_bytes().replace(b"\\u003c", b"<").replace(b"\\u003e", b">"))
        assert HOSTILE[0].encode() in page.read_bytes()
    firefox.open(page)
    if escaped:
        firefox.until("document.querySelectorAll('[role=treeitem]').length > 0")
    assert firefox.ask("document.readyState") == "complete"
    assert firefox.ask("window.hurt === undefined") is True
