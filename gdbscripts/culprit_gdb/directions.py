"""The gdb commands of a report as checked numbers.

A report lists what to type into gdb (src/provenance/revisit.h). It is never typed: each line must be, as a
whole, one of the forms that culprit writes, and only its numbers are taken. What gdb is then told is made
from those numbers.
"""
import re
from dataclasses import dataclass
from typing import Optional

_HEX = r"0x[0-9a-f]{1,16}"
_BREAK = re.compile(
    rf"break \*(?P<pc>{_HEX}) if \$rsp == (?P<sp>{_HEX})"
    rf"(?: && \*\((?P<type>unsigned (?:long|int|short|char))\*\)(?P<slot>{_HEX}) == (?P<value>{_HEX})"
    rf"| && \$rax == (?P<rax>[0-9]{{1,20}}))?")
_IGNORE = re.compile(r"ignore \$bpnum (?P<count>[0-9]{1,18})")
_SIGNAL = re.compile(r"handle (?P<name>SIG[A-Z0-9]{2,10}) stop print")
_FRAME = re.compile(rf"frame function \*(?P<entry>{_HEX})")
_EXAMINE = re.compile(rf"x/(?:gx|(?P<size>[1-8])xb) (?P<address>{_HEX})")
_PLAIN = {"set pagination off", "handle all nostop noprint pass", "set language c", "set language auto",
          "backtrace"}


@dataclass
class Stop:
    """A breakpoint: `pc`, with this stack pointer, and the slot or rax holding a value."""
    pc: int
    sp: int
    slot: Optional[int] = None
    slot_type: str = ""
    value: Optional[int] = None
    rax: Optional[int] = None
    ignore: int = 0

    def condition(self):
        """In C."""
        out = f"$rsp == {self.sp:#x}"
        if self.slot is not None:
            out += f" && *({self.slot_type}*){self.slot:#x} == {self.value:#x}"
        if self.rax is not None:
            out += f" && $rax == {self.rax}"
        return out


@dataclass
class Directions:
    """The way from rr's event to the hop."""
    stop: Optional[Stop] = None       # run to it
    signal: Optional[str] = None      # run to this signal
    go_on: bool = False               # False: the event itself is the moment
    frame_entry: Optional[int] = None  # the frame of the function that begins there
    examine: Optional[int] = None
    examine_size: int = 8


def _apply(out, line):
    """Takes one line; False if culprit does not write such a line."""
    if line in _PLAIN:
        return True
    if line == "continue":
        if out.go_on:
            return False
        out.go_on = True
        return True
    if found := _BREAK.fullmatch(line):
        if out.stop is not None:
            return False
        stop = Stop(int(found["pc"], 16), int(found["sp"], 16))
        if found["slot"]:
            stop.slot, stop.slot_type = int(found["slot"], 16), found["type"]
            stop.value = int(found["value"], 16)
        if found["rax"]:
            stop.rax = int(found["rax"])
        out.stop = stop
        return True
    if found := _IGNORE.fullmatch(line):
        if out.stop is None:
            return False
        out.stop.ignore = int(found["count"])
        return True
    if found := _SIGNAL.fullmatch(line):
        out.signal = found["name"]
        return True
    if found := _FRAME.fullmatch(line):
        out.frame_entry = int(found["entry"], 16)
        return True
    if found := _EXAMINE.fullmatch(line):
        out.examine = int(found["address"], 16)
        out.examine_size = int(found["size"] or 8)
        return True
    return False


def directions_of(lines):
    """None where there are none, or where one line is no line of culprit's."""
    if not isinstance(lines, list) or not lines or len(lines) > 64:
        return None
    out = Directions()
    for line in lines:
        if not isinstance(line, str) or len(line) > 300 or not _apply(out, line):
            return None
    return out
