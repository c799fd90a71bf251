"""The commands, as gdb sees them."""
import os
import re
import sys
import tempfile
import traceback

import gdb

from . import moment, notes, tool, travel
from .failure import Failure
from .harmless import harmless
from .report import is_trace, read_report

_FORWARD = ("Forward only: this trace has no ticks, so reverse-continue and reverse-step do not come to an "
            "end here. `culprit goto` replays from the start, `culprit blame` looks back with passes of its "
            "own.")


class State:
    """What the commands share."""
    report = None
    at = None           # index of the hop that was gone to last
    started_at = None   # the hop whose event rr was started at, until something has run
    folder = None       # for the reports of culprit blame
    blames = 0


def say(text=""):
    gdb.write(text + "\n")


def loaded():
    if State.report is None:
        raise Failure("no report is loaded: culprit load REPORT.json")
    return State.report


def without_ticks(report):
    return report.ticks == "software"


def trace_now():
    """The trace that is being replayed. Errors: Failure."""
    named = os.environ.get("CULPRIT_TRACE")
    if named and is_trace(named):
        return named
    # rr gives gdb the program's copy in the trace, where there is one.
    program = gdb.current_progspace().filename
    if program and is_trace(os.path.dirname(program)):
        return os.path.dirname(program)
    found = State.report.trace_directory() if State.report is not None else None
    if not found:
        raise Failure("the trace's folder is not known: load the report (culprit load), or set the "
                      "environment variable CULPRIT_TRACE")
    return found


class Subcommand(gdb.Command):
    """A command whose failures are one line each."""
    name = ""

    def __init__(self):
        super().__init__("culprit " + self.name, gdb.COMMAND_USER)

    def invoke(self, argument, _from_tty):
        try:
            self.run(argument.strip())
        except Failure as failure:
            raise gdb.GdbError(f"culprit: {failure}") from None
        except gdb.error as error:
            raise gdb.GdbError(f"culprit: {error}") from None
        except (KeyboardInterrupt, gdb.GdbError):
            raise
        except Exception as error:  # pylint: disable=broad-except
            if os.environ.get("CULPRIT_GDB_TRACEBACK"):
                traceback.print_exc(file=sys.stderr)
            raise gdb.GdbError(f"culprit: internal error: {type(error).__name__}: {error}") from None

    def run(self, argument):
        raise NotImplementedError


class Prefix(gdb.Command):
    """culprit: commands for the report of a triaged crash. `help culprit` lists them."""

    def __init__(self):
        super().__init__("culprit", gdb.COMMAND_USER, gdb.COMPLETE_NONE, True)

    def invoke(self, argument, _from_tty):
        if argument.strip():
            raise gdb.GdbError(f"culprit: no command {harmless(argument.strip(), 40)}: help culprit lists them")
        gdb.execute("help culprit")


class Load(Subcommand):
    """Read a report: culprit load REPORT.json (or the trace's folder that it lies in)."""
    name = "load"

    def run(self, argument):
        if not argument:
            raise Failure("say which report: culprit load REPORT.json")
        State.report = read_report(argument)
        State.at = None
        State.started_at = None
        report = State.report
        say(f"{len(report.hops)} hops: {report.title or 'no verdict'}")
        if without_ticks(report):
            say(_FORWARD)


class Hops(Subcommand):
    """List the hops of the report, from the crash to the origin; => is where culprit goto stands."""
    name = "hops"

    def run(self, argument):
        if argument:
            raise Failure("culprit hops takes no argument")
        report = loaded()
        by_hop = {}
        for note in notes.read_notes(report.path):
            by_hop.setdefault(note.get("hop"), []).append(note["text"])
        for hop in report.hops:
            mark = "=>" if hop.index == State.at else "  "
            branch = "" if hop.main_line else "(side branch) "
            say(f"{mark} #{hop.index:<3} {branch}{hop.summary or hop.kind}  [{hop.confidence}]")
            say(f"        {hop.place()}")
            for text in by_hop.get(hop.index, []):
                say(f"        note: {harmless(text, notes.MAX_TEXT)}")


class Goto(Subcommand):
    """Stand exactly at a hop: culprit goto N. Restarts the replay before it and runs forward to it."""
    name = "goto"

    def run(self, argument):
        report = loaded()
        hop = report.hop(argument)
        there = State.started_at is not None and State.started_at == hop.index
        State.started_at = None
        State.at = None
        where, missing = travel.go_to(report, hop, there)
        State.at = hop.index
        show(hop, where, missing)


def show(hop, where, missing):
    """`where` is the hop whose moment it is: `hop` itself, where the report tells its moment."""
    say(f"hop {hop.index}: {hop.summary or hop.kind}  [{hop.confidence}]")
    if hop.source_line:
        say(f"    {hop.place()}: {hop.source_line}")
    if missing:
        say(f"    {missing}")
    gdb.execute("frame")
    if where.address is not None:
        value = travel.slot_value(where.address, where.size)
        held = f"holds {value:#x}" if value is not None else "cannot be read here"
        say(f"slot {where.address:#x}, {where.size} bytes, {held}")
        if where.address < 1 << 63:
            gdb.set_convenience_variable("culprit_slot", where.address)
    gdb.set_convenience_variable("culprit_hop", hop.index)


def slot_of(expression):
    """(address, size, value) of what the user names. Errors: Failure, gdb.error."""
    if not expression:
        raise Failure("say an expression: a variable, a member, *(T*)ADDRESS")
    value = gdb.parse_and_eval(expression)
    if value.is_optimized_out:
        raise Failure(f"{harmless(expression)} is optimised out here")
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_REF:
        value = value.referenced_value()
    if value.address is None:
        raise Failure(f"{harmless(expression)} is in no memory (a register, or computed): name what it was "
                      "loaded from")
    size = value.type.sizeof
    if not 1 <= size <= 8:
        raise Failure(f"{harmless(expression)} has {size} bytes: name a member or element of at most 8")
    address = int(value.address) & ((1 << 64) - 1)
    held = travel.slot_value(address, size)
    if held is None:
        raise Failure(f"{address:#x} cannot be read here")
    return address, size, held


class Blame(Subcommand):
    """Who wrote this expression last, and where did that value come from: culprit blame EXPR.

Passes over the trace look back from where gdb stands; gdb itself does not move."""
    name = "blame"

    def run(self, argument):
        here = moment.Moment()
        address, size, value = slot_of(argument)
        trace = trace_now()
        say(f"{harmless(argument)} at {address:#x} holds {value:#x}. Looking back from event {here.event} of "
            f"thread {here.thread} …")
        if State.folder is None:
            # Goes when gdb does.
            State.folder = tempfile.TemporaryDirectory(prefix="culprit-gdb-")
        State.blames += 1
        path = os.path.join(State.folder.name, f"blame-{State.blames}.json")
        code, out, err = tool.run_tool(
            ["-q", "triage", "--json", path, *here.options(), "--pid", str(here.process), "--address",
             f"{address:#x}", "--size", str(size), "--pointer", f"{value:#x}", "--", trace])
        if code not in (0, 3) or not os.path.exists(path):
            raise Failure(f"culprit triage ended with {code}: {last_line(err)}")
        # What the text says of going there by hand, `culprit goto` does.
        gdb.write(re.sub(r"^How to go there\n(?:^ .*\n)*\n?", "", out, flags=re.M))
        say(f"culprit load {path} takes these hops for culprit goto; gdb has not moved.")
        gdb.set_convenience_variable("culprit_blame", path)


class History(Subcommand):
    """All writes to an expression, in the whole recording: culprit history EXPR."""
    name = "history"

    def run(self, argument):
        event = moment.event_now()
        address, size, value = slot_of(argument)
        trace = trace_now()
        if not tool.has_command("history"):
            raise Failure("this culprit has no `culprit history`: a newer one lists all writes")
        say(f"{harmless(argument)} at {address:#x}, {size} bytes, holds {value:#x} at event {event}.")
        process = gdb.selected_thread().ptid[0]
        code, out, err = tool.run_tool(["-q", "history", "--process", str(process), "--size", str(size), "--",
                                        trace, f"{address:#x}"])
        if code not in (0, 3):
            raise Failure(f"culprit history ended with {code}: {last_line(err)}")
        gdb.write(out)


class Note(Subcommand):
    """Keep a note beside the report: culprit note TEXT. Without a text: show the notes."""
    name = "note"

    def run(self, argument):
        report = loaded()
        if not argument:
            for note in notes.read_notes(report.path):
                hop = note.get("hop")
                at = f"hop {hop}" if isinstance(hop, int) else f"event {note.get('event', '?')}"
                say(f"{harmless(note.get('time', ''), 30)}  {harmless(at, 40)}: "
                    f"{harmless(note['text'], notes.MAX_TEXT)}")
            return
        note = {"text": argument}
        if State.at is not None:
            note["hop"] = State.at
        if gdb.selected_thread() is not None:
            note.update(where())
        say(f"kept in {harmless(notes.add_note(report.path, note))}")


def where():
    """What a note says of the place, as far as it is known."""
    out = {}
    try:
        out["event"] = moment.event_now()
        out["thread"] = gdb.selected_thread().ptid[1]
        frame = gdb.selected_frame()
        out["pc"] = f"{frame.pc():#x}"
        out["function"] = frame.name() or ""
        line = frame.find_sal()
        if line.symtab is not None:
            out["file"], out["line"] = line.symtab.filename, line.line
    except (Failure, gdb.error):
        pass
    return out


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return harmless(re.sub(r"^culprit: ", "", lines[-1]), 300) if lines else "it said nothing"


class Arrive(Subcommand):
    """Used by `culprit open`: load $CULPRIT_REPORT and go to $CULPRIT_HOP."""
    name = "arrive"

    def run(self, argument):
        if argument:
            raise Failure("culprit arrive takes no argument")
        status = os.environ.pop("CULPRIT_STATUS", "")
        try:
            Load().run(os.environ.get("CULPRIT_REPORT", ""))
            index = os.environ.get("CULPRIT_HOP", "")
            State.started_at = State.report.hop(index).index
            Goto().run(index)
        finally:
            paged = gdb.convenience_variable("culprit_pagination")
            if paged is not None and int(paged) == 1:
                gdb.execute("set pagination on")
        if status:
            with open(status, "w", encoding="ascii") as out:
                out.write("there\n")


def register():
    """Makes the commands. May be called again."""
    Prefix()
    for command in (Load, Hops, Goto, Blame, History, Note, Arrive):
        command()
    moment.watch_stops()
