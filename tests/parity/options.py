# SPDX-License-Identifier: BSD-3-Clause
"""Option sets of the comparison: every renderer with every option that changes its output."""

LOAD = ["--load", "{session}"]

TEXT = [
    [],
    ["--unicode"],
    ["--no-unicode"],
    ["--color"],
    ["--color", "--no-unicode"],
    ["-t"],
    ["-t", "--color", "-p", "time=percent_of_total"],
    ["--show-all"],
    ["--show-all", "-t", "--no-unicode"],
    ["-p", "show_all"],
    ["-p", "flat"],
    ["-p", "flat", "-p", "flat_time=total"],
    ["-p", "flat", "--show-all"],
    ["-p", "flat", "--color", "-p", "time=percent_of_total"],
    ["-p", "short_mode"],
    ["-p", "short_mode", "--color", "--no-unicode", "-p", "time=percent_of_total"],
    ["-p", "short_mode", "-p", "flat"],
    ["-p", "time=percent_of_total"],
    ["-p", "processor_options.filter_threshold=0"],
    ["-p", "processor_options.filter_threshold=0.2", "-t"],
    ["-p", 'processor_options={"filter_threshold": 0.05}'],
    ["-p", "color=False", "-p", "unicode=false"],
    ["--hide", "*/lib/*"],
    ["--hide-regex", r".*/(pkg|src)/[a-m]"],
    ["--show", "*/site-packages/*"],
    ["--show-regex", ".*"],
    ["--hide", "*", "--show", "*[!c].py"],
    ["--hide-regex", "", "--show-regex", r"<.*>|.*\d\.py$"],
    ["-r", "text", "-o", "{out}.foo"],
    ["-o", "{out}.txt", "--color"],
]
JSON = [
    ["-r", "json"],
    ["-r", "json", "-t"],
    ["-r", "json", "--show-all"],
    ["-r", "json", "-p", "processor_options.filter_threshold=0"],
    ["-r", "json", "--hide", "*.py"],
    ["-o", "{out}.JSON"],
]
SPEEDSCOPE = [
    ["-r", "speedscope"],
    ["-r", "speedscope", "-t", "--show-all"],
    ["-r", "speedscope", "-p", "processor_options.filter_threshold=0.3"],
    ["-o", "{out}.speedscope.json"],
]
PSTATS = [
    ["-r", "pstats"],
    ["-r", "pstats", "-t", "--show-all"],
    ["-o", "{out}.pstats", "-p", "processor_options.filter_threshold=0"],
]
SESSION = [["-r", "pyisession"], ["-o", "{out}.pyisession"], ["-r", "session"]]
ERRORS = [
    ["-p", "nonsense=1"],
    ["-p", "flat", "-t"],
    ["-p", "a.b=1"],
    ["-r", "json", "-p", "color"],
    ["-r", "no_such_renderer"],
    ["--hide", "a", "--hide-regex", "b"],
    ["--show", "a", "--show-all"],
    ["--hide-regex", "("],
    ["-r", "pyisession", "--show-all"],
    ["-r", "pyisession", "-p", "processor_options.x=1"],
    ["--bogus"],
    ["--sho", "x"],
    ["-o", "/no/such/folder/file.txt"],
    ["-p", "processor_options=3"],
]
# Prefixes, joined forms, repetition: what the argument parser makes of its input.
PARSING = [
    ["--time"],
    ["--rend=json"],
    ["-rjson"],
    ["-tr", "json"],
    ["-r", "text", "-r", "json"],
    ["--color", "--no-color"],
    ["--no-color", "--color"],
    ["-pflat"],
    ["--render-option=flat", "--render-option", "flat_time=total"],
    ["-i", "0.5"],
    ["--interval=0.5", "--use-timing-thread", "--from-path"],
    ["--target-description", "x {nothing}"],
    ["-p", "flat=false"],
    ["-p", "flat=0"],
    ["-p", "flat=null", "-t"],
    ["-p", 'time="percent_of_total"'],
    ["-p", "time=percent_of_total=x"],
    ["-p", "short_mode=[]"],
    ["-p", "short_mode={}"],
    ["-p", "short_mode=NaN"],
]

# What every recorded session is compared in, also where real pyinstrument is not at hand.
TEN = [[], ["--unicode"], ["--no-unicode"], ["--color"], ["-t"], ["--show-all"], ["-p", "flat"],
       ["-p", "short_mode"], ["-p", "time=percent_of_total"], ["-r", "json"]]

RENDERING = TEXT + JSON + SPEEDSCOPE + PSTATS + SESSION
EVERY = RENDERING + ERRORS + PARSING


def command(options):
    """Options first, so that a refused one is refused before the file is looked at."""
    return [*options, *LOAD]

