#!/usr/bin/python3
"""A program with split debug information (.dwo, .dwp) must give the chain that it gives without; where the
split file is gone, the report must say so and name no variables of those functions.

  split_files.py --culprit PATH --source PATH --compiler PATH --version 4|5 [--dwp PATH]

Exit code: 0 so it is, 1 not, 77 this machine cannot record (ctest: skipped).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import harness


def build(args, compiler, work, name, flags):
    """The program, and the .dwo file that it has if it is split."""
    program = os.path.join(work, name)
    subprocess.run([compiler, "-O0", *flags, "-w", "-c", args.source, "-o", program + ".o"],
                   check=True)
    subprocess.run([compiler, program + ".o", "-pthread", "-o", program], check=True)
    return program, program + ".dwo"


def report(args, program):
    out = program + ".json"
    result = harness.run([args.culprit, "-q", "run", "--json", out, "--", program], timeout=100)
    if result.code not in (0, 3):
        return None, [f"{program}: culprit left with {result.code}: {result.err[-400:]}"]
    with open(out, encoding="utf-8") as source:
        return json.load(source), result.problems


def owner(hop):
    return hop.get("location", {}).get("owner", {})


def chain(found):
    """What must not depend on where the debug information is."""
    return [found["verdict"].get("class")] + [
        (hop["kind"], hop["writer"].get("function"), hop["writer"].get("line"),
         owner(hop).get("variable"), owner(hop).get("member")) for hop in found["hops"]]


def check(args, compiler, version, work):
    debug = ["-g", f"-gdwarf-{version}"]
    plain, problems = report(args, build(args, compiler, work, "plain", debug)[0])
    program, dwo = build(args, compiler, work, "split", debug + ["-gsplit-dwarf"])
    split, more = report(args, program)
    problems += more
    if problems:
        return problems
    if not any(owner(hop).get("frame") and owner(hop).get("variable") for hop in plain["hops"]):
        problems.append("the program's chain has no local variable: it shows nothing")
    if chain(plain) != chain(split):
        problems.append(f"the chain changed:\n  plain {chain(plain)}\n  split {chain(split)}")
    if args.dwp:
        subprocess.run([args.dwp, dwo, "-o", program + ".dwp"], check=True, timeout=30)
        os.remove(dwo)
        packed, more = report(args, program)
        problems += more
        os.remove(program + ".dwp")
        if not more and chain(plain) != chain(packed):
            problems.append(f"the chain changed:\n  plain  {chain(plain)}\n  packed {chain(packed)}")
    else:
        os.remove(dwo)
    gone, more = report(args, program)
    if more:
        return problems + more
    if not any("split file" in warning for warning in gone.get("warnings", [])):
        problems.append(f"no warning says that the split file is gone: {gone.get('warnings')}")
    named = [owner(hop)["variable"] for hop in gone["hops"]
             if owner(hop).get("frame") and owner(hop).get("variable")]
    if named:
        problems.append(f"locals are named without debug information: {named}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--dwp")
    args = parser.parse_args()
    harness.skip_if_this_machine_cannot_record(args.culprit)
    with tempfile.TemporaryDirectory(prefix="culprit-e2e-") as work:
        problems = check(args, args.compiler, args.version, work)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
