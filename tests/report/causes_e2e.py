#!/usr/bin/env python3
"""Real crashes of programs/causes.c, recorded, triaged and grouped: crashes of one cause fall together,
and crashes that read alike fall apart when their causes differ.

Exit status: 0 good, 1 bad, 77 nothing can be recorded here.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

RUNS = [("stock", "first"), ("stock", "last"), ("restock", "first"), ("restock", "last")]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        directory = pathlib.Path(scratch)
        for run in RUNS:
            name = "_".join(run)
            done = subprocess.run(
                [args.culprit, "-q", "run", "-o", directory / name, "--json", directory / f"{name}.json",
                 "--", args.program, *run], capture_output=True, text=True, timeout=200, check=False)
            if done.returncode == 5:
                print("SKIPPED:", done.stderr.strip())
                return 77
            if done.returncode != 0:
                print(f"{name}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
                return 1
        done = subprocess.run([args.culprit, "cluster", directory, "--json", "-"], capture_output=True,
                              text=True, timeout=60, check=True)
    clusters = json.loads(done.stdout)["clusters"]
    groups = sorted(sorted(pathlib.Path(name).stem for name in one["reports"]) for one in clusters)
    wanted = [["restock_first", "restock_last"], ["stock_first", "stock_last"]]
    alike = all(len(one["same_crash"]) == 1 for one in clusters)
    print(groups, "the crashes read alike" if alike else "the crashes do not read alike")
    return 0 if groups == wanted and alike else 1


if __name__ == "__main__":
    sys.exit(main())
