"""Where gdb stands in the recording."""
import re

import gdb

from .failure import Failure

REGISTERS = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
             "r14", "r15")
_MASK = (1 << 64) - 1

# The thread that stopped last: another one that the user selects stands where it stood at an earlier
# event of its own.
_stopped = None


def _on_stop(_event):
    global _stopped  # pylint: disable=global-statement
    thread = gdb.selected_thread()
    _stopped = thread.ptid[1] if thread is not None else None


def watch_stops():
    gdb.events.stop.connect(_on_stop)


def event_now():
    """The newest event that rr has completed. Errors: Failure, where this is no rr replay."""
    if gdb.selected_thread() is None:
        raise Failure("nothing is being replayed: start with `culprit open REPORT`, or in `rr replay`")
    try:
        said = gdb.execute("when", to_string=True)
    except gdb.error:
        raise Failure("this gdb was not started by rr (it has no command `when`): start with "
                      "`culprit open REPORT`, or in `rr replay`") from None
    # "Current event: N" up to rr 5.7: the one that is not done yet.
    if found := re.search(r"Current event: (\d+)", said):
        return max(int(found[1]) - 1, 0)
    if found := re.search(r"Completed event: (\d+)", said):
        return int(found[1])
    raise Failure("rr does not say at which event it stands")


def register(frame, name):
    """An integer register as an unsigned number."""
    return int(frame.read_register(name)) & _MASK


class Moment:
    """rr's event, the thread that stopped, and its registers."""

    def __init__(self):
        self.event = event_now()
        chosen = gdb.selected_thread()
        frame = gdb.selected_frame()
        thread = chosen
        for other in gdb.selected_inferior().threads():
            if _stopped is not None and other.ptid[1] == _stopped:
                thread = other
        try:
            thread.switch()
            newest = gdb.newest_frame()
            self.registers = {name: register(newest, name) for name in REGISTERS}
            self.pc = register(newest, "rip")
        finally:
            chosen.switch()
            frame.select()
        self.thread = thread.ptid[1]
        self.process = thread.ptid[0]

    def options(self):
        """Of `culprit triage`: this moment."""
        registers = ",".join(f"{name}={value:#x}" for name, value in self.registers.items())
        return ["--at-event", str(self.event), "--at-thread", str(self.thread), "--at-pc", f"{self.pc:#x}",
                "--at-registers", registers]
