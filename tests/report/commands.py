#!/usr/bin/env python3
"""`culprit report` and `culprit cluster` as commands: options, files, exit codes, bad input."""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

FORMATS = ["text", "json", "markdown", "html", "sarif", "junit", "github", "github-summary", "gitlab",
           "casrep", "perfetto", "csv"]
ARGS = None


def culprit(*arguments, stdin=None, cwd=None):
    return subprocess.run([ARGS.culprit, *map(str, arguments)], input=stdin, capture_output=True,
                          text=True, timeout=60, check=False, cwd=cwd)


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.scratch.name)
        self.report = ARGS.golden / "real_go_write_barrier.json"

    def tearDown(self):
        self.scratch.cleanup()


class Report(Case):
    def test_text_is_the_default(self):
        run = culprit("report", self.report)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(run.stdout, (ARGS.golden / "real_go_write_barrier.100.txt").read_text())

    def test_each_format_goes_to_stdout(self):
        for name in FORMATS:
            run = culprit("report", self.report, "--format", name)
            self.assertEqual((run.returncode, run.stderr), (0, ""), name)
            self.assertTrue(run.stdout.endswith("\n"), name)

    def test_several_formats_in_one_call(self):
        run = culprit("report", self.report, "-f", f"sarif={self.dir}/a.sarif", "-f", f"csv={self.dir}/b",
                      "-f", "markdown")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(run.stdout.startswith("## "))
        self.assertEqual(json.loads((self.dir / "a.sarif").read_text())["version"], "2.1.0")
        self.assertTrue((self.dir / "b").read_text().startswith("hop,"))

    def test_all_into_a_directory(self):
        run = culprit("report", self.report, "-f", "all", "-d", self.dir / "new" / "out")
        self.assertEqual((run.returncode, run.stdout), (0, ""), run.stderr)
        self.assertEqual(len(list((self.dir / "new" / "out").iterdir())), len(FORMATS))

    def test_stdin_to_a_file(self):
        run = culprit("report", "-", "-f", "json", "-o", self.dir / "r.json", stdin=self.report.read_text())
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual((self.dir / "r.json").read_text(), self.report.read_text())

    def test_a_failed_write_leaves_the_old_file(self):
        target = self.dir / "report.md"
        target.write_text("old")
        run = culprit("report", self.report, "-f", "markdown", "-o", self.dir / "none" / "report.md")
        self.assertEqual(run.returncode, 1)
        self.assertIn("none/report.md", run.stderr)
        run = culprit("report", self.dir / "missing.json", "-f", "markdown", "-o", target)
        self.assertEqual(run.returncode, 2)
        self.assertEqual(target.read_text(), "old")

    def test_paths_of_the_repository(self):
        run = culprit("report", self.report, "-f", "sarif", "--strip-prefix", "/home/dev")
        self.assertIn('"uri": "gobadptr/import.c"', run.stdout)
        run = culprit("report", self.report, "-f", "sarif", "--source-root", "/home/dev/gobadptr")
        self.assertIn('"uri": "import.c"', run.stdout)

    def test_reports_of_older_and_newer_versions(self):
        run = culprit("report", ARGS.golden / "versions" / "1.0.json")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertTrue(run.stdout.startswith("uninitialised stack "), run.stdout[:200])
        run = culprit("report", "-f", "json", ARGS.golden / "versions" / "1.0.json")
        self.assertEqual(json.loads(run.stdout)["schema_version"], "1.1")
        newer = ARGS.golden / "versions" / "2.0.json"
        run = culprit("report", newer)
        self.assertEqual((run.returncode, run.stdout), (2, ""))
        self.assertEqual(run.stderr, f"culprit: {newer}: schema_version: the report has 2.0, and this culprit "
                                     "reads 1.x: read it with a newer culprit\n")
        # A later minor version may have more members, and the rest is the same.
        report = json.loads(self.report.read_text())
        report["schema_version"] = "1.9"
        report["verdict"]["later"] = {}
        self.assertEqual(culprit("report", "-", stdin=json.dumps(report)).returncode, 0)

    def test_wrong_options(self):
        for arguments in (["-f", "pdf"], ["-f", "csv="], ["-f", "csv", "-f", "sarif"], ["-f", "all"],
                          ["-f", f"csv={self.dir}/x", "-o", "y"], ["-o", "y", "-d", "z"], ["--none"]):
            run = culprit("report", self.report, *arguments, cwd=self.dir)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertNotEqual(run.stderr, "", arguments)
            self.assertEqual(list(self.dir.iterdir()), [], arguments)

    def test_bad_input(self):
        for text in ("", "{}", "[]", "null", "{\"schema_version\": 7}", "\xff", "[" * 10000):
            run = culprit("report", "-", stdin=text)
            self.assertEqual(run.returncode, 2, text[:30])
            self.assertTrue(run.stderr.startswith("culprit: standard input: "), run.stderr)

    def test_help_has_examples(self):
        for command in ("report", "cluster", "ci", "batch", "completion"):
            run = culprit(command, "--help")
            self.assertEqual(run.returncode, 0)
            self.assertIn(f"culprit {command} ", run.stdout.split("xamples", 1)[1], command)


class Cluster(Case):
    def test_causes_and_not_crashes(self):
        run = culprit("cluster", ARGS.golden / "causes", "--json", self.dir / "c.json")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(run.stdout.startswith("3 reports, 2 causes\n"), run.stdout)
        clusters = json.loads((self.dir / "c.json").read_text())["clusters"]
        names = [sorted(pathlib.Path(name).stem for name in one["reports"]) for one in clusters]
        self.assertEqual(names, [["stock_first", "stock_last"], ["restock_first"]])
        self.assertEqual(clusters[0]["same_crash"], [clusters[1]["key"]])
        self.assertIn("crashed in", [difference["trait"] for difference in clusters[0]["differs"]])

    def test_json_alone_on_stdout(self):
        run = culprit("cluster", self.report, "--json", "-")
        self.assertEqual(json.loads(run.stdout)["reports"], 1)

    def test_one_bad_file_does_not_stop_the_rest(self):
        (self.dir / "other.json").write_text("{\"compilerOptions\": {}}")
        (self.dir / "torn.json").write_text(self.report.read_text()[:5000])
        (self.dir / "notes.txt").write_text("no JSON")
        (self.dir / "good.json").write_text(self.report.read_text())
        (self.dir / "loop").symlink_to(self.dir)
        run = culprit("cluster", self.dir)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue(run.stdout.startswith("1 report, 1 cause\n"), run.stdout)
        self.assertIn("torn.json: not valid JSON", run.stdout)
        self.assertNotIn("other.json", run.stdout)
        run = culprit("cluster", self.report, self.dir / "other.json", self.dir / "missing.json")
        self.assertEqual(run.returncode, 2)
        self.assertIn("1 report, 1 cause", run.stdout)
        self.assertIn("missing.json", run.stdout)

    def test_nothing_there(self):
        run = culprit("cluster", self.dir)
        self.assertEqual((run.returncode, run.stdout), (0, "0 reports, 0 causes\n"))
        self.assertEqual(culprit("cluster").returncode, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--golden", required=True, type=pathlib.Path)
    ARGS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
