#!/usr/bin/python3
"""`culprit open` and the commands for gdb (gdbscripts/), against real recordings.

  open.py --culprit PATH --program PATH [--argument TEXT]... [--env NAME=VALUE]... --case NAME

Cases:
  hops      opens each hop, and looks whether gdb stands there, with the slot holding the hop's value; then
            goes to all of them in one session, from the last to the first and back
  speed     the way to a hop takes at most 3 times what plain rr takes to the hop's event
  terminal  on a terminal: a prompt, Ctrl-C, quit, and SIGTERM, SIGHUP; nothing is left behind
  hostile   nothing of a report becomes a command
  blame     `culprit blame` of each hop's slot, asked at the hop, gives the chain from that hop on
  bare      the commands in a gdb that has no rr, no report and no culprit program, and notes
  backwards a report of the reverse engine (the trace has exact ticks): its packets are logged, the choice is
            told, each hop is opened, and there gdb runs backwards, too; debuggers that are none

Exit code: 0 all true, 1 not, 77 this machine cannot record, or there is no gdb (ctest: skipped).
"""
import argparse
import json
import os
import pty
import re
import select
import shutil
import signal
import sys
import tempfile
import time

import harness
from revisit import MARK, number_after, section

LIMIT = 100  # seconds for one command on a busy machine


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--argument", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--case", required=True, choices=sorted(CASES))
    args = parser.parse_args()
    args.culprit = os.path.abspath(args.culprit)
    harness.skip_if_this_machine_cannot_record(args.culprit)
    if shutil.which("gdb") is None:
        print("skipped: no gdb in PATH")
        sys.exit(harness.SKIP)
    harness.become_subreaper()
    with tempfile.TemporaryDirectory(prefix="culprit-e2e-") as work:
        path, report, problems = record(args, work)
        if not problems:
            problems = CASES[args.case](args, work, path, report)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def record(args, work):
    path = os.path.join(work, "report.json")
    environment = dict(os.environ, **dict(pair.split("=", 1) for pair in args.env))
    trace, program = os.path.join(work, "trace"), os.path.abspath(args.program)
    if args.case == "backwards":
        recorded = harness.run([args.culprit, "-q", "record", "--engine", "exact", "--no-verify", "-o", trace, "--",
                                program], environment, LIMIT, cwd=work)
        if recorded.code != 0:
            return path, None, [f"not recorded: {recorded.err}", *recorded.problems]
        command = ["triage", "--engine", "reverse", "--rsp-log", os.path.join(work, "packets"), "--json", path, trace]
    else:
        command = ["run", "-o", trace, "--json", path, "--", program, *args.argument]
    result = harness.run([args.culprit, "-q", *command], environment, LIMIT, cwd=work)
    try:
        with open(path, encoding="utf-8") as source:
            return path, json.load(source), result.problems
    except (OSError, ValueError) as error:
        return path, None, [f"no report: {error}", *result.err.splitlines()[-10:]]


def quiet_home(work):
    """The user's own .gdbinit is not under test."""
    return dict(os.environ, HOME=work, LC_ALL="C", TERM="dumb")


def open_hop(args, work, path, hop, commands=(), options=()):
    command = [args.culprit, "-q", "open", path, "--hop", str(hop), "--batch", *options]
    for line in commands:
        command += ["-c", line]
    return harness.run(command, quiet_home(work), LIMIT, cwd=work)


def looks(hop):
    """The gdb commands that show where it stands, and what the hop's slot holds."""
    lines = [f"echo {MARK} pc\\n", "p/x $pc"]
    if hop["writer"].get("pc"):
        lines += [f"echo {MARK} code\\n", f"x/2i {hop['writer']['pc']}"]
    if "address" in hop.get("location", {}):
        location = hop["location"]
        lines += [f"echo {MARK} slot\\n", f"x/{location['size']}xb {location['address']}"]
    return lines + [f"echo {MARK} frame\\n", "python print(gdb.selected_frame().name())",
                    f"echo {MARK} end\\n"]


def stands_wrong(hop, out):
    """What is wrong with where gdb stands, as it said after looks()."""
    stands_at = number_after(out, "pc", r"\$\d+ = (0x[0-9a-f]+)")
    if stands_at is None:
        return ["gdb does not stand anywhere: " + " | ".join(out.splitlines()[-8:])]
    problems = []
    pc = hop["writer"].get("pc")
    if pc and hop["kind"] in ("store", "runtime_store"):
        addresses = [int(a, 16) for a in re.findall(r"^(?:=>)?\s*(0x[0-9a-f]+)", section(out, "code"), re.M)]
        if addresses[1:2] != [stands_at]:
            problems.append(f"stands at {stands_at:#x}, not behind {pc}")
    if pc and hop["kind"] == "crash_report" and "instruction" in hop["writer"] and stands_at != int(pc, 16):
        problems.append(f"stands at {stands_at:#x}, not at {pc}")
    function = hop["writer"].get("function")
    frame = section(out, "frame").strip()
    if function and not hop["writer"].get("inlined_in") and frame != function and \
            hop["kind"] in ("store", "crash_report"):
        problems.append(f"the selected frame is {frame}, not {function}")
    if "address" in hop.get("location", {}) and "value_after" in hop:
        data = re.findall(r"\t(0x[0-9a-f]{2})\b", section(out, "slot"))
        value = sum(int(byte, 16) << 8 * i for i, byte in enumerate(data))
        if value != int(hop["value_after"], 16):
            problems.append(f"the slot holds {value:#x}, not {hop['value_after']}")
    return problems


def with_moment(report):
    return [hop for hop in report["hops"] if hop.get("revisit", {}).get("gdb_commands")]


def check_hops(args, work, path, report):
    problems = []
    visited = with_moment(report)
    if len(visited) < 2:
        return [f"the report tells the moment of {len(visited)} hops only"]
    for hop in visited:
        result = open_hop(args, work, path, hop["index"], looks(hop))
        found = result.problems + stands_wrong(hop, result.out)
        if result.code != 0:
            found.append(f"left with {result.code}: {result.err[-400:]}")
        if f"hop {hop['index']}: " not in result.out:
            found.append("the hop was not shown: " + result.out[-400:])
        print(f"#{hop['index']} {hop['kind']}: {result.seconds:.1f} s, {'; '.join(found) or 'stands there'}")
        problems += [f"#{hop['index']}: {problem}" for problem in found]

    # All in one session: each restarts the replay; a breakpoint and a signal of the user's stay as they are.
    order = [*reversed(visited), *visited[1:]]
    commands = ["break abort", "handle SIGUSR2 nostop noprint pass"]
    for hop in order:
        commands += [f"echo {MARK}-at {hop['index']}\\n", f"culprit goto {hop['index']}", *looks(hop)]
    commands += [f"echo {MARK}-at end\\n", "culprit hops", "info breakpoints", "info signals SIGUSR2",
                 "info signals SIGUSR1"]
    result = open_hop(args, work, path, 0, commands)
    problems += result.problems
    parts = re.split(rf"{MARK}-at (\w+)\n", result.out)
    for hop, at, text in zip(order, parts[1::2], parts[2::2]):
        found = ["another hop"] if at != str(hop["index"]) else stands_wrong(hop, text)
        problems += [f"culprit goto {hop['index']}: {problem}" for problem in found]
    if len(parts) != 2 * (len(order) + 1) + 1:
        problems.append(f"culprit goto: {len(parts)} parts: {result.out[-800:]} {result.err[-400:]}")
    end = parts[-1]
    if f"=> #{order[-1]['index']}" not in end:
        problems.append("culprit hops does not mark where it stands: " + end)
    if not re.search(r"breakpoint +keep y .*abort|breakpoint +keep y +<PENDING> +abort", end) or \
            end.count("breakpoint") > 2:
        problems.append("the user's breakpoint is not as it was: " + end)
    if not re.search(r"SIGUSR2\s+No\s+No\s+Yes", end) or not re.search(r"SIGUSR1\s+Yes\s+Yes\s+Yes", end):
        problems.append("the user's signals are not as they were: " + end)
    return problems


def check_speed(args, work, path, report):
    hop = with_moment(report)[1]
    event = hop["revisit"]["event"]

    def plain():
        command = re.sub(r" rr replay ", f" rr replay -g {event} ", re.sub(r" -g \d+", "", hop["revisit"]["command"]))
        return harness.run(["/bin/sh", "-c", f"{command} < /dev/null"], quiet_home(work), LIMIT, cwd=work)

    def ours():
        return open_hop(args, work, path, hop["index"])

    problems = []
    best = {}
    for _ in range(3):
        for name, run in (("plain rr to its event", plain), ("culprit open to the hop", ours)):
            result = run()
            problems += result.problems
            best[name] = min(best.get(name, result.seconds), result.seconds)
    for name, seconds in best.items():
        print(f"{name}: {seconds:.2f} s (the best of 3)")
    low, high = best.values()
    print(f"ratio {high / low:.2f}")
    if high > 3 * low:
        problems.append(f"culprit open took {high:.2f} s, more than 3 times {low:.2f} s")
    return problems


class Terminal:
    """A command on a terminal of its own, as a person has it."""

    def __init__(self, command, environment, cwd):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(command[0], command, environment)
        self.text = ""

    def wait_for(self, pattern, seconds=60):
        """Reads until the text has the pattern; False at the end or after the time."""
        deadline = time.monotonic() + seconds
        start = len(self.text)
        while time.monotonic() < deadline:
            if re.search(pattern, self.text[start:]):
                return True
            ready, _, _ = select.select([self.fd], [], [], 0.2)
            if ready:
                try:
                    data = os.read(self.fd, 65536)
                except OSError:
                    return bool(re.search(pattern, self.text[start:]))
                if not data:
                    return False
                self.text += data.decode(errors="replace")
        return False

    def send(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=20):
        """The exit status, or None if it still runs after the time (then it is killed)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            ready, _, _ = select.select([self.fd], [], [], 0.1)
            if ready:
                try:
                    self.text += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    time.sleep(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return None


def below(pid):
    """The pids of all descendants."""
    found = []
    for child in harness.children_of(pid):
        found += [child, *below(child)]
    return found


def check_terminal(args, work, path, _report):
    problems = []
    command = [args.culprit, "open", path, "--hop", "1"]
    for how in ("quit", signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        terminal = Terminal(command, quiet_home(work), work)
        name = how if how == "quit" else how.name
        if not terminal.wait_for(r"slot 0x[\s\S]*\((?:gdb|rr)\) "):
            problems.append(f"{name}: no prompt at the hop: {terminal.text[-800:]}")
        family = below(terminal.pid)
        programs = {harness.command_line(pid).split(" ")[0].rsplit("/", 1)[-1] for pid in family}
        if not {"rr", "gdb"} <= programs:
            problems.append(f"{name}: rr and gdb do not run: {programs}")
        terminal.send("\x03")
        terminal.send("print 6 * 7\n")
        if not terminal.wait_for(r"\$1 = 42"):
            problems.append(f"{name}: no prompt after Ctrl-C: {terminal.text[-800:]}")
        wanted = 0
        if how == "quit":
            terminal.send("set confirm off\nquit\n")
        else:
            os.kill(terminal.pid, how)
            wanted = -signal.SIGKILL if how == signal.SIGKILL else 130
        code = terminal.end()
        if code != wanted:
            problems.append(f"{name}: left with {code}: {terminal.text[-400:]}")
        left = harness.end_leftovers(5)
        print(f"{name}: exit code {code}, {len(family)} processes below it, left: {left or 'none'}")
        problems += [f"{name} left behind: {process}" for process in left]
    return problems


# A file that no command may make, and how one would make it.
def attacks(target):
    shell = f"touch {target}"
    return [f"shell {shell}", f"!{shell}", f"python open('{target}', 'w')", f"pipe info line | {shell}",
            f"break *0x1 if $_shell(\"{shell}\")", f"break *0x1 if $rsp == 0x1 && $_shell(\"{shell}\")",
            f"x/gx 0x1\nshell {shell}", f"x/gx 0x1 \n!{shell}\n", f"source |{shell}", f"frame function *0x1\n!{shell}",
            f"handle SIGSEGV\n!{shell}\n stop print", f"eval \"shell {shell}\"", f"x/8xb $_shell(\"{shell}\")",
            f"ignore $bpnum 1\nshell {shell}", f"set logging file |{shell}"]


def check_hostile(args, work, path, report):
    problems = []
    target = os.path.join(work, "touched")
    victim = with_moment(report)[1]["index"]

    def attempt(name, change, codes):
        changed = json.loads(json.dumps(report))
        change(changed)
        bad = os.path.join(work, "hostile.json")
        with open(bad, "w", encoding="utf-8") as out:
            json.dump(changed, out)
        result = open_hop(args, work, bad, victim, ["culprit hops", "culprit note"])
        for problem in result.problems:
            problems.append(f"{name}: {problem}")
        if os.path.exists(target):
            problems.append(f"{name}: a command of the report ran")
            os.remove(target)
        if result.code not in codes:
            problems.append(f"{name}: left with {result.code}: {result.err[-300:]}")
        if "Traceback" in result.out + result.err:
            problems.append(f"{name}: a traceback: {result.err[-600:]}")
        for character in "\x1b\x07\u202e\u200b":
            if character in result.out + result.err:
                problems.append(f"{name}: U+{ord(character):04X} reached the terminal")
        return result

    for attack in attacks(target):
        def into_commands(changed, attack=attack):
            for at in (0, 2, len(changed["hops"][victim]["revisit"]["gdb_commands"])):
                changed["hops"][victim]["revisit"]["gdb_commands"].insert(at, attack)
        # It stands at the event: what culprit does not write is not believed in any part.
        result = attempt(repr(attack), into_commands, (0,))
        if "are not culprit's and were not used" not in result.out:
            problems.append(f"{attack!r}: the commands were believed: {result.out[-300:]}")

    def into_command(changed):
        for hop in changed["hops"]:
            if "revisit" in hop:
                hop["revisit"]["command"] = f"touch {target}; touch {target} #"
    attempt("the shell line", into_command, (0,))

    def into_texts(changed):
        text = f"\x1b]0;x\x07\x1b[2J\u202e\u200b\n(gdb) shell touch {target}\n`touch {target}`$(touch {target})"
        for hop in changed["hops"]:
            hop["summary"] = hop["note"] = text
            for member in ("function", "demangled", "file", "source_line", "module"):
                hop["writer"][member] = text
        changed["verdict"]["title"] = text
        changed["program"]["cwd"] = text
    attempt("texts", into_texts, (0,))

    for directory in (f"/tmp\n!touch {target}", f"$(touch {target})", "-x/etc/passwd", "/nonexistent; touch x", "/"):
        def into_trace(changed, directory=directory):
            changed["trace"]["directory"] = directory
        # Beside the report there is no trace either: refused with a line.
        result = attempt(f"trace {directory!r}", into_trace, (2,))
        if "culprit: " not in result.err:
            problems.append(f"trace {directory!r}: no line: {result.err[-300:]}")

    def huge(changed):
        changed["hops"][victim]["revisit"]["event"] = (1 << 62) - 1
    attempt("an event beyond the end", huge, (6,))

    def other_value(changed):
        changed["hops"][victim]["value_after"] = "0x1234"
    result = attempt("another value", other_value, (6,))
    if "the report says 0x1234" not in result.out + result.err:
        problems.append("a value that the slot does not hold was not noticed: " + result.err[-300:])
    return problems


def chain_from(report, first):
    """What must not depend on where the question was asked."""
    return [(hop["kind"], hop["writer"].get("function"), hop["writer"].get("line"), hop.get("value_after"),
             hop.get("location", {}).get("address")) for hop in report["hops"][first:] if hop.get("main_line", True)]


def check_blame(args, work, path, report):
    problems = []
    asked = 0
    for hop in with_moment(report):
        location = hop.get("location", {})
        if hop.get("main_line") is False:
            continue
        if hop["kind"] not in ("store", "runtime_store", "kernel_write") or location.get("size") not in (1, 2, 4, 8):
            continue
        kind = {1: "char", 2: "short", 4: "int", 8: "long"}[location["size"]]
        copy = os.path.join(work, f"blame-{hop['index']}.json")
        everything = [f"culprit history *(unsigned {kind}*){location['address']}"] if asked == 0 else []
        result = open_hop(args, work, path, hop["index"], [
            "set language c", f"culprit blame *(unsigned {kind}*){location['address']}",
            "python import shutil",
            f"python shutil.copy(gdb.convenience_variable('culprit_blame').string(), '{copy}')", *everything])
        name = f"#{hop['index']} {hop['kind']}"
        problems += [f"{name}: {problem}" for problem in result.problems]
        asked += 1
        if everything:
            listed = result.out[result.out.find(" bytes, holds "):]
            writer = hop["writer"]
            name_there = writer.get("demangled") or writer.get("function", "")
            for part in (f"event {hop['position']['event']}", name_there):
                if part not in listed:
                    problems.append(f"{name}: culprit history does not tell {part!r}: {listed[-900:]} {result.err[-300:]}")
        try:
            with open(copy, encoding="utf-8") as source:
                found = json.load(source)
        except (OSError, ValueError):
            problems.append(f"{name}: no answer: {result.out[-600:]} {result.err[-600:]}")
            continue
        wanted, got = chain_from(report, hop["index"]), chain_from(found, 1)
        # It may go on: where a stale slot explains the crash, a chain ends that has a past of its own.
        same = got[:len(wanted)] == wanted
        print(f"{name}: {result.seconds:.1f} s, {len(got)} hops, "
              f"{'the same' if same else 'others'}")
        if not same:
            problems.append(f"{name}: the chain is another:\n  {wanted}\n  {got}")
        if found["hops"][0].get("value_after") != hop["value_after"] or \
                any("look like" in warning for warning in found.get("warnings", [])):
            problems.append(f"{name}: asked elsewhere: {found['hops'][0]} {found.get('warnings')}")
    if asked == 0:
        problems.append("there is no hop to ask about")
    # Between system calls, at a place that the report does not know, and of what has no address.
    result = open_hop(args, work, path, 0, ["culprit blame $rax", "culprit blame no_such_variable",
                                            "culprit blame", "culprit history *(long*)$rsp"])
    for line in ("is in no memory", "No symbol", "say an expression"):
        if line not in result.err:
            problems.append(f"no line with {line!r}: {result.err[-600:]}")
    if "Traceback" in result.err:
        problems.append("a traceback: " + result.err[-600:])
    return problems + moments_by_hand(args, work, report)


def moments_by_hand(args, work, report):
    """triage --at-…, without registers: how many moments look alike is said, and a hit tells them apart."""
    problems = []
    hop = next((hop for hop in with_moment(report) if hop["kind"] in ("store", "runtime_store")), None)
    if hop is None:
        return problems
    found = re.search(r"break \*(0x[0-9a-f]+)", " ".join(hop["revisit"]["gdb_commands"]))
    whole = {"--at-event": str(hop["revisit"]["event"]), "--at-thread": str(hop["position"]["thread"]),
             "--at-pc": found[1], "--address": hop["location"]["address"], "--size": str(hop["location"]["size"])}

    def triage(changes, code):
        options = {name: value for name, value in dict(whole, **changes).items() if value is not None}
        path = os.path.join(work, "by-hand.json")
        if os.path.exists(path):
            os.remove(path)
        command = [args.culprit, "-q", "triage", report["trace"]["directory"], "--json", path]
        for name, value in options.items():
            command += [name, value]
        result = harness.run(command, None, LIMIT, cwd=work)
        problems.extend(result.problems)
        if result.code not in code:
            problems.append(f"triage {changes}: left with {result.code}: {result.err[-300:]}")
        if not os.path.exists(path):
            return {}, result.err
        with open(path, encoding="utf-8") as source:
            return json.load(source), result.err

    last, _ = triage({}, (0, 3))
    alike = [re.match(r"(\d+) moments look like", warning) for warning in last.get("warnings", [])]
    count = next((int(match[1]) for match in alike if match), 1)
    print(f"by hand: {count} moments look alike")
    if count > 1 and last["suspect"]["confidence"] != "likely":
        problems.append("one of several moments is called proved")
    one, _ = triage({"--at-hit": str(count)}, (0, 3))
    if chain_from(one, 1) != chain_from(last, 1) or any("look like" in w for w in one.get("warnings", [])):
        problems.append(f"--at-hit {count} is not the last moment: {one.get('warnings')}")
    _, why = triage({"--at-hit": str(count + 1)}, (2,))
    if "no moment of the trace" not in why:
        problems.append(f"one hit too many: {why}")
    for change in ({"--at-event": "999999999"}, {"--at-thread": "1"}, {"--address": None}, {"--at-pc": None},
                   {"--at-thread": None}, {"--at-event": None}, {"--at-pc": "0x1"}, {"--at-registers": "rax=0x1"},
                   {"--size": "9"}, {"--at-hit": "0"}, {"--at-event": "-1"}):
        _, why = triage(change, (2,))
        if len(why.strip().splitlines()) > 3:
            problems.append(f"triage {change}: {why[-400:]}")
    return problems


def check_bare(args, work, path, report):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "gdbscripts", "culprit.py")
    environment = dict(quiet_home(work), PATH="/usr/bin:/bin")
    for name in ("CULPRIT", "CULPRIT_TRACE", "CULPRIT_REPORT"):
        environment.pop(name, None)
    problems = []

    def gdb_says(wanted, *commands, program=()):
        command = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", f"source {script}"]
        for line in commands:
            command += ["-ex", line]
        result = harness.run([*command, *program], environment, LIMIT, cwd=work)
        text = result.out + result.err
        problems.extend(result.problems)
        if "Traceback" in text or "internal error" in text:
            problems.append(f"{commands}: {text[-600:]}")
        for line in wanted:
            if line not in text:
                problems.append(f"{commands}: no line with {line!r}: {text[-900:]}")
        return text

    gdb_says(["culprit: no report is loaded: culprit load REPORT.json"], "culprit hops")
    gdb_says(["no report is loaded"], "culprit goto 1")
    gdb_says(["no report is loaded"], "culprit note text")
    gdb_says(["No such file or directory"], "culprit load nowhere.json")
    gdb_says(["say which report"], "culprit load")
    gdb_says(["nothing is being replayed"], "culprit blame 1")
    gdb_says(["nothing is being replayed"], "culprit history 1")
    gdb_says(["no command nonsense"], "culprit nonsense")
    gdb_says(["culprit goto -- Stand exactly at a hop"], "culprit")
    gdb_says(["nothing is being replayed"], f"culprit load {path}", "culprit goto 1")
    gdb_says([f"the report has no hop {len(report['hops'])}"], f"culprit load {path}",
             f"culprit goto {len(report['hops'])}")
    for argument in ("-1", "x", "1 2", "$(id)", ""):
        gdb_says(["say the number of a hop"], f"culprit load {path}", f"culprit goto {argument}")
    gdb_says([f"#{hop['index']}" for hop in report["hops"]], f"source {script}", f"culprit load {path}", "culprit hops")
    gdb_says(["was not started by rr"], "starti", f"culprit load {path}", "culprit goto 1", program=["/bin/true"])
    gdb_says(["was not started by rr"], "starti", "culprit blame *(long*)$rsp", program=["/bin/true"])

    for name, text in (("empty", ""), ("no JSON", "{"), ("another JSON", '{"hops": 1}'), ("a list", "[]"),
                       ("deep", "[" * 100000), ("version 2", '{"schema_version": "2.0", "hops": []}'),
                       ("bytes", "\udcff")):
        bad = os.path.join(work, "bad.json")
        with open(bad, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(text)
        gdb_says(["culprit: "], f"culprit load {bad}", "culprit hops")

    # Notes: kept, shown with their hop, inert; a note that cannot be kept is said to be lost.
    gdb_says(["kept in "], f"culprit load {path}", "culprit note first \x1b[2J 'quoted' \\ $(id)")
    text = gdb_says(["first \\x1b[2J 'quoted' \\ $(id)", "second"], f"culprit load {path}", "culprit note second",
                    "culprit note")
    if "\x1b" in text:
        problems.append("an escape of a note reached the terminal")
    kept = path[:-len(".json")] + ".notes.jsonl"
    with open(kept, encoding="utf-8") as source:
        lines = source.read().splitlines()
    if [json.loads(line)["text"] for line in lines] != ["first \x1b[2J 'quoted' \\ $(id)", "second"]:
        problems.append(f"the notes were not kept as they were written: {lines}")
    with open(kept, "a", encoding="utf-8") as out:
        out.write("no JSON\n[1]\n{\"text\": 1}\n" + json.dumps({"text": "\x1b]0;x\x07", "time": 1, "event": []}) + "\n")
    text = gdb_says(["\\x1b]0;x\\x07", "second"], f"culprit load {path}", "culprit note")
    os.remove(kept)
    os.mkdir(kept)
    gdb_says(["notes.jsonl: "], f"culprit load {path}", "culprit note lost")
    left = [name for name in os.listdir(work) if name.startswith(".report")]
    if left:
        problems.append(f"temporary files were left: {left}")
    return problems


def check_backwards(args, work, path, report):
    problems = []
    engine = report["engine"]
    if (engine["name"], engine["choice"]) != ("exact-ticks/reverse", "asked for") or not engine["limitations"]:
        problems.append(f"the report does not tell how it was made: {engine}")
    packets = os.path.join(work, "packets")
    with open(packets, encoding="ascii") as source:
        lines = source.read().splitlines()
    if any(not re.fullmatch(r" *[0-9]+\.[0-9]{3} (->|<-|!!) .*", line) for line in lines):
        problems.append("a line of the packets' log is none")
    for sign in (" -> bc", " -> vRun;;", " -> Z2,", " <- T05thread:p"):
        if not any(sign in line for line in lines):
            problems.append(f"the packets' log has no {sign!r}")
    if os.stat(packets).st_mode & 0o077:
        problems.append("others can read the packets, which have the program's memory in them")

    stores = 0
    for hop in with_moment(report):
        back = []
        if hop["kind"] == "store":
            slot = f"*(unsigned long*){hop['location']['address']}"
            back = ["set language c", "reverse-stepi", f"echo {MARK} before\\n", "p/x $pc", f"p/x {slot}",
                    f"echo {MARK} end\\n", f"culprit goto {hop['index']}", f"echo {MARK} again\\n", "p/x $pc",
                    f"p/x {slot}", f"echo {MARK} end\\n"]
        result = open_hop(args, work, path, hop["index"], [*looks(hop), *back])
        problems += result.problems
        found = [] if result.code == 0 else [f"left with {result.code}: {result.err[-400:]}"]
        found += stands_wrong(hop, result.out)
        if back and not found:
            stores += 1
            before = re.findall(r" = (0x[0-9a-f]+)", section(result.out, "before"))
            again = re.findall(r" = (0x[0-9a-f]+)", section(result.out, "again"))
            if before != [hop["writer"]["pc"], hop["value_before"]]:
                found.append(f"one instruction back: {before}")
            if again[1:] != [hop["value_after"]] or again[:1] == before[:1]:
                found.append(f"at the hop again: {again}")
        problems += [f"hop {hop['index']}: {problem}" for problem in found]
    if stores == 0:
        problems.append("no hop is a store")

    for debugger, codes in (("/nonexistent/gdb", (2,)), (work, (2,)), ("/bin/false", (6,))):
        result = open_hop(args, work, path, 0, options=["--debugger", debugger])
        problems += [f"{debugger}: {problem}" for problem in result.problems]
        if result.code not in codes:
            problems.append(f"--debugger {debugger}: left with {result.code}: {result.err[-300:]}")
    return problems


CASES = {"backwards": check_backwards, "bare": check_bare, "blame": check_blame, "hops": check_hops, "speed": check_speed, "terminal": check_terminal, "hostile": check_hostile}

if __name__ == "__main__":
    sys.exit(main())
