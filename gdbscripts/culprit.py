"""gdb commands for a culprit report: `source culprit.py` in the gdb of an rr replay.

  culprit load REPORT.json     the report of `culprit triage` or `culprit run`
  culprit hops                 its hops
  culprit goto N               stand exactly at hop N
  culprit blame EXPR           who wrote EXPR last, and where did that come from?
  culprit history EXPR         all writes to EXPR
  culprit note [TEXT]          keep a note beside the report, or show the notes

Works in gdb 13 and newer, in any gdb that rr started, with or without the culprit program (`blame` and
`history` call it). Moves only forward: a trace without ticks has no reverse execution, and `goto` restarts
the replay before the hop and runs on from there.
"""
import os
import sys

import gdb


def _load():
    here = os.path.dirname(os.path.realpath(os.path.expanduser(__file__)))
    if not os.path.isdir(os.path.join(here, "culprit_gdb")):
        raise gdb.GdbError(f"culprit: the folder culprit_gdb is not beside this file ({here})")
    # Sourced again after an update: the new files count.
    for name in [n for n in sys.modules if n.split(".")[0] == "culprit_gdb"]:
        del sys.modules[name]
    sys.path.insert(0, here)
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        from culprit_gdb import commands
    finally:
        sys.path.remove(here)
        sys.dont_write_bytecode = kept
    commands.register()


_load()
