"""Runs a command with a deadline and finds what it leaves behind. Standard library only."""
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77
PR_SET_CHILD_SUBREAPER = 36


class Result:
    """How a command ended: code, out, err, seconds, and what it did wrong as a process."""

    def __init__(self):
        self.code = None
        self.out = ""
        self.err = ""
        self.seconds = 0.0
        self.problems = []


def become_subreaper():
    """Orphans of a test come to this process, so that none can hide."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(pid):
    """The pids of the living children, zombies not counted."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(entry))
    return found


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as source:
            return source.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass


def end_leftovers(grace=3.0):
    """Waits a moment for orphans, kills those that stay, and returns their command lines."""
    deadline = time.monotonic() + grace
    left = []
    while time.monotonic() < deadline:
        reap()
        left = children_of(os.getpid())
        if not left:
            return []
        time.sleep(0.005)
    names = [f"{pid} {command_line(pid)}" for pid in left]
    for _ in range(100):  # the children of the killed ones come here too
        left = children_of(os.getpid())
        if not left:
            break
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
        reap()
    return names


def wait(child, seconds):
    """As Popen.wait(), which with a limit sleeps for up to 50 ms between two looks."""
    if child.poll() is not None:  # its pid is nobody's by now
        return
    descriptor = os.pidfd_open(child.pid)
    try:
        select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
    if child.poll() is None:
        raise subprocess.TimeoutExpired(child.args, seconds)


def run(command, environment=None, timeout=60.0, cwd=None, send=None):
    """Runs `command`. `send` is (seconds, signal): what to send to it, and when."""
    become_subreaper()
    result = Result()
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                 env=environment, cwd=cwd, start_new_session=True)
        try:
            if send:
                try:
                    wait(child, send[0])
                except subprocess.TimeoutExpired:
                    child.send_signal(send[1])
            wait(child, max(0.1, timeout - (time.monotonic() - started)))
        except subprocess.TimeoutExpired:
            result.problems.append(f"hangs: still running after {timeout:.0f} s")
            child.kill()
            child.wait()
        result.seconds = time.monotonic() - started
        result.code = child.returncode
        left = end_leftovers()
        if left:
            result.problems.append("left processes behind: " + "; ".join(left))
        for stream, name in ((out, "out"), (err, "err")):
            stream.seek(0)
            setattr(result, name, stream.read(4 << 20).decode(errors="replace"))
    return result


def doctor(culprit):
    """The machine's state, as `culprit doctor --json` tells it; None if it cannot be asked."""
    result = run([culprit, "doctor", "--json"], timeout=60)
    try:
        return result.code, json.loads(result.out)
    except ValueError:
        return result.code, None


def skip_if_this_machine_cannot_record(culprit):
    """Exits with 77 if rr cannot work here at all. A broken culprit is not a reason to skip."""
    reason = None
    if not any(os.access(os.path.join(d, "rr"), os.X_OK) for d in os.environ["PATH"].split(":")):
        reason = "no rr in PATH"
    elif ptrace_refused():
        reason = "ptrace is refused here (a container without SYS_PTRACE?)"
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIP)
    if not os.access(culprit, os.X_OK):
        print(f"no program {culprit}")
        sys.exit(1)


def ptrace_refused():
    """Tries PTRACE_TRACEME in a child."""
    pid = os.fork()
    if pid == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else 1)
    _, status = os.waitpid(pid, 0)
    return not (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0)


def schema_problems(reports, schema_path):
    """What is wrong with each of `reports` (name, JSON), by jsonschema (scripts/test installs it)."""
    try:
        import jsonschema
    except ImportError:
        return ["python3-jsonschema is not installed, the reports were not validated"]
    with open(schema_path, encoding="utf-8") as source:
        schema = json.load(source)
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
            for name, report in reports for error in list(validator.iter_errors(report))[:10]]
