#!/usr/bin/env python3
"""The SARIF of sample reports against Microsoft's validator (npm @microsoft/sarif-multitool).

The schema, the rules of the SARIF specification and those of GitHub code scanning: no error. Warnings
are allowed only where they say what is true (a report without a version of the tool, no home page).

Exit status: 0 good, 1 bad, 77 the validator cannot be installed.
"""

import argparse
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import npm_packages

ALLOWED_WARNINGS = {"SARIF2005"}  # the tool's home page and version


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", required=True, help="the report_samples program")
    parser.add_argument("--npm", required=True, help="where the npm packages are")
    args = parser.parse_args()
    modules = npm_packages.install(args.npm)
    tool = modules / "@microsoft" / "sarif-multitool-linux" / "Sarif.Multitool"
    if not tool.exists():
        npm_packages.skip("the validator has no binary for this platform")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)  # what its install script would do

    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([args.samples, "formats", directory], check=True, timeout=60)
        files = sorted(pathlib.Path(directory).glob("*/report.sarif"))
        assert len(files) == 5, files
        # Each in a name of its own: the validator's answers name the file only.
        for file in files:
            os.rename(file, pathlib.Path(directory) / f"{file.parent.name}.sarif")
        answer = pathlib.Path(directory) / "answer.json"
        environment = dict(os.environ, DOTNET_SYSTEM_GLOBALIZATION_INVARIANT="1")
        run = subprocess.run(
            [tool, "validate", *sorted(map(str, pathlib.Path(directory).glob("*.sarif"))), "--output",
             answer, "--log", "ForceOverwrite", "--rule-kind", "Sarif;Ghas"],
            capture_output=True, text=True, timeout=120, check=False, env=environment)
        if not answer.exists():
            print(run.stdout, run.stderr)
            return 1
        results = json.loads(answer.read_text(encoding="utf-8-sig"))["runs"][0].get("results", [])
        # A file that cannot be read at all is passed over in silence; each of ours is remarked on.
        text = json.dumps(results)
        for file in files:
            if f"{file.parent.name}.sarif" not in text:
                print(f"{file.parent.name}: the validator passed over it")
                return 1
        # The validator must be one that finds something.
        broken = pathlib.Path(directory) / "broken.sarif"
        log = json.loads((pathlib.Path(directory) / "long.sarif").read_text(encoding="utf-8"))
        log["runs"][0]["results"][0]["ruleIndex"] = 7
        broken.write_text(json.dumps(log), encoding="utf-8")
        subprocess.run([tool, "validate", broken, "--output", answer, "--log", "ForceOverwrite",
                        "--rule-kind", "Sarif"],
                       capture_output=True, timeout=120, check=False, env=environment)
        found = json.loads(answer.read_text(encoding="utf-8-sig"))["runs"][0].get("results", [])
        if not any(result.get("level") == "error" for result in found):
            print("the validator does not find a broken link")
            return 1

    bad = [r for r in results
           if r.get("level") == "error" or r.get("ruleId", "").split("/")[0] not in ALLOWED_WARNINGS]
    for result in bad:
        print(json.dumps(result)[:600])
    print(f"{len(files)} files, {len(results)} remarks, {len(bad)} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
