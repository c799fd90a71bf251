"""Taking gdb to a hop, and looking whether it stands there."""
import re

import gdb

from .failure import Failure
from .moment import event_now, register

MAX_FRAMES = 256


class Quietly:
    """The user's breakpoints, signals and settings out of the way for a while, and back."""

    def __enter__(self):
        self._settings = {name: gdb.parameter(name) for name in ("confirm", "pagination", "language")}
        gdb.execute("set confirm off")
        gdb.execute("set pagination off")
        self._breakpoints = [b for b in gdb.breakpoints() if b.is_valid() and b.enabled]
        for breakpoint_ in self._breakpoints:
            breakpoint_.enabled = False
        self._signals = _signal_table()
        # Signals of other threads would stop gdb on the way (Go sends itself SIGURG all the time).
        gdb.execute("handle all nostop noprint pass", to_string=True)
        return self

    def __exit__(self, *_):
        for (stop, show, give), names in self._signals.items():
            words = f"{'stop' if stop else 'nostop'} {'print' if show else 'noprint'} " \
                    f"{'pass' if give else 'nopass'}"
            for i in range(0, len(names), 40):
                gdb.execute(f"handle {' '.join(names[i:i + 40])} {words}", to_string=True)
        for breakpoint_ in self._breakpoints:
            if breakpoint_.is_valid():
                breakpoint_.enabled = True
        set_language(self._settings["language"])
        gdb.execute(f"set pagination {'on' if self._settings['pagination'] else 'off'}")
        gdb.execute(f"set confirm {'on' if self._settings['confirm'] else 'off'}")


def _signal_table():
    """{(stop, print, pass): [names]} of all signals but the two that are gdb's own."""
    table = {}
    for line in gdb.execute("info signals", to_string=True).splitlines():
        found = re.match(r"(SIG\S+|EXC_\S+)\s+(Yes|No)\s+(Yes|No)\s+(Yes|No)\b", line)
        if found and found[1] not in ("SIGTRAP", "SIGINT"):
            key = tuple(word == "Yes" for word in found.groups()[1:])
            table.setdefault(key, []).append(found[1])
    return table


def set_language(language):
    try:
        gdb.execute(f"set language {language}", to_string=True)
    except gdb.error:
        gdb.execute("set language auto", to_string=True)


class _LastStop:
    """The reason of the newest stop."""

    def __enter__(self):
        self.event = None
        self.exited = False
        gdb.events.stop.connect(self._stop)
        gdb.events.exited.connect(self._exit)
        return self

    def __exit__(self, *_):
        gdb.events.stop.disconnect(self._stop)
        gdb.events.exited.disconnect(self._exit)

    def _stop(self, event):
        self.event = event

    def _exit(self, _event):
        self.exited = True


def restart(event):
    """Replays from the start to behind this event: forward only, so that it works without ticks too."""
    gdb.execute(f"run {event}", to_string=True)
    if gdb.selected_thread() is None:
        raise Failure(f"rr did not come to event {event}")


def _stand_at(stop):
    """Where this is the newest frame."""
    frame = gdb.newest_frame()
    return register(frame, "rip") == stop.pc and register(frame, "rsp") == stop.sp


def _run_to_stop(stop):
    language = gdb.parameter("language")
    # A condition is parsed in the language of the code where gdb stands; these are C.
    gdb.execute("set language c", to_string=True)
    try:
        point = gdb.Breakpoint(f"*{stop.pc:#x}", internal=True)
        try:
            point.silent = True
            point.condition = stop.condition()
            point.ignore_count = stop.ignore
            gdb.execute("continue", to_string=True)
        finally:
            if point.is_valid():
                point.delete()
    finally:
        set_language(language)


def _run_to_signal(name):
    if name not in ("SIGTRAP", "SIGINT"):
        gdb.execute(f"handle {name} stop print", to_string=True)
    with _LastStop() as last:
        gdb.execute("continue", to_string=True)
        return isinstance(last.event, gdb.SignalEvent) and last.event.stop_signal == name


def _follow(directions):
    """Runs on from the event. True if gdb stands where it should."""
    if not directions.go_on:
        return True
    if directions.stop is not None:
        _run_to_stop(directions.stop)
        return gdb.selected_thread() is not None and _stand_at(directions.stop)
    if directions.signal is not None:
        return _run_to_signal(directions.signal) and gdb.selected_thread() is not None
    gdb.execute("continue", to_string=True)
    return gdb.selected_thread() is not None


def _select_frame(hop, directions):
    """The frame that the hop is about: that of the function which noticed, or which made the call."""
    if directions is not None and directions.frame_entry is not None:
        try:
            gdb.execute(f"frame function *{directions.frame_entry:#x}", to_string=True)
            return
        except gdb.error:
            pass
    frame = gdb.newest_frame()
    for _ in range(MAX_FRAMES):
        if frame is None or not hop.function:
            break
        if frame.name() == hop.function:
            frame.select()
            return
        frame = frame.older()
    gdb.newest_frame().select()


def slot_value(address, size):
    """The slot's bytes as a number; None where nothing can be read."""
    try:
        return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, size)), "little")
    except (gdb.MemoryError, gdb.error):
        return None


def go_to(report, hop, started_there):
    """Stands at the hop. `started_there`: rr was started at its event, and nothing has run since. Returns
    the hop whose moment it is, and a sentence about what is missing, or "". Errors: Failure, where gdb
    stands elsewhere."""
    where = report.with_directions(hop)
    if where.event == 0:
        raise Failure(f"the report does not tell when hop {hop.index} was")
    event_now()
    process = gdb.selected_inferior().pid
    if where.process and process and process != where.process:
        raise Failure(f"hop {hop.index} is in process {where.process}, and this gdb has process {process}: "
                      f"`culprit open --hop {hop.index}` goes there")
    with Quietly():
        try:
            if not started_there:
                restart(where.event)
            if event_now() < where.event:
                raise Failure(f"the replay ends before event {where.event} of hop {hop.index}: this is not the "
                              "report's trace, or the report was changed")
            arrived = where.directions is None or _follow(where.directions)
        except gdb.error as error:
            raise Failure(f"the replay did not come to hop {hop.index}: {error}") from None
    if not arrived:
        raise Failure(f"the replay did not come to hop {hop.index}; this is not the report's trace, or the "
                      "report was changed")
    _select_frame(where, where.directions)
    if where.directions is not None and where.address is not None and where.value is not None:
        holds = slot_value(where.address, where.size)
        if holds != where.value:
            raise Failure(f"the slot of hop {where.index} holds "
                          f"{'nothing readable' if holds is None else hex(holds)} here, and the report says "
                          f"{where.value:#x}: this is not the report's trace, or the report was changed")
    if where.refused:
        return where, (f"the report's gdb commands for hop {where.index} are not culprit's and were not used: "
                       "this is the event before it")
    if where.directions is None:
        return where, f"the report does not tell the exact moment of hop {hop.index}: this is the event before"
    if where is not hop:
        return where, f"hop {hop.index} has no moment of its own: this is hop {where.index}, which it explains"
    return where, ""
