# SPDX-License-Identifier: BSD-3-Clause
"""Sessions for the comparison: hand-made edge cases, and random ones from a seed.

usage: generate.py FOLDER [COUNT]     writes them as files, with COUNT random ones

Everything is deterministic, on every Python: the random ones only use Random.random().
"""

import json
import os
import random
import sys

PREFIXES = ["/usr", "/usr", "/usr", "/usr"]
SYS_PATH = ["/srv/app", "/usr/lib/python314.zip", "/usr/lib/python3.14",
            "/usr/lib/python3.14/lib-dynload", "/usr/lib/python3/dist-packages"]
THREAD = "MainThread\x00<thread>\x00139846320752448"
APP = "/srv/app/"
LIBRARY = "/usr/lib/python3/dist-packages/"
STDLIB = "/usr/lib/python3.14/"


def frame(function, path=APP + "main.py", line=1, at=None, cls=None, hide=False):
    info = "%s\x00%s\x00%s" % (function, path, line)
    if cls is not None:
        info += "\x01c" + cls
    if at is not None:
        info += "\x01l%d" % at
    if hide:
        info += "\x01h1"
    return info


MODULE = frame("<module>", at=50)
BASE = [THREAD, MODULE]
START = [THREAD, "<module>\x00/srv/app/main.py\x001"]


def session(records, **changes):
    total = sum(time for _, time in records if isinstance(time, (int, float)))
    made = {
        "start_time": 1700000000.25,
        "duration": total + 0.0005,
        "min_interval": 0.001,
        "max_interval": 0.001,
        "sample_count": len(records),
        "start_call_stack": START,
        "target_description": "Program: main.py",
        "cpu_time": 0.125,
        "sys_path": SYS_PATH,
        "sys_prefixes": PREFIXES,
        "frame_records": [[stack, time] for stack, time in records],
    }
    made.update(changes)
    return made


def under(*frames):
    return BASE + list(frames)


def f(name, **more):
    more.setdefault("line", 10)
    return frame(name, **more)


def lib(name, package="requests", file="api.py", **more):
    more.setdefault("line", 20)
    return frame(name, path="%s%s/%s" % (LIBRARY, package, file), **more)


def builtin(name):
    return frame(name, path="<built-in>", line=0)


def launched(frames):
    """The stack of upstream's own command line."""
    return [
        THREAD,
        frame("<module>", "/usr/bin/pyinstrument", 1, at=8),
        frame("main", LIBRARY + "pyinstrument/__main__.py", 30, at=380),
        frame("<module>", "<string>", 1, at=1),
        frame("run_path", "<frozen runpy>", 257, at=280),
        frame("_run_module_code", "<frozen runpy>", 91, at=98),
        frame("_run_code", "<frozen runpy>", 65, at=88),
        *frames,
    ]


LAUNCH_START = [info.split("\x01")[0] for info in launched([])[:3]]


def worked_example():
    a, b, c = f("a", line=10), f("b", line=20), f("c", line=30)
    x, y = f("x", line=5), f("y", line=6)
    stacks = [[a], [b], [c], [b], [a], [c], [], [], [a, x], [a, y], [a, x], [a, y]]
    return session([(under(*stack), 0.1) for stack in stacks])


def group_example():
    get, request = lib("get", line=10), lib("request", file="sessions.py", line=30)
    send = lib("send", "urllib3", "connectionpool.py", line=40)
    recv = frame("recv", STDLIB + "ssl.py", 50, cls="SSLSocket")
    hook = lib("hook", file="hooks.py", line=5)
    callback = frame("callback", line=33, cls="Hooks", at=34)
    return session([
        (under(get, request, send, recv, builtin("read")), 0.35),
        (under(get, request, hook), 0.04),
        (under(get, request, hook, callback), 0.1),
        (under(f("local")), 0.51),
    ])


def group_sizes():
    """Groups of one, two and three hidden frames, with and without self time in the middle."""
    records = []
    for size in (1, 2, 3, 4):
        chain = [lib("g%d_%d" % (size, i), "pack%d" % size, line=i + 1) for i in range(size)]
        records.append((under(f("user%d" % size), *chain), 0.1 * size))
        records.append((under(f("user%d" % size), *chain, f("back%d" % size)), 0.05))
        if size > 2:
            records.append((under(f("user%d" % size), *chain[:2]), 0.3))
    return session(records)


def ties():
    records = []
    for name in ("d", "b", "a", "c"):
        records.append((under(f(name)), 0.25))
        records.append((under(f("outer"), f(name, at=len(records))), 0.125))
    records.append((under(f("outer"), f("zz", cls="A")), 0.0625))
    records.append((under(f("outer"), f("zz", cls="B")), 0.0625))
    return session(records)


def threshold(exact):
    """A frame of exactly 1 % (and its neighbours one step of a double away)."""
    records = [(under(f("big")), 99.0), (under(f("edge")), exact), (under(f("rest")), 1.0 - exact)]
    return session([r for r in records if r[1] > 0])


def threshold_sums():
    """Ten records of 0.1 % each: their sum is not exactly 1 %."""
    records = [(under(f("tenth"), f("t%d" % i)), 0.001) for i in range(10)]
    records.append((under(f("big")), 0.99))
    return session(records)


def absorbed():
    records = [(under(f("a"), f("tiny%d" % i, line=i)), 0.002) for i in range(40)]
    records += [(under(f("a"), f("large"), lib("x"), lib("y%d" % i)), 0.004) for i in range(30)]
    records += [(under(f("a")), 0.8)]
    return session(records)


def long_library_lists():
    names = ["alpha_library", "beta_library", "gamma_library", "delta_lib", "alpha_library", "e"]
    chain = [lib("f%d" % i, name, line=i) for i, name in enumerate(names)]
    exact = [lib("g%d" % i, name) for i, name in enumerate(["r", "a" * 18, "b" * 20, "q"])]
    wide = [lib("h%d" % i, "\u6771\u4eac\u0444" * 5 + str(i)) for i in range(4)]
    longer = [lib("i%d" % i, name) for i, name in enumerate(["r", "a" * 19, "b" * 20, "q"])]
    odd = [frame("o%d" % i, path) for i, path in enumerate(
        ["/usr/x.y.py", "/usr/lib/python3/dist-packages/one.py", "/usr/a\\b/c.py", "<frozen os>",
         "/usr/.hidden/z.py", "<template>/a", ""])]
    records = [(under(f("u%d" % i), *c, f("end")), 0.2) for i, c in
               enumerate((chain, exact, wide, longer, odd))]
    return session(records)


def importlib_frames():
    def imp(name, external=False):
        file = "<frozen importlib._bootstrap%s>" % ("_external" if external else "")
        return frame(name, file, 1200)

    chain = [imp("_find_and_load"), imp("_load_unlocked"), imp("exec_module", True)]
    inner = frame("<module>", APP + "helper.py", 1)
    deep = frame("<module>", STDLIB + "json/__init__.py", 1)
    return session([
        (under(*chain), 0.1),
        (under(*chain, inner), 0.2),
        (under(*chain, inner, *chain, deep), 0.3),
        (under(*chain, inner, *chain), 0.05),
        (under(*chain, imp("_call", False), inner), 0.02),
        (under(f("own")), 0.3),
    ])


def hidden_marks():
    records = []
    for i in range(6):
        middle = f("wrapped", hide=i % 2 == 0)
        records.append((under(f("a"), middle, f("leaf%d" % (i % 3))), 0.1 + i / 100))
        records.append((under(f("a"), f("always", hide=True), lib("x"), f("z")), 0.01))
    # Hidden in the shorter part of its time only, and the other way round.
    records += [(under(f("a"), f("seldom", hide=True)), 0.1), (under(f("a"), f("seldom")), 0.3)]
    return session(records)


def classes():
    records = []
    for i, cls in enumerate(["A", "B", "B", "A", "C", "", None, "K" * 80, "\u0411", "D.E"]):
        records.append((under(f("run", cls=cls, at=i + 1)), 0.1 + (i % 3) / 20))
        records.append((under(f("other%d" % i, cls=cls, at=2)), 0.07))
    return session(records)


def recursion(depth, width=1):
    records = []
    for i in range(width):
        chain = [f("recurse", at=11 + (k + i) % 3) for k in range(depth - i)]
        records.append((under(*chain), 0.3))
        records.append((under(*chain, f("leaf%d" % i)), 0.2))
    return session(records)


def alternating(depth):
    """Application and library code in turn: a group at every second level."""
    chain = []
    for i in range(depth):
        chain += [f("app%d" % i), lib("lib%d" % i, "p%d" % i), lib("in%d" % i, "p%d" % i)]
    return session([(under(*chain[:k]), 0.05) for k in range(1, len(chain), 2)])


def several_threads():
    def thread(number):
        return "Thread-%d (work)\x00<thread>\x00%d" % (number, 139846000000000 + number)

    records = [(under(f("a")), 0.4), (under(f("b"), lib("x"), lib("y")), 0.3)]
    for number in range(3):
        stack = [thread(number), frame("_bootstrap", STDLIB + "threading.py", 1000, cls="Thread"),
                 frame("run", STDLIB + "threading.py", 900, cls="Thread"), f("work")]
        records.append((stack, 0.2))
        records.append(([*stack, builtin("sleep")], 0.5 + number / 10))
        records.append((stack[:1], 0.01))
    return session(records)


def synthetic():
    await_, self_, out = "[await]", "[self]", "[out-of-context]"
    return session([
        (under(f("co"), await_), 0.3),
        (under(f("co"), f("inner"), await_), 0.2),
        (under(f("co"), self_), 0.1),
        (under(f("co")), 0.1),
        (under(out), 0.15),
        (under(lib("x"), lib("y"), await_), 0.2),
        (under(lib("x"), await_), 0.2),
        (under(await_), 0.02),
    ])


def names():
    odd = ["<lambda>", "<genexpr>", "", "a b", "f\u00fcr", "\u0444", "\u6771", "\U0001f40d", 'q"u\\o',
           "\u202eabc", "</script>", "&amp;", "\udcff", "e\u0301",
           "\uff21\u0301", "x" * 500]
    return session([(under(f(name, line=i)), 0.05 + i / 1000) for i, name in enumerate(odd)])


def control_names():
    """Control characters: upstream prints them as they are, we make them safe in text reports."""
    odd = ["new\nline", "tab\t", "\x7f", "\x1b[31mred", "\x9b31m", "\x07", "a\rb", "\x01"]
    return session([(under(f("n", line=i), f(name, path=APP + "a\tb.py")), 0.05 + i / 1000)
                    for i, name in enumerate(odd[:7])], target_description="Line one\n\tline two")


LONG_DESCRIPTIONS = [
    "Program: -c\nimport x\nx.run()", "one\n" + " " * 24 + "two\n" + " " * 22 + "three",
    "one\n     two\n\n  \t \n          three\n", "\n", "\nbehind", "one\n" + " " * 30,
]


def paths():
    odd = ["/srv/app/pkg/b.py", "/srv/other/c.py", "/srv/x.py", "/x.py", "/srv/app", "/srv/app/sub/",
           "/srv/app//dbl.py", "C:\\w\\g.py", "<weird/thing>", "./e.py", "e.py", "../up.py", "",
           "//two/slashes.py", "///three.py", "/srv/app/../app/n.py", "/srv/app/./d.py",
           "/srv/bad\udcff\udce9.py", "/srv/app/\u0444/\U0001f600.py", "/usrlocal/z.py",
           "<string>", "<stdin>", "<ipython-input-3-abc>", "<attrs generated init a.B>",
           "/tmp/ipykernel_12/34.py", "/", ".", "..", "<", "<built-in>"]
    return session([(under(frame("f%d" % i, path, i)), 0.03) for i, path in enumerate(odd)],
                   sys_path=["/srv/app", "/srv", "/usr/lib/python3.14", "/srv/app/pkg/deep/er"])


def string_frames():
    """<string> counts as its parent does."""
    text = frame("<module>", "<string>", 1)
    return session([
        (under(text, f("a")), 0.2),
        (under(lib("x"), text, frame("g", "<string>", 3), lib("z")), 0.3),
        (under(f("own"), text, frame("g", "<stdin>", 3), lib("z"), lib("zz")), 0.3),
        ([frame("<module>", "<string>", 1), f("k")], 0.1),
    ])


def lines():
    odd = ["0", "-5", "007", "+3", " 12 ", "1_000", "9223372036854775807", "2147483648"]
    stacks = ["f%d\x00/srv/app/m.py\x00%s" % (i, line) for i, line in enumerate(odd)]
    stacks += ["no_line\x00/srv/app/m.py", "no_path", "extra\x00/srv/app/m.py\x003\x00more\x00x",
               "empty_attribute\x00/srv/app/m.py\x004\x01", "two\x00/srv/app/m.py\x004\x01\x01l3",
               "many\x00/srv/app/m.py\x004\x01l3\x01l3\x01cA\x01cB\x01xfoo\x01h1\x01h0"]
    return session([(under(info), 0.05) for info in stacks])


def bad_line():
    return session([(under("f\x00/srv/app/m.py\x00abc"), 0.5), (under(f("a")), 0.5)])


def intervals(value, **more):
    records = [(under(f("a")), 0.7071067811865476), (under(f("b"), f("c")), 1 / 3)]
    return session(records, min_interval=value, max_interval=value, **more)


def numbers():
    times = [0, 1, 0.0, 1e-9, 5e-324, 0.1, 0.2, 0.30000000000000004, 1e16, 123456789.123456789, 2]
    return session([(under(f("f%d" % i)), time) for i, time in enumerate(times)],
                   duration=12, cpu_time=3, start_time=1700000000)


def negative_times():
    return session([(under(f("a")), -0.5), (under(f("b")), 0.25), (under(f("c"), f("d")), 1.0)])


def zero_total():
    return session([(under(f("a")), 0.0), (under(f("b"), f("c")), 0.0)])


def upstream_launch(kind):
    body = [frame("<module>", at=3), f("main")]
    records = []
    if kind == "script":
        records = [(launched([]), 0.001), (launched(body[:1]), 0.2), (launched(body), 0.5),
                   (launched([*body, lib("x"), lib("y")]), 0.3)]
    elif kind == "code":
        stem = launched([])[:4]
        records = [([*stem, f("f", path="<string>")], 0.5), ([*stem, builtin("sleep")], 0.2)]
    elif kind == "slow-start":
        records = [(launched([])[:3] + [lib("slow")], 0.5), (launched(body), 0.5)]
    return session(records, start_call_stack=LAUNCH_START)


def stem(kind):
    records = [(under(f("a"), f("b"), f("c")), 0.5), (under(f("a"), f("b")), 0.25)]
    infos = [THREAD, MODULE, f("a"), f("b"), f("c")]
    identifiers = [info.split("\x01")[0] for info in infos]
    start = {
        "full": identifiers, "short": identifiers[:1], "mismatch": [THREAD, "other\x00x.py\x001"],
        "foreign": ["x\x00<thread>\x001"] + identifiers[1:], "beyond": identifiers + ["q\x00r\x001"],
        "attributes": infos,
    }[kind]
    if kind == "beyond":
        records = records[:1]
    return session(records, start_call_stack=start)


def roots(kind):
    if kind == "empty-stack":
        return session([([], 0.5), (under(f("a")), 0.5)])
    if kind == "only-empty":
        return session([([], 0.5)])
    if kind == "two-empty":
        return session([([], 0.5), ([], 0.25)])
    if kind == "empty-start":
        return session([([f("x")], 0.5), ([f("y")], 0.25)], start_call_stack=[THREAD])
    return session([([f("x"), f("z")], 0.5), ([f("y")], 0.25), ([f("x")], 0.125)])


def gaps():
    a, b = f("a"), f("b")
    stacks = [[a], [b], [a], [a, b], [a], [a, b], [b, a], [b], [b, a]] * 3
    return session([(under(*stack), 0.1 + i / 1000) for i, stack in enumerate(stacks)])


def descriptions():
    return session([(under(f("a")), 1.0)], target_description="Line one  l\u00efne \"two\" {args} three\\")


def many_siblings():
    return session([(under(f("s%03d" % (i % 97), line=i % 97)), 0.01 + (i * 7919 % 101) / 1e4)
                    for i in range(400)])


def without(*keys, **changes):
    made = session([(under(f("a")), 1.0)], **changes)
    for key in keys:
        del made[key]
    return made


def hand_made():
    """Name to session mapping. Those that upstream refuses have names beginning with bad-."""
    made = {
        "worked-example": worked_example(), "group-example": group_example(),
        "group-sizes": group_sizes(), "ties": ties(), "empty": session([]),
        "one-sample": session([(under(f("a")), 0.001)]), "one-module": session([(BASE, 0.5)]),
        "one-thread-frame": session([([THREAD], 0.5)]),
        "threshold-exact": threshold(1.0), "threshold-below": threshold(0.9999999999999999),
        "threshold-above": threshold(1.0000000000000002), "threshold-sums": threshold_sums(),
        "absorbed": absorbed(), "library-lists": long_library_lists(),
        "importlib": importlib_frames(), "hide-marks": hidden_marks(), "classes": classes(),
        "recursion-40": recursion(40, 3), "recursion-300": recursion(300),
        "alternating": alternating(25), "threads": several_threads(), "synthetic": synthetic(),
        "names": names(), "paths": paths(), "string-frames": string_frames(), "lines": lines(),
        "numbers": numbers(), "negative": negative_times(), "zero": zero_total(),
        "launched-script": upstream_launch("script"), "launched-code": upstream_launch("code"),
        "launched-slow": upstream_launch("slow-start"), "gaps": gaps(),
        "description": descriptions(), "siblings": many_siblings(),
        "no-prefixes": session([(under(lib("a"), lib("b")), 1.0)], sys_prefixes=[]),
        "empty-prefix": session([(under(f("a"), f("b")), 1.0)], sys_prefixes=[""]),
        "no-sys-path": session([(under(f("a"), lib("b")), 1.0)], sys_path=[]),
        "relative-path": session([(under(frame("r", "tmp/x.py")), 1.0)], sys_path=["", "tmp"]),
        "integers": without(duration=2, start_time=1, cpu_time=0, sample_count=1),
        "null-cpu": without(cpu_time=None), "extra-keys": without(other={"a": [1, "\x00"]}),
        "no-intervals": without("min_interval", "max_interval"),
        "nan-time": session([(under(f("a")), float("nan")), (under(f("b")), 1.0)]),
        "infinite-time": session([(under(f("a")), float("inf")), (under(f("b")), 1.0)]),
        "old-identifiers": session([(["<module>\x00/srv/app/m.py\x001", "f\x00/srv/app/m.py\x003"], 1)]),
    }
    for kind in ("full", "short", "mismatch", "foreign", "beyond", "attributes"):
        made["stem-" + kind] = stem(kind)
    for kind in ("empty-stack", "only-empty", "two-empty", "empty-start", "two"):
        made["roots-" + kind] = roots(kind)
    for value in (0.0011, 0.0003, 0.01, 0.5, 1, 1.5, 1e-9, 0, -1, 1e-12, 0.1):
        made["interval-%s" % value] = intervals(value)
    for key in ("frame_records", "start_time", "duration", "sample_count", "start_call_stack",
                "target_description", "cpu_time"):
        made["bad-without-" + key] = without(key)
    made["control-names"] = control_names()
    for number, text in enumerate(LONG_DESCRIPTIONS):
        made["control-description-%d" % number] = session([(under(f("a")), 1.0)], target_description=text)
    made["bad-line"] = bad_line()
    made["bad-nul-in-name"] = session([(under(f("\x00nul")), 1.0)])
    made["bad-lone-surrogate"] = session([(under(f("a\ud800b")), 1.0)])
    made["bad-synthetic-child"] = session([(under("[await]", f("a")), 1.0)])
    made["bad-empty-start-stack"] = session([(under(f("a")), 1.0)], start_call_stack=[])
    return made


def raw_files():
    """Files that are no sessions, byte for byte."""
    good = encoded(session([(under(f("a")), 1.0)]))
    return {
        "bad-empty-file": b"", "bad-not-json": b"hello", "bad-list": b"[]", "bad-number": b"3",
        "bad-cut": good[:-40], "bad-trailing": good + b"x", "bad-bom": b"\xef\xbb\xbf" + good,
        "spaced": json.dumps(json.loads(good), indent=3).encode(),
        "reordered": json.dumps(dict(reversed(json.loads(good).items()))).encode(),
        "raw-utf8": json.dumps(without(target_description="na\u00efve \U0001f40d"),
                               ensure_ascii=False).encode(),
        "newline-after": good + b"\n \t\r\n",
        "duplicate-keys": good[:-1] + b', "target_description": "second"}',
    }


# ---- random sessions ------------------------------------------------------------------------------


class Dice:
    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, limit):
        return int(self.random() * limit)

    def pick(self, items):
        return items[self.below(len(items))]

    def chance(self, share):
        return self.random() < share


def random_frame(dice, pool):
    kind = dice.below(100)
    name = pool["names"][min(dice.below(len(pool["names"])), dice.below(len(pool["names"])))]
    number = dice.below(3)
    if kind < 45:
        path = APP + dice.pick(["main.py", "pkg/a.py", "pkg/b.py", "sub/deep/c.py"])
    elif kind < 75:
        path = LIBRARY + dice.pick(["requests/api.py", "urllib3/pool.py", "django/core/h.py",
                                    "a_long_library_name/x.py", "single.py"])
    elif kind < 85:
        path = STDLIB + dice.pick(["json/decoder.py", "threading.py", "re/_parser.py"])
    elif kind < 92:
        path = dice.pick(["<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>",
                          "<string>", "<template>", "<frozen runpy>", "/home/u/x.py", "rel/y.py"])
    else:
        return dice.pick(pool["plain"])
    more = {}
    if dice.chance(0.3):
        more["cls"] = dice.pick(["A", "B", "Service"])
    if dice.chance(0.8):
        more["at"] = 1 + dice.below(4)
    if dice.chance(0.05):
        more["hide"] = True
    return frame(name, path, 1 + number * 10, **more)


def random_time(dice, style):
    if style == 0:
        return 0.001 * (1 + dice.below(3))
    if style == 1:
        return dice.random() ** 4
    if style == 2:
        return dice.pick([0.25, 0.5, 0.125, 1, 0.0])
    return round(dice.random() * 0.01, 6)


def random_session(seed):
    dice = Dice(seed)
    pool = {
        "names": ["f%d" % i for i in range(2 + dice.below(12))] + ["<lambda>", "<listcomp>"],
        "plain": [builtin("sleep"), builtin("dict.get"), "[await]", "[self]"],
    }
    style = dice.below(4)
    base = BASE if dice.chance(0.7) else launched([frame("<module>", at=2)])
    depth = 1 + dice.below(dice.pick([3, 8, 25]))
    stack, records = [], []
    for _ in range(1 + dice.below(dice.pick([4, 40, 200]))):
        # Walk up some frames and down into others, as programs do.
        del stack[int(len(stack) * dice.random()):]
        while len(stack) < depth and dice.chance(0.7):
            stack.append(random_frame(dice, pool))
            if stack[-1][0] == "[" or "<built-in>" in stack[-1]:
                break
        records.append((base + stack, random_time(dice, style)))
        if stack and (stack[-1][0] == "[" or "<built-in>" in stack[-1]):
            stack.pop()
    start = START if base is BASE else LAUNCH_START
    if dice.chance(0.1):
        records += [([THREAD.replace("Main", "Other"), *stack], time) for _, time in records[:5]]
    interval = dice.pick([0.001, 0.001, 0.0001, 0.01, 0.1])
    return session(records, start_call_stack=start, min_interval=interval, max_interval=interval)


def encoded(made):
    return json.dumps(made).encode("ascii")


def all_made(random_count=20):
    """(name, bytes) of everything, in a fixed order."""
    for name, made in hand_made().items():
        yield name, encoded(made)
    yield from raw_files().items()
    for seed in range(random_count):
        yield "random-%04d" % seed, encoded(random_session(seed))


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, data in all_made(int(sys.argv[2]) if len(sys.argv) > 2 else 20):
        with open(os.path.join(folder, name + ".pyisession"), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    main()
