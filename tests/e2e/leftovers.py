#!/usr/bin/python3
"""No command leaves an rr, a gdb or a recorded program behind, also not where it is ended in the middle.

  leftovers.py --culprit FILE --program FILE --exact-program FILE

Each command runs once to its end and then, for each of SIGINT, SIGTERM and SIGKILL, is sent that at some
places of the time that it took. This process is made a subreaper: whatever outlives the command becomes
its child and is found by its pid. `--exact-program` is recorded with exact ticks, for the reverse engine.
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
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# Of the time that the whole command takes: a starting rr, a running one, one about to be ended.
PLACES = (0.1, 0.4, 0.8)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--exact-program", required=True)
    args = parser.parse_args()
    culprit = [os.path.abspath(args.culprit), "-q"]
    harness.skip_if_this_machine_cannot_record(culprit[0])
    problems = []
    with tempfile.TemporaryDirectory(prefix="culprit-leftovers-") as work:
        environment = dict(os.environ, HOME=work)

        def run(name, command, codes, send=None):
            result = harness.run(command, environment, LIMIT, cwd=work, send=send)
            problems.extend(f"{name}: {problem}" for problem in result.problems)
            if codes is not None and result.code not in codes:
                problems.append(f"{name}: left with {result.code}: {result.err[-300:]}")
            return result

        trace, exact, report = (os.path.join(work, name) for name in ("trace", "exact", "report.json"))
        run("record", culprit + ["record", "-o", trace, "--", os.path.abspath(args.program)], (0,))
        run("record exactly", culprit + ["record", "--engine", "exact", "--no-verify", "-o", exact, "--",
                                         os.path.abspath(args.exact_program)], (0,))
        again = os.path.join(work, "again")
        commands = {
            "triage": ["triage", trace, "--json", report],
            "triage backwards": ["triage", "--engine", "reverse", exact],
            "run": ["run", "-o", again, "--", os.path.abspath(args.program)],
        }
        if shutil.which("gdb"):
            commands["open"] = ["open", report, "--hop", "0", "--batch"]
        for name, command in commands.items():
            if problems:
                break
            whole = run(name, culprit + command, (0, 3))
            print(f"{name}: {whole.seconds:.2f} s", flush=True)
            for how in SIGNALS:
                for place in PLACES:
                    shutil.rmtree(again, ignore_errors=True)
                    run(f"{name}, {how.name} at {place}", culprit + command, None,
                        (place * whole.seconds, how))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
