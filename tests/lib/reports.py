# SPDX-License-Identifier: BSD-3-Clause
"""What two reports may differ in, taken out: group ids, the version line, marshal details."""

import json
import marshal
import re

UUID = re.compile(rb'"group_id": "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')
VERSION_LINE = re.compile(rb"^(/   _/ {8}) *v[0-9][^\n]*$", re.MULTILINE)


def rename_groups(data):
    known = {}

    def name(match):
        number = known.setdefault(match.group(1), len(known))
        return b'"group_id": "group-%d"' % number

    return UUID.sub(name, data)


def decode_pstats(data):
    """The mapping as text, in its own order. Anything not a mapping of pstats's shape raises."""
    lines = []
    for key, (cc, nc, tt, ct, callers) in marshal.loads(data).items():
        lines.append("%r %r %r %r %r" % (key, cc, nc, tt, ct))
        lines.extend("    %r %r" % item for item in callers.items())
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def masked(data, renderer):
    if data is None:
        return None
    if renderer == "pstats":
        return decode_pstats(data) if data else b""
    return VERSION_LINE.sub(rb"\1v", rename_groups(data))


def is_control(character, but=""):
    """C0, DEL and C1: what a text report of ours shows as \\xNN instead of sending it out."""
    return character not in but and (character < " " or "\x7f" <= character < "\xa0")


def printed(name, but=""):
    return "".join("\\x%02x" % ord(c) if is_control(c, but) else c for c in name)


def control_names(session):
    """[(name as it is, name as a text report of ours shows it)] of those with controls in them."""
    try:
        session = json.loads(session)
        infos = {info for stack, _ in session["frame_records"] for info in stack}
        pairs = {(text, printed(text, "\n")) for text in [session["target_description"]]}
    except (ValueError, KeyError, TypeError):
        return []
    for info in infos:
        identifier, *attributes = info.split("\x01")
        function, *more = identifier.split("\x00")
        names = [function, *(a[1:] for a in attributes if a[:1] == "c")]
        names += more[0].split("/") if more else []
        pairs.update((name, printed(name)) for name in names)
    pairs = sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: -len(pair[0]))
    return [tuple(text.encode("utf-8", "surrogatepass") for text in pair) for pair in pairs]


def with_visible_controls(report, session):
    """Upstream's text report with the controls of the session's names made visible."""
    for raw, shown in control_names(session):
        report = report.replace(raw, shown)
    return report


def renderer_of(arguments):
    """Which renderer the arguments choose, for the plain forms of saying so."""
    chosen = None
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        match = re.fullmatch(r"(?:-t?r|--rend[a-z]*=)(.*)|--renderer", argument)
        if match:
            chosen = match.group(1) or following
    if chosen:
        return chosen
    outs = [a for a in arguments if a.startswith("{out}")]
    name = outs[0] if outs else ""
    for ending, renderer in (
        (".speedscope.json", "speedscope"), (".json", "json"), (".pyisession", "pyisession"),
        (".pstats", "pstats"), (".html", "html"),
    ):
        if name.lower().endswith(ending):
            return renderer
    return "text"


def first_difference(expected, got, context=160):
    """Says where two byte strings part."""
    if expected is None or got is None:
        return "upstream %r, here %r" % (expected, got)
    at = 0
    limit = min(len(expected), len(got))
    while at < limit and expected[at] == got[at]:
        at += 1
    begin = max(0, at - 60)
    return "byte %d (line %d)\n      upstream …%r\n      here     …%r" % (
        at, expected[:at].count(b"\n") + 1, expected[begin:at + context], got[begin:at + context],
    )
