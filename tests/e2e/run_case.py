#!/usr/bin/python3
"""Runs `culprit run` on one fixture and compares its report with the fixture's true chain.

  run_case.py --culprit PATH --expect FILE [--program PATH] [--repeat N] [--keep DIR]

Exit code: 0 as expected, 1 not, 77 this machine cannot record at all (ctest: skipped).
"""
import argparse
import json
import os
import shutil
import sys
import tempfile

import expectation
import harness


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--expect", required=True)
    parser.add_argument("--program", help="instead of the expectation's own command")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=100)
    parser.add_argument("--keep", help="leave traces and reports in this directory")
    parser.add_argument("--unless", help="a file that says why the fixture could not be built: skip")
    parser.add_argument("--collect", help="copy the reports into this directory, for validate.py")
    args = parser.parse_args()

    if args.unless and os.path.exists(args.unless):
        with open(args.unless, encoding="utf-8") as source:
            print(f"skipped: {source.read().strip()}")
        return harness.SKIP
    with open(args.expect, encoding="utf-8") as source:
        expected = json.load(source)
    source_directory = expected.get("source_dir") or os.path.dirname(os.path.abspath(args.expect))
    command = [args.program] if args.program else list(expected["command"])
    command += [text.replace("{source_dir}", source_directory)
                for text in expected.get("arguments", [])]
    command[0] = os.path.abspath(command[0])

    harness.skip_if_this_machine_cannot_record(args.culprit)
    good = 0
    for run in range(args.repeat):
        work = tempfile.mkdtemp(prefix="culprit-e2e-")
        try:
            problems = run_once(args, expected, source_directory, command, work)
        finally:
            if args.keep:
                target = os.path.join(args.keep, f"{expected['name'].replace('/', '-')}-{run}")
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(work, target, symlinks=True)
            shutil.rmtree(work, ignore_errors=True)
        if problems:
            print(f"{expected['name']}: run {run + 1} of {args.repeat}:")
            for problem in problems:
                print(f"  {problem}")
        else:
            good += 1
    print(f"{expected['name']}: {good} of {args.repeat} runs gave the true chain")
    return 0 if good == args.repeat else 1


def run_once(args, expected, source_directory, command, work):
    report_path = os.path.join(work, "report.json")
    environment = dict(os.environ, **expected.get("env", {}))
    result = harness.run([args.culprit, "run", "-o", os.path.join(work, "trace"), "--retries",
                          str(expected.get("retries", 0)), "--json", report_path, "--", *command],
                         environment, args.timeout, cwd=work)
    problems = list(result.problems)
    if result.code not in expected.get("exit", [0]):
        problems.append(f"exit code: expected {expected.get('exit', [0])}, is {result.code}")
    text = expected.get("crash", {}).get("stderr")
    if text and text not in result.err:
        problems.append(f"the program's stderr was not passed on: no {text!r}")
    try:
        with open(report_path, encoding="utf-8") as source:
            report = json.load(source)
    except (OSError, ValueError) as error:
        problems.append(f"no report: {error}")
        problems += ["culprit: " + line for line in result.err.splitlines()[-15:]]
        return problems
    checker = expectation.Checker(expected, source_directory)
    problems += checker.check(report)
    if args.collect:
        os.makedirs(args.collect, exist_ok=True)
        name = f"{expected['name'].replace('/', '.')}.{os.path.basename(command[0])}.json"
        shutil.copy(report_path, os.path.join(args.collect, name))
    if problems:
        problems.append("the chain in the report:")
        problems += ["    " + expectation.describe_hop(hop) for hop in report.get("hops", [])]
        verdict = report.get("verdict", {})
        problems.append(f"    verdict {verdict.get('class')}, stopped: "
                        f"{verdict.get('stopped_because')} {verdict.get('stopped_detail', '')}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
