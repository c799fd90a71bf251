#!/usr/bin/env python3
"""`culprit ci`: the command's own exit code and output whatever happens, reports only for real failures.

Exit status: 0 good, 1 bad, 77 nothing can be recorded here.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

ARGS = None


class Ci(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.scratch.name)
        self.out = self.dir / "out"

    def tearDown(self):
        self.scratch.cleanup()

    def ci(self, *command, options=(), environment=None, stdin=None):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
        return subprocess.run([ARGS.culprit, "-q", "ci", "-d", self.out, *options, "--", *command],
                              input=stdin, capture_output=True, text=True, timeout=250, check=False,
                              env={**clean, **(environment or {})}, cwd=self.dir)

    def outcome(self):
        return json.loads((self.out / "ci.json").read_text())["outcome"]

    def test_a_passing_command_is_left_alone(self):
        run = self.ci("sh", "-c", "read line; echo got $line; echo err >&2", stdin="input\n")
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "got input\n", "err\n"))
        self.assertFalse(self.out.exists())

    def test_a_crash_is_explained(self):
        run = self.ci(ARGS.program, "stock", "first", options=["-f", "sarif", "-f", "junit"])
        self.assertEqual(run.returncode, 139, run.stderr)
        self.assertEqual(self.outcome(), "triaged")
        self.assertEqual({path.name for path in self.out.iterdir()},
                         {"ci.json", "report.json", "report.sarif", "junit.xml"})
        report = json.loads((self.out / "report.json").read_text())
        self.assertEqual(report["verdict"]["cause"]["function"], "stock")
        self.assertLessEqual(len(run.stderr.splitlines()), 10, run.stderr)
        self.assertIn("stock", run.stderr)

    def test_the_process_that_crashed_is_found(self):
        test = f"sh -c '{ARGS.program} restock last || exit 8'; code=$?; true; exit $code"
        run = self.ci("sh", "-c", test, options=["--keep-trace"])
        self.assertEqual(run.returncode, 8, run.stderr)
        report = json.loads((self.out / "report.json").read_text())
        self.assertEqual(report["verdict"]["cause"]["function"], "restock")
        self.assertTrue((self.out / "trace" / "version").exists())

    def test_a_failure_that_does_not_come_again(self):
        once = f"test -e {self.dir}/mark && exit 0; touch {self.dir}/mark; exit 7"
        run = self.ci("sh", "-c", once, options=["--retries", "1"])
        self.assertEqual(run.returncode, 7)
        self.assertEqual(self.outcome(), "did_not_fail_again")
        self.assertIn("did not fail again in 2 recorded runs", run.stderr)
        self.assertFalse((self.out / "report.json").exists())

    def test_it_fails_again_after_some_runs(self):
        count = f"echo x >> {self.dir}/runs; test $(wc -l < {self.dir}/runs) = 2 && exit 0; "
        run = self.ci("sh", "-c", count + f"exec {ARGS.program} stock first")
        self.assertEqual(run.returncode, 139, run.stderr)
        self.assertEqual(self.outcome(), "triaged")
        self.assertIn("in recorded run 2", run.stderr)

    def test_reports_of_an_earlier_run_are_removed(self):
        self.out.mkdir()
        (self.out / "report.html").write_text("old")
        (self.out / "mine.txt").write_text("mine")
        self.ci("sh", "-c", f"test -e {self.dir}/mark && exit 0; touch {self.dir}/mark; exit 7",
                options=["--retries", "0"])
        self.assertEqual({path.name for path in self.out.iterdir()}, {"ci.json", "mine.txt"})

    def test_nothing_can_be_recorded_is_no_other_failure(self):
        empty = self.dir / "bin"
        empty.mkdir()
        run = self.ci("/bin/sh", "-c", "exit 3", environment={"PATH": str(empty)})
        self.assertEqual(run.returncode, 3)
        self.assertEqual(self.outcome(), "cannot_record")
        self.assertIn("skipped: ", run.stderr)

    def test_each_failure_has_its_directory(self):
        for _ in range(2):
            self.ci(ARGS.program, "stock", "first", options=["--each"])
        names = sorted(path.name for path in self.out.iterdir())
        self.assertEqual(names, ["culprit_causes-0", "culprit_causes-1"])
        for name in names:
            self.assertTrue((self.out / name / "report.html").exists())

    def test_fail_on_never(self):
        run = self.ci("sh", "-c", "exit 3", options=["--fail-on", "never", "--retries", "0"])
        self.assertEqual(run.returncode, 0)

    def ci_json(self):
        return json.loads((self.out / "ci.json").read_text())

    def test_fail_on_what_the_report_says(self):
        crash = (ARGS.program, "stock", "first")
        run = self.ci(*crash, options=["--fail-on", "bad_constant"])
        self.assertEqual((run.returncode, self.ci_json()["counts"]), (139, True), run.stderr)
        run = self.ci(*crash, options=["--fail-on", "proved,use_after_free"])
        self.assertEqual((run.returncode, self.ci_json()["counts"]), (0, False), run.stderr)
        self.assertIn("the exit code is 0 and not 139: --fail-on proved,use_after_free", run.stderr)
        self.assertEqual((self.ci_json()["class"], self.ci_json()["exit_code"]), ("bad_constant", 139))

    def test_fail_on_new_causes(self):
        known = self.dir / "known.txt"
        known.write_text("# nothing yet\n")
        options = ["--fail-on", "new", "--baseline", known]
        run = self.ci(ARGS.program, "stock", "first", options=options)
        self.assertEqual((run.returncode, self.ci_json()["known"]), (139, False), run.stderr)
        self.assertIn(" (new)", run.stderr)
        known.write_text(self.ci_json()["key"] + "  # issue 12\n")
        # The same cause, though it crashes elsewhere; and another cause whose crash reads the same.
        run = self.ci(ARGS.program, "stock", "last", options=options)
        self.assertEqual((run.returncode, self.ci_json()["known"]), (0, True), run.stderr)
        self.assertIn(" (known)", run.stderr)
        run = self.ci(ARGS.program, "restock", "first", options=options)
        self.assertEqual(run.returncode, 139, run.stderr)
        # The reports of this run as the baseline of the next one.
        kept = self.dir / "kept"
        self.out.rename(kept)
        run = self.ci(ARGS.program, "restock", "last", options=["--fail-on", "new", "--baseline", kept])
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_a_failure_without_a_report_counts(self):
        for fail_on in ("proved", "use_after_free"):
            run = self.ci("sh", "-c", f"test -e {self.dir}/{fail_on} && exit 0; touch {self.dir}/{fail_on}; exit 7",
                          options=["--fail-on", fail_on, "--retries", "0"])
            self.assertEqual(run.returncode, 7, run.stderr)
            self.assertEqual(self.ci_json()["counts"], True)

    def test_wrong_conditions_are_said_before_the_command_runs(self):
        for options in (["--fail-on", "sometimes"], ["--fail-on", "test,proved"], ["--fail-on", "new"],
                        ["--baseline", self.dir / "none"], ["--fail-on", "new", "--baseline", __file__]):
            run = self.ci("sh", "-c", f"touch {self.dir}/ran", options=options)
            self.assertEqual(run.returncode, 2, options)
            self.assertNotEqual(run.stderr, "")
            self.assertFalse((self.dir / "ran").exists())

    def test_github_hears_of_it(self):
        summary = self.dir / "summary"
        summary.write_text("before\n")
        run = self.ci(ARGS.program, "stock", "first",
                      environment={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)})
        self.assertIn("::error ", run.stdout)
        self.assertTrue(summary.read_text().startswith("before\n### "))

    def test_no_such_command(self):
        run = self.ci("no-such-command-here")
        self.assertEqual(run.returncode, 127)
        self.assertFalse(self.out.exists())
        self.assertEqual(self.ci("true", options=["-f", "pdf"]).returncode, 2)

    def test_a_passing_command_costs_little(self):
        def seconds(command):
            start = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            return time.monotonic() - start

        pairs = [(seconds([ARGS.culprit, "ci", "--", "true"]), seconds(["true"])) for _ in range(15)]
        added = statistics.median(ours - plain for ours, plain in pairs)
        print(f"culprit ci adds {added * 1000:.1f} ms")
        self.assertLess(added, 0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    ARGS, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as probe:
        can = subprocess.run([ARGS.culprit, "-q", "record", "-o", probe + "/t", "--", "sh", "-c", "exit 1"],
                             capture_output=True, text=True, timeout=120, check=False)
    if can.returncode == 5:
        print("SKIPPED:", can.stderr.strip())
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest])
