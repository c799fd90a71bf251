#!/usr/bin/env python3
"""The casrep format with CASR's own tools: casr-cli shows it and makes SARIF of it, casr-cluster compares.

scripts/casr-tools installs them. Exit status: 0 good, 1 bad, 77 the tools are not installed.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ARGS = None


def casr(tool, *arguments):
    return subprocess.run([shutil.which(tool), *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False, stdin=subprocess.DEVNULL)


class Casr(unittest.TestCase):
    def reports(self):
        found = sorted(ARGS.golden.glob("*/report.casrep"))
        self.assertGreater(len(found), 3)
        return found

    def test_each_report_is_shown(self):
        for path in self.reports():
            run = casr("casr-cli", "-v", "stdout", path)
            self.assertEqual((run.returncode, run.stderr), (0, ""), path)
            report = json.loads(path.read_text())
            severity = report["CrashSeverity"]
            self.assertIn(f"Severity: UNDEFINED: {severity['ShortDescription']}\n", run.stdout)
            self.assertIn(f"Description: {severity['Description']}", run.stdout)
            if report["CrashLine"]:
                self.assertIn(f"CrashLine: {report['CrashLine']}\n", run.stdout)
            if report["Stacktrace"]:
                self.assertIn(report["Stacktrace"][0].strip(), run.stdout)

    def test_sarif_of_each_report_with_a_place(self):
        for path in self.reports():
            report = json.loads(path.read_text())
            if not report["CrashLine"] or not report["Stacktrace"]:  # CASR wants both
                continue
            with tempfile.TemporaryDirectory() as scratch:
                output = pathlib.Path(scratch) / "out.sarif"
                run = casr("casr-cli", "--sarif", output, "--source-root", "/", path)
                self.assertEqual((run.returncode, run.stderr), (0, ""), path)
                result, = json.loads(output.read_text())["runs"][0]["results"]
                line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
                self.assertEqual(line, int(report["CrashLine"].split(":")[1]))

    def test_stacks_are_parsed_and_compared(self):
        one, other = (ARGS.golden / name / "report.casrep" for name in ("twenty_hops", "real_go_write_barrier"))
        self.assertEqual(float(casr("casr-cluster", "-s", one, one).stdout), 1)
        self.assertLess(float(casr("casr-cluster", "-s", one, other).stdout), 1)
        with tempfile.TemporaryDirectory() as scratch:
            for name, path in (("a", one), ("b", one), ("c", other)):
                shutil.copy(path, pathlib.Path(scratch) / f"{name}.casrep")
            run = casr("casr-cluster", "-d", scratch)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(len(list(pathlib.Path(scratch).glob("*.casrep"))), 2, run.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--golden", required=True, type=pathlib.Path)
    parser.add_argument("--tools", default="")
    ARGS, rest = parser.parse_known_args()
    os.environ["PATH"] = f"{ARGS.tools}:{os.environ['PATH']}"
    if shutil.which("casr-cli") is None or shutil.which("casr-cluster") is None:
        print("CASR's tools are not installed: scripts/casr-tools")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest])
