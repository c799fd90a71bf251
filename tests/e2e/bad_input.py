#!/usr/bin/python3
"""Bad input: each gives one clear line, its documented exit code, loses nothing, ends, and leaves no
process behind.

  bad_input.py --culprit PATH --fixtures DIR --case NAME     DIR: what fixtures/c was built to
  bad_input.py --list
"""
import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

import harness

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


class Context:
    """What a case needs: the program under test, fixtures, a work directory, and its complaints."""

    def __init__(self, culprit, fixtures, work):
        self.culprit = culprit
        self.fixtures = fixtures
        self.work = work
        self.problems = []
        self.environment = dict(os.environ)

    def fixture(self, name):
        for variant in ("clang-O1-pie", "gcc-O2-pie"):
            path = os.path.join(self.fixtures, name, variant)
            if os.path.exists(path):
                return path
        sys.exit(f"no fixture {name} in {self.fixtures}")

    def path(self, *names):
        return os.path.join(self.work, *names)

    def write(self, name, content, mode=0o644):
        path = self.path(name)
        with open(path, "wb") as target:
            target.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def culprit_run(self, *arguments, codes, says=None, seconds=60.0, environment=None, send=None,
                    prefix=(), lines=1, command=None):
        """Runs `culprit -q ARGUMENTS` and checks how it ends. `says`: a pattern that its last line on
        stderr must match; `lines`: at most this many lines of its own."""
        result = harness.run([*prefix, self.culprit, "-q", *arguments],
                             environment or self.environment, seconds, cwd=self.work, send=send)
        self.problems += result.problems
        shown = f"{' '.join(command or arguments)!r}"
        if result.code not in codes:
            self.problems.append(f"{shown}: exit code: expected {codes}, is {result.code}")
            self.problems += ["    stderr: " + line for line in result.err.splitlines()[-12:]]
        own = [line for line in result.err.splitlines() if line.startswith("culprit:")]
        if says is not None:
            if len(own) > lines or (lines == 1 and len(own) != 1):
                self.problems.append(f"{shown}: expected one line of its own, has {own}")
            if not own or not re.search(says, own[-1], re.IGNORECASE):
                self.problems.append(f"{shown}: expected a line with {says!r}, has "
                                     f"{own[-1] if own else result.err[-500:]!r}")
        for bad in ("terminate called", "Assertion", "Segmentation fault", "AddressSanitizer",
                    "runtime error:"):
            # (Its own line may quote how rr ended.)
            if any(bad in line for line in result.err.splitlines() if line not in own):
                self.problems.append(f"{shown}: {bad!r} on stderr: {result.err[-1500:]}")
        return result

    def usage_error(self, *arguments, says):
        result = self.culprit_run(*arguments, codes=[2])
        text = result.err.strip()
        if len(text.splitlines()) not in (1, 2) or not re.search(says, text, re.IGNORECASE):
            self.problems.append(f"{' '.join(arguments)!r}: expected a line or two with {says!r}, has "
                                 f"{text!r}")

    def record(self, program=None, name="trace"):
        trace = self.path(name)
        result = harness.run([self.culprit, "-q", "record", "-o", trace, "--",
                              program or self.fixture("many_hops")], self.environment, 60, self.work)
        self.problems += result.problems
        if result.code != 0:
            sys.exit(f"recording for the test failed with {result.code}: {result.err[-1000:]}")
        return trace

    def report(self, name="report.json"):
        try:
            with open(self.path(name), encoding="utf-8") as source:
                return json.load(source)
        except (OSError, ValueError) as error:
            self.problems.append(f"no report: {error}")
            return {}


def tree_digest(directory):
    """Names and contents of a directory, to see that nothing was lost or changed."""
    digest = hashlib.sha256()
    for root, directories, files in os.walk(directory):
        directories.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            digest.update(os.path.relpath(path, directory).encode())
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as source:
                    digest.update(source.read())
    return digest.hexdigest()


# --- rr -------------------------------------------------------------------------------------------


@case
def no_rr(t):
    os.mkdir(t.path("empty"))
    environment = dict(t.environment, PATH=t.path("empty"))
    t.culprit_run("run", "--", t.fixture("many_hops"), codes=[5], says=r"\brr\b",
                  environment=environment)
    t.culprit_run("record", "--", t.fixture("many_hops"), codes=[5], says=r"\brr\b",
                  environment=environment)


@case
def no_rr_for_triage(t):
    trace = t.record()
    os.mkdir(t.path("empty"))
    before = tree_digest(trace)
    t.culprit_run("triage", trace, codes=[5], says=r"\brr\b",
                  environment=dict(t.environment, PATH=t.path("empty")))
    if tree_digest(trace) != before:
        t.problems.append("the trace was changed")


def with_rr(t, script):
    os.mkdir(t.path("bin"))
    t.write("bin/rr", script, 0o755)
    return dict(t.environment, PATH=t.path("bin") + ":" + t.environment["PATH"])


@case
def old_rr(t):
    environment = with_rr(t, "#!/bin/sh\necho 'rr version 4.5.0'\n")
    t.culprit_run("run", "--", t.fixture("many_hops"), codes=[5], says=r"4\.5\.0",
                  environment=environment)


@case
def not_rr(t):
    environment = with_rr(t, "#!/bin/sh\necho 'Restaurant Rating 2.0'\n")
    t.culprit_run("run", "--", t.fixture("many_hops"), codes=[5], says=r"version",
                  environment=environment)


@case
def rr_that_hangs(t):
    environment = with_rr(t, "#!/bin/sh\nexec sleep 1000\n")
    t.culprit_run("run", "--", t.fixture("many_hops"), codes=[5], says=r"\brr\b",
                  environment=environment, seconds=90)


@case
def rr_that_dies(t):
    environment = with_rr(
        t, "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'rr version 5.6.0'; exit 0; }\n"
           "echo '[FATAL ./src/x.cc:1] something is wrong' >&2\nexit 1\n")
    t.culprit_run("run", "--", t.fixture("many_hops"), codes=[5], says=r"cannot record",
                  environment=environment)


# --- traces ---------------------------------------------------------------------------------------


@case
def missing_trace(t):
    t.culprit_run("triage", t.path("nothing"), codes=[2], says=r"nothing")


@case
def empty_directory(t):
    os.mkdir(t.path("empty"))
    t.culprit_run("triage", t.path("empty"), codes=[2], says=r"empty")


@case
def file_for_a_trace(t):
    t.culprit_run("triage", t.write("file", "text"), codes=[2], says=r"file")


@case
def foreign_directory(t):
    os.mkdir(t.path("foreign"))
    t.write("foreign/version", "not a number\n")
    t.write("foreign/events", os.urandom(4096))
    t.culprit_run("triage", t.path("foreign"), codes=[2, 6], says=r"foreign|trace")


@case
def newer_trace(t):
    trace = t.record()
    t.write("trace/version", "9999\n")
    t.culprit_run("triage", trace, codes=[2, 6], says=r"version|trace")


@case
def truncated_trace(t):
    trace = t.record()
    for name, keep in (("events", 0.5), ("events", 0), ("data", 0.3)):
        damaged = t.path(f"damaged-{name}-{keep}")
        shutil.copytree(trace, damaged, symlinks=True)
        path = os.path.join(damaged, name)
        os.truncate(path, int(os.path.getsize(path) * keep))
        # Where rr still replays up to the damage, a report that says so is right, too.
        result = t.culprit_run("triage", damaged, codes=[2, 3, 6])
        if result.code != 3 and not result.err.startswith("culprit:"):
            t.problems.append(f"{name} cut to {keep}: no line of its own: {result.err!r}")


@case
def damaged_trace(t):
    trace = t.record()
    for seed, name in enumerate(("events", "tasks", "mmaps", "data", "version")):
        damaged = t.path(f"damaged-{name}")
        shutil.copytree(trace, damaged, symlinks=True)
        path = os.path.join(damaged, name)
        with open(path, "r+b") as target:
            content = bytearray(target.read())
            for at in range(seed, len(content), 97):
                content[at] ^= 0xA5
            target.seek(0)
            target.write(content)
        t.culprit_run("triage", damaged, codes=[2, 3, 6], seconds=100)


@case
def hardware_trace_without_counters(t):
    # No such trace can be made without a counter, so rr's dump is made to show tick counts.
    if has_counters(t):
        print("this machine has hardware counters")
        return
    trace = t.record()
    rr = shutil.which("rr")
    environment = with_rr(
        t, "#!/bin/sh\n"
           f"[ \"$1\" = dump ] || exec {shlex.quote(rr)} \"$@\"\n"
           f"{shlex.quote(rr)} \"$@\" | sed 's/ ticks:0$/ ticks:4711/'\n")
    t.culprit_run("triage", trace, codes=[6], says=r"recorded with hardware counters",
                  environment=environment, seconds=30)
    t.culprit_run("triage", trace, codes=[0])


@case
def hardware_engine_without_counters(t):
    # rr itself must say it: the counters are not touched with this engine.
    if has_counters(t):
        print("this machine has hardware counters")
        return
    t.culprit_run("run", "--engine", "hardware", "--", t.fixture("many_hops"), codes=[5],
                  says=r"rr cannot open the hardware counters", seconds=30)


def has_counters(t):
    _, state = harness.doctor(t.culprit)
    checks = state["checks"] if state else []
    return any(c["name"] == "hardware counters" and c["status"] == "ok" for c in checks)


@case
def trace_of_another_machine(t):
    # The CPU that rr notes in the trace is another one: rr refuses, or the replay differs.
    trace = t.record()
    header = os.path.join(trace, "version")
    with open(header, "rb") as source:
        content = source.read()
    vendor = re.search(rb"GenuineIntel|AuthenticAMD", content)
    if not vendor:
        print("this rr keeps no CPUID records in the trace's version file")
        return
    with open(header, "wb") as target:
        target.write(content.replace(vendor.group(), b"CentaurHauls"))
    t.culprit_run("triage", trace, codes=[2, 3, 5, 6], says=None)


# --- the machine ----------------------------------------------------------------------------------


@case
def no_space(t):
    os.mkdir(t.path("small"))
    if os.geteuid() == 0:
        unshare = ["unshare", "-m"]
    else:
        unshare = ["unshare", "-r", "-m"]
    mount = f"mount -t tmpfs -o size=300k small '{t.path('small')}' && exec \"$0\" \"$@\""
    probe = subprocess.run([*unshare, "sh", "-c", mount, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        print("skipped: a small file system cannot be mounted here:", probe.stderr.decode().strip())
        sys.exit(harness.SKIP)
    t.culprit_run("run", "-o", t.path("small", "trace"), "--", t.fixture("many_hops"), codes=[5],
                  says=r"space|full|free", prefix=[*unshare, "sh", "-c", mount])


@case
def directory_that_cannot_be_made(t):
    t.culprit_run("run", "-o", "/proc/1/nothing/trace", "--", t.fixture("many_hops"), codes=[2, 5],
                  says=r"/proc/1/nothing")


@case
def directory_in_use(t):
    os.mkdir(t.path("mine"))
    t.write("mine/precious", "do not lose this")
    before = tree_digest(t.path("mine"))
    t.culprit_run("run", "-o", t.path("mine"), "--", t.fixture("many_hops"), codes=[2], says=r"mine")
    if tree_digest(t.path("mine")) != before:
        t.problems.append("the directory was changed")


@case
def json_to_a_full_device(t):
    # By a link: a tool that replaces what it should write to would replace the device itself.
    os.symlink("/dev/full", t.path("full.json"))
    result = t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("full.json"), "--",
                           t.fixture("many_hops"), codes=[1])
    if not os.path.islink(t.path("full.json")):
        t.problems.append("the link to the device was replaced")
    if "culprit:" not in result.err:
        t.problems.append("says nothing")
    if not os.path.isdir(t.path("trace")):
        t.problems.append("the trace is lost")


@case
def json_to_a_pipe(t):
    os.mkfifo(t.path("pipe"))
    reader = os.open(t.path("pipe"), os.O_RDONLY | os.O_NONBLOCK)
    # A report is larger than a pipe holds only with thousands of frames; this one is not.
    t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("pipe"), "--",
                  t.fixture("many_hops"), codes=[0])
    text = os.read(reader, 1 << 20)
    os.close(reader)
    try:
        json.loads(text)
    except ValueError as error:
        t.problems.append(f"what came through the pipe is no report: {error}")


# --- the program ----------------------------------------------------------------------------------


@case
def does_not_crash(t):
    t.culprit_run("run", "--", t.fixture("no_crash"), codes=[4], says=r"did not fail")


@case
def never_ends(t):
    result = t.culprit_run("run", "--timeout", "2", "-o", t.path("trace"), "--json",
                           t.path("report.json"), "--", t.fixture("hang"), codes=[3, 4], seconds=60)
    if result.code == 4 and "culprit:" not in result.err:
        t.problems.append("says nothing")


@case
def spins(t):
    result = t.culprit_run("run", "--", t.fixture("spin"), codes=[4, 5], seconds=60)
    if "culprit:" not in result.err:
        t.problems.append("says nothing")


@case
def no_such_program(t):
    t.culprit_run("run", "--", t.path("nothing"), codes=[2], says=r"nothing")


@case
def program_that_is_no_program(t):
    t.culprit_run("run", "--", t.write("text", "just text\n", 0o755), codes=[2, 4, 5], says=None)


@case
def interrupted(t):
    t.culprit_run("run", "-o", t.path("trace"), "--", t.fixture("hang"), codes=[130],
                  send=(2.0, signal.SIGINT), says=r"interrupt")


@case
def terminated(t):
    t.culprit_run("run", "-o", t.path("trace"), "--", t.fixture("hang"), codes=[130, 143],
                  send=(2.0, signal.SIGTERM))


@case
def binary_replaced_since(t):
    """Another program has the recorded one's name: the chain must be that of the recorded one."""
    program = t.path("program")
    shutil.copy(t.fixture("many_hops"), program)
    trace = t.record(program)
    shutil.copy(t.fixture("wild_constant"), program + ".new")
    os.replace(program + ".new", program)
    t.culprit_run("triage", trace, "--json", t.path("report.json"), codes=[0, 3, 6])
    if os.path.exists(t.path("report.json")):
        names = {hop.get("writer", {}).get("function") for hop in t.report().get("hops", [])}
        if names & {"apply_defaults", "run_handler"}:
            t.problems.append(f"functions of the new program in the chain of the old one: {names}")


@case
def binary_overwritten_since(t):
    program = t.path("program")
    shutil.copy(t.fixture("many_hops"), program)
    trace = t.record(program)
    with open(t.fixture("wild_constant"), "rb") as source, open(program, "r+b") as target:
        target.write(source.read())
    result = t.culprit_run("triage", trace, "--json", t.path("report.json"), codes=[0, 3, 6])
    if result.code == 6 and "culprit:" not in result.err:
        t.problems.append("says nothing")
    if os.path.exists(t.path("report.json")):
        names = {hop.get("writer", {}).get("function") for hop in t.report().get("hops", [])}
        if names & {"apply_defaults", "run_handler"}:
            t.problems.append(f"functions of the new program in the chain of the old one: {names}")


def stripped(t, option):
    program = t.path("stripped")
    shutil.copy(t.fixture("many_hops"), program)
    subprocess.run(["strip", option, program], check=True)
    t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("report.json"), "--", program,
                  codes=[0, 3])
    report = t.report()
    if not any("debug info" in warning and "stripped" in warning
               for warning in report.get("warnings", [])):
        t.problems.append(f"no warning says that there is no debug info: {report.get('warnings')}")
    stores = [hop for hop in report.get("hops", []) if hop.get("kind") == "store"]
    if not stores:
        t.problems.append("no store in the chain, although instructions need no debug info")
    return stores


@case
def no_debug_info(t):
    names = [hop["writer"].get("function") for hop in stripped(t, "--strip-debug")]
    if names[:3] != ["refresh", "dispatch", "enqueue"]:
        t.problems.append(f"the symbol table names the functions, the report says {names}")


@case
def no_symbols(t):
    for hop in stripped(t, "--strip-all"):
        if not hop["writer"].get("module_offset"):
            t.problems.append(f"neither a function nor a module offset: {hop['writer']}")


# --- the crash text -------------------------------------------------------------------------------


@case
def pointer_that_is_nowhere(t):
    t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("report.json"), "--pointer",
                  "0xdeadbeefcafe5e5e", "--", t.fixture("many_hops"), codes=[3])
    stopped = t.report().get("verdict", {}).get("stopped_because")
    if stopped != "value_not_found":
        t.problems.append(f"stopped_because: expected value_not_found, is {stopped}")


@case
def address_that_is_nowhere(t):
    t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("report.json"), "--address",
                  "0x10", "--", t.fixture("many_hops"), codes=[3])


@case
def crash_text_that_lies(t):
    text = t.write("lie.txt", "runtime: pointer 0xc000e4a000 to unallocated span span.base()="
                   "0xc000e4a000 span.limit=0xc000e4c000 span.state=0\n"
                   "fatal error: found bad pointer in Go heap (incorrect use of unsafe or cgo?)\n")
    t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("report.json"), "--report", text,
                  "--", t.fixture("many_hops"), codes=[3])
    stopped = t.report().get("verdict", {}).get("stopped_because")
    if stopped != "value_not_found":
        t.problems.append(f"stopped_because: expected value_not_found, is {stopped}")


@case
def crash_text_is_noise(t):
    noise = t.write("noise.txt", os.urandom(1 << 20))
    t.culprit_run("run", "-o", t.path("trace"), "--json", t.path("report.json"), "--report", noise,
                  "--", t.fixture("many_hops"), codes=[0, 2, 3])


@case
def crash_text_missing(t):
    t.culprit_run("run", "--report", t.path("nothing.txt"), "--", t.fixture("many_hops"), codes=[2],
                  says=r"nothing\.txt")


@case
def crash_text_that_attacks(t):
    """Control sequences of the program must not reach the terminal by way of the report."""
    text = t.write("attack.txt", b"panic: \x1b]0;owned\x07\x1b[2J runtime error: invalid memory\n"
                   b"[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x0]\n")
    result = t.culprit_run("run", "-o", t.path("trace"), "--report", text, "--json",
                           t.path("report.json"), "--", t.fixture("many_hops"), codes=[0, 2, 3])
    if "\x1b" in result.out or "\x07" in result.out:
        t.problems.append("an escape sequence reached stdout")


# --- usage ----------------------------------------------------------------------------------------


@case
def usage(t):
    t.usage_error(says=r"subcommand|command")
    t.usage_error("run", says=r"command")
    t.usage_error("fly", says=r"fly|subcommand|command")
    t.usage_error("run", "--no-such-option", "--", "true", says=r"no-such-option|executable|program")
    t.usage_error("run", "--pointer", "xyz", "--", "/bin/true", says=r"--pointer")
    t.usage_error("run", "--max-hops", "0", "--", "/bin/true", says=r"max-hops")
    t.usage_error("run", "--timeout", "-1", "--", "/bin/true", says=r"timeout")
    t.usage_error("triage", says=r"trace")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--culprit")
    parser.add_argument("--fixtures")
    parser.add_argument("--case", choices=sorted(CASES))
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return 0
    harness.skip_if_this_machine_cannot_record(args.culprit)
    failed = 0
    for name in [args.case] if args.case else list(CASES):
        with tempfile.TemporaryDirectory(prefix="culprit-bad-") as work:
            t = Context(os.path.abspath(args.culprit), os.path.abspath(args.fixtures), work)
            CASES[name](t)
        print(f"{name}: {'as documented' if not t.problems else 'WRONG'}")
        for problem in t.problems:
            print(f"  {problem}")
        failed += bool(t.problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
