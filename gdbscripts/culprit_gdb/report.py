"""Reads a report (docs/report.schema.json). A report may come from anybody: every number is checked, every
text is data, and nothing of it is ever given to gdb or to a shell as a command."""
import json
import os
import re

from .directions import directions_of
from .failure import Failure
from .harmless import harmless

MAX_BYTES = 64 << 20
MAX_HOPS = 1000
MAX_EVENT = (1 << 62) - 1
_HEX = re.compile(r"0x[0-9a-f]{1,16}\Z")


def hex_number(value):
    """The number of a hex string of the report; None for anything else."""
    return int(value, 16) if isinstance(value, str) and _HEX.match(value) else None


def whole_number(value, limit=MAX_EVENT):
    """An integer in [0, limit]; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= limit else None


def member(value, *names):
    """value[names[0]][names[1]]…; None where something on the way is no object or is not there."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def text(value, *names):
    found = member(value, *names)
    return harmless(found) if isinstance(found, str) else ""


class Hop:
    """One hop: numbers that were checked, and texts that are harmless."""

    def __init__(self, index, data):
        self.index = index
        self.kind = text(data, "kind")
        self.summary = text(data, "summary")
        self.confidence = text(data, "confidence")
        self.main_line = member(data, "main_line") is not False
        self.parent = whole_number(member(data, "parent"), MAX_HOPS)
        self.function = text(data, "writer", "demangled") or text(data, "writer", "function")
        self.file = text(data, "writer", "file")
        self.line = whole_number(member(data, "writer", "line"), 1 << 31) or 0
        self.source_line = text(data, "writer", "source_line")
        self.event = whole_number(member(data, "revisit", "event")) or \
            whole_number(member(data, "position", "event")) or 0
        self.thread = whole_number(member(data, "position", "thread"), 1 << 31) or 0
        self.process = whole_number(member(data, "position", "process"), 1 << 31) or 0
        self.value = hex_number(member(data, "value_after"))
        self.address = hex_number(member(data, "location", "address"))
        size = whole_number(member(data, "location", "size"), 1 << 40)
        self.size = size if size and 1 <= size <= 8 else 8
        lines = member(data, "revisit", "gdb_commands")
        # None: the report has no way to the exact moment, or it has lines that culprit does not write.
        self.directions = directions_of(lines)
        self.refused = bool(lines) and self.directions is None

    def place(self):
        if not self.file:
            return self.function
        return f"{self.function}  {self.file}:{self.line}"


class Report:
    """`path` is absolute: notes are kept beside it."""

    def __init__(self, path, data):
        if not isinstance(data, dict) or not isinstance(data.get("hops"), list) or \
                not isinstance(data.get("schema_version"), str):
            raise Failure(f"{harmless(path)}: this is no culprit report")
        if not data["schema_version"].startswith("1."):
            raise Failure(f"{harmless(path)}: a report of version "
                          f"{harmless(data['schema_version'], 20)}; these commands know version 1")
        if len(data["hops"]) > MAX_HOPS:
            raise Failure(f"{harmless(path)}: more than {MAX_HOPS} hops")
        self.path = path
        self.hops = [Hop(i, hop) for i, hop in enumerate(data["hops"])]
        self.title = text(data, "verdict", "title")
        self.trace = member(data, "trace", "directory")
        self.ticks = text(data, "engine", "ticks")

    def hop(self, argument):
        """The hop that the user names by its number."""
        if not re.fullmatch(r"#?[0-9]{1,4}", argument):
            raise Failure("say the number of a hop: culprit hops lists them")
        index = int(argument.lstrip("#"))
        if index >= len(self.hops):
            raise Failure(f"the report has no hop {index}; its last one is {len(self.hops) - 1}"
                          if self.hops else "the report has no hops")
        return self.hops[index]

    def with_directions(self, hop):
        """The hop itself, or the nearest one that it explains whose moment the report tells."""
        for _ in range(MAX_HOPS):
            if hop.directions or hop.refused or hop.parent is None or hop.parent >= hop.index:
                return hop
            hop = self.hops[hop.parent]
        return hop

    def trace_directory(self):
        """Where the trace is: the folder that the report names, or the one that it lies in. None if neither
        is a trace."""
        named = self.trace
        places = [named] if isinstance(named, str) and named.startswith("/") and "\0" not in named else []
        places.append(os.path.dirname(self.path))
        for place in places:
            if is_trace(place):
                return place
        return None


def is_trace(directory):
    return all(os.path.isfile(os.path.join(directory, name)) for name in ("version", "events", "mmaps"))


def read_report(path):
    """Errors: Failure, with the path."""
    path = os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(path):
        path = os.path.join(path, "culprit-report.json")
    try:
        with open(path, "rb") as source:
            raw = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(f"{harmless(path)}: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise Failure(f"{harmless(path)}: longer than {MAX_BYTES >> 20} MiB, so no report")
    try:
        data = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Failure(f"{harmless(path)}: not JSON, so no report") from None
    return Report(path, data)
