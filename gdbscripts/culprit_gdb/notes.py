"""Notes beside a report: NAME.notes.jsonl, one JSON object a line. Written whole or not at all."""
import json
import os
import tempfile
import time

from .failure import Failure
from .harmless import harmless

MAX_BYTES = 4 << 20
MAX_TEXT = 4000


def notes_path(report_path):
    stem = report_path[:-5] if report_path.endswith(".json") else report_path
    return stem + ".notes.jsonl"


def _read(path):
    try:
        with open(path, "rb") as source:
            raw = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Failure(f"{harmless(path)}: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise Failure(f"{harmless(path)}: full ({MAX_BYTES >> 20} MiB)")
    return raw


def read_notes(report_path):
    """The notes, oldest first; lines that are none are passed over."""
    found = []
    for line in _read(notes_path(report_path)).decode("utf-8", "replace").splitlines():
        try:
            note = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(note, dict) and isinstance(note.get("text"), str):
            found.append(note)
    return found


def add_note(report_path, note):
    """Adds one. Returns the file's path. Errors: Failure, and the file is as it was."""
    path = notes_path(report_path)
    note = dict(note, time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    note["text"] = note["text"][:MAX_TEXT]
    old = _read(path)
    if old and not old.endswith(b"\n"):
        old += b"\n"
    line = json.dumps(note, ensure_ascii=True).encode() + b"\n"
    if len(old) + len(line) > MAX_BYTES:
        raise Failure(f"{harmless(path)}: full ({MAX_BYTES >> 20} MiB)")
    folder, name = os.path.split(path)
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        with os.fdopen(descriptor, "wb") as out:
            out.write(old + line)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            try:
                os.unlink(temporary)
            except OSError:
                pass
        raise Failure(f"the note was not kept: {harmless(path)}: {error.strerror}") from None
    return path
