#!/usr/bin/python3
"""A trace that `rr pack` made complete must give the chain that it gave before, also where the program's
own file is gone.

  packed_trace.py --culprit PATH --program PATH

Exit code: 0 the chains are the same, 1 not, 77 this machine cannot record (ctest: skipped).
"""
import argparse
import json
import os
import shutil
import sys
import tempfile

import harness


def chain(culprit, trace, path):
    """The hops of a trace: what must not depend on where its files are."""
    result = harness.run([culprit, "-q", "triage", trace, "--json", path], timeout=60)
    if result.code != 0:
        return None, [f"triage of {trace} left with {result.code}: {result.err[-400:]}"]
    with open(path, encoding="utf-8") as source:
        hops = json.load(source)["hops"]
    return [(hop["kind"], hop["writer"].get("function"), hop["writer"].get("line"),
             hop.get("value_after"), hop.get("location", {}).get("owner", {}).get("variable"))
            for hop in hops], result.problems


def check(args, work):
    program = os.path.join(work, "program")
    shutil.copy(args.program, program)
    trace = os.path.join(work, "trace")
    recorded = harness.run([args.culprit, "-q", "record", "-o", trace, "--", program], timeout=60)
    if recorded.code != 0:
        return [f"record left with {recorded.code}: {recorded.err[-400:]}"]
    before, problems = chain(args.culprit, trace, os.path.join(work, "before.json"))
    packed = harness.run(["rr", "pack", trace], timeout=60)
    if packed.code != 0:
        return problems + [f"rr pack left with {packed.code}: {packed.err[-400:]}"]
    os.remove(program)
    after, more = chain(args.culprit, trace, os.path.join(work, "after.json"))
    problems += more
    if not problems and (not before or before != after):
        problems.append(f"the chain changed:\n  before {before}\n  after  {after}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    args = parser.parse_args()
    harness.skip_if_this_machine_cannot_record(args.culprit)
    with tempfile.TemporaryDirectory(prefix="culprit-e2e-") as work:
        problems = check(args, work)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
