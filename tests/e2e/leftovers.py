#!/usr/bin/python3
"""No command leaves an rr, a gdb or a recorded program behind, also not where it is ended in the middle.

  leftovers.py --culprit FILE --program FILE --exact-program FILE --command NAME
  leftovers.py --list

The command runs once to its end and then, for each of SIGINT, SIGTERM, SIGHUP and SIGKILL, is sent that at
some places of the time that it took. It must end soon after, and as one that was interrupted, unless it had
come to its end already. This process is made a subreaper: whatever outlives the command becomes its child
and is found by its pid. `--exact-program` is recorded with exact ticks, for the reverse engine.
Exit code: 0 nothing is left, 1 something is, 77 this machine cannot record.
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness  # noqa: E402

LIMIT = 200
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
# Of the time that the whole command takes: a starting rr, a running one, one about to be ended.
PLACES = (0.1, 0.4, 0.8)
# What a command may take to end after a signal, on a busy machine.
SOON = 10
# A command that takes so long cannot be through at the first of the places.
LONG = 0.5
# What each needs that another command made.
COMMANDS = {"record": (), "run": (), "triage": ("trace",), "triage-exact": ("exact",),
            "triage-backwards": ("exact",), "open": ("report",), "open-debugger": ("report",),
            "history": ("trace",), "bundle": ("report",), "triage-bundle": ("bundle",), "ci": (),
            "batch": ()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--culprit")
    parser.add_argument("--program")
    parser.add_argument("--exact-program")
    parser.add_argument("--command", choices=COMMANDS)
    args = parser.parse_args()
    if args.list:
        print("\n".join(COMMANDS))
        return 0
    culprit = [os.path.abspath(args.culprit), "-q"]
    harness.skip_if_this_machine_cannot_record(culprit[0])
    if args.command.startswith("open") and not shutil.which("gdb"):
        print("skipped: no gdb")
        return harness.SKIP
    problems = []
    with tempfile.TemporaryDirectory(prefix="culprit-leftovers-") as work:
        environment = dict(os.environ, HOME=work, XDG_DATA_HOME=os.path.join(work, "data"))

        def run(name, command, send=None):
            result = harness.run(command, environment, LIMIT, cwd=work, send=send)
            problems.extend(f"{name}: {problem}" for problem in result.problems)
            return result

        def prepare(name, command):
            result = run(name, culprit + command)
            if result.code not in (0, 3):
                problems.append(f"{name}: left with {result.code}: {result.err[-300:]}")

        def path(name):
            return os.path.join(work, name)

        program, exact_program = os.path.abspath(args.program), os.path.abspath(args.exact_program)
        trace, exact, report = path("trace"), path("exact"), path("report.json")
        bundle, cases = path("bundle.tar.zst"), path("cases.txt")
        needs = COMMANDS[args.command]
        if set(needs) & {"trace", "report", "bundle"}:
            prepare("record", ["record", "-o", trace, "--", program])
        if set(needs) & {"report", "bundle"}:
            prepare("triage", ["triage", trace, "--json", report])
        if "bundle" in needs:
            prepare("bundle", ["bundle", report, "-o", bundle])
        if "exact" in needs:
            prepare("record exactly", ["record", "--engine", "exact", "--no-verify", "-o", exact, "--",
                                       exact_program])
        with open(cases, "w", encoding="utf-8") as out:
            out.write(f"{program}\n{program} again\n")
        again = path("again")
        command = {
            "record": ["record", "-o", again, "--", program],
            "run": ["run", "-o", again, "--", program],
            "triage": ["triage", trace],
            "triage-exact": ["triage", "--engine", "forward", exact],
            "triage-backwards": ["triage", "--engine", "reverse", exact],
            "open": ["open", report, "--hop", "0", "--batch"],
            "open-debugger": ["open", report, "--hop", "1", "--batch", "--debugger", shutil.which("gdb")],
            "history": ["history", trace, "0x404000"],
            "bundle": ["bundle", report, "-o", path("again.tar.zst")],
            "triage-bundle": ["triage", bundle],
            "ci": ["ci", "-d", again, "--", program],
            "batch": ["batch", "-j", "2", "-o", again, cases],
        }[args.command]

        if not problems:
            whole = run(args.command, culprit + command)
            if whole.code not in (0, 3) and args.command != "ci":
                problems.append(f"{args.command}: left with {whole.code}: {whole.err[-300:]}")
            print(f"{args.command}: {whole.seconds:.2f} s, {whole.code}", flush=True)
            for how in SIGNALS:
                for place in PLACES:
                    shutil.rmtree(again, ignore_errors=True)
                    at = place * whole.seconds
                    name = f"{args.command}, {how.name} at {place}"
                    ended = run(name, culprit + command, (at, how))
                    took = ended.seconds - at
                    # The program of `culprit ci` gets the signal's meaning, too: 128 + its number.
                    good = {whole.code, 130, -how, 128 + how}
                    if ended.code not in good:
                        problems.append(f"{name}: left with {ended.code}: {ended.err[-300:]}")
                    # (`culprit ci` leaves with the test's code, also where it gives up explaining it.)
                    if (ended.code == whole.code and place == PLACES[0] and whole.seconds > LONG
                            and took > whole.seconds / 4):
                        problems.append(f"{name}: went on for {took:.1f} s to its own end")
                    if ended.code != whole.code and took > SOON:
                        problems.append(f"{name}: ended {took:.1f} s later only")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
