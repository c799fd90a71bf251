"""The culprit program, for what needs passes over the trace."""
import os
import re
import shutil
import signal
import subprocess

from .failure import Failure
from .harmless import harmless


def find_tool():
    """$CULPRIT (set by `culprit open`), else in PATH. Errors: Failure."""
    named = os.environ.get("CULPRIT", "")
    if named:
        if os.access(named, os.X_OK) and os.path.isfile(named):
            return named
        raise Failure(f"$CULPRIT names no program: {harmless(named)}")
    found = shutil.which("culprit")
    if not found:
        raise Failure("this needs the culprit program: it is not in PATH, and $CULPRIT does not name it")
    return found


def run_tool(arguments, timeout=600):
    """Runs it with stdin closed: (exit code, stdout, stderr). Ends it with the wait (Ctrl-C, deadline)."""
    command = [find_tool(), *arguments]
    # A session of its own: Ctrl-C is gdb's first, and whatever it started ends with it.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True) as child:
        try:
            out, err = child.communicate(timeout=timeout)
        except BaseException as error:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failure(f"culprit did not end within {timeout:.0f} s") from None
            raise
    return child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def has_command(name):
    """Whether this culprit has the subcommand."""
    _, out, _ = run_tool(["--help"], timeout=30)
    return re.search(rf"^ +{re.escape(name)}\b", out, re.M) is not None
