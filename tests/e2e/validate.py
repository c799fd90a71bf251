#!/usr/bin/python3
"""Validates the reports that the cases of one run of ctest left, all in one process: to load the validator
takes longer than to use it.

  validate.py --clear DIR
  validate.py --schema FILE DIR     (also clears it)
"""
import argparse
import json
import os
import shutil
import sys

import harness


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--schema")
    parser.add_argument("--clear", action="store_true")
    parser.add_argument("directory")
    args = parser.parse_args()
    if args.clear:
        shutil.rmtree(args.directory, ignore_errors=True)
        return 0
    reports = []
    for entry in sorted(os.scandir(args.directory), key=lambda entry: entry.name) \
            if os.path.isdir(args.directory) else []:
        with open(entry.path, encoding="utf-8") as source:
            reports.append((entry.name, json.load(source)))
    if not reports:
        print("no case left a report")
        return harness.SKIP
    problems = harness.schema_problems(reports, args.schema)
    for problem in problems:
        print(problem)
    print(f"{len(reports)} reports validated")
    if not problems:
        shutil.rmtree(args.directory, ignore_errors=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
