#!/usr/bin/env python3
"""`culprit batch`: every case is done once, whatever one of them does and however the batch is ended.

Exit status: 0 good, 1 bad, 77 nothing can be recorded here.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pty
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
import uuid

ARGS = None
PATIENCE = 300


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.scratch.name)
        self.out = self.dir / "out"
        self.runs = self.dir / "runs"
        self.runs.mkdir()
        # Every process that comes of a test carries it, also those of the program under test.
        self.mark = f"CULPRIT_BATCH_TEST={uuid.uuid4()}"
        name, value = self.mark.split("=")
        self.environment = {**os.environ, name: value}
        self.list = self.dir / "list"

    def tearDown(self):
        self.assertEqual(self.left_behind(), [])
        self.scratch.cleanup()

    def left_behind(self):
        """Living processes of this test, after a moment for those that are just ending."""
        for _ in range(50):
            found = []
            for path in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    if self.mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                        found.append((path / "cmdline").read_bytes())
                except OSError:
                    pass
            if not found:
                return found
            time.sleep(0.1)
        return found

    def counted(self, name, *words):
        """A line of a list: the words, and a trace of each time that they were really run."""
        script = f"echo x >> {self.runs / name}; exec " + shlex.join(map(str, words))
        return "sh -c " + shlex.quote(script) + "\n"

    def times(self, name):
        path = self.runs / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def command(self, *arguments, cases=None):
        return [ARGS.culprit, "batch", "-o", self.out, *map(str, arguments),
                *([self.list] if cases is None else cases)]

    def batch(self, *arguments, cases=None, stdin=None):
        return subprocess.run(self.command(*arguments, cases=cases), input=stdin, timeout=PATIENCE,
                              capture_output=True, text=True, check=False, env=self.environment,
                              cwd=self.dir)

    def results(self, pattern="results*.jsonl"):
        lines = []
        for path in sorted(self.out.glob(pattern)):
            text = path.read_text()
            self.assertTrue(text == "" or text.endswith("\n"))
            lines += [json.loads(line) for line in text.splitlines()]
        return lines

    def three_crashes(self):
        self.list.write_text("".join(self.counted(f"{cause}-{place}", ARGS.program, cause, place)
                                     for cause, place in (("stock", "first"), ("stock", "last"),
                                                          ("restock", "first"))))

    def assert_clean(self):
        names = {path.name for path in self.out.iterdir()}
        self.assertEqual([name for name in names if name.startswith(".work")], [])


class Whole(Case):
    def test_one_bad_case_never_stops_the_rest(self):
        self.list.write_text(
            "# two causes, and everything that can go wrong\n"
            f"{ARGS.program} stock first\n"
            "sh -c 'exit 0'   # does not fail\n"
            "/no/such/program\n"
            "sleep 1000\n"
            f"{ARGS.program} \"restock\" 'first'\n"
            "\n"
            f"{self.dir / 'no-trace'}\n")
        run = self.batch("-j", "2", "--case-timeout", "10")
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertEqual(run.stderr, "")
        outcomes = {line["name"]: line["outcome"] for line in self.results()}
        self.assertEqual(outcomes, {
            f"{ARGS.program} stock first": "complete", f"{ARGS.program} restock first": "complete",
            "sh -c 'exit 0'": "did_not_fail", "/no/such/program": "bad_case",
            "sleep 1000": "timed_out", str(self.dir / "no-trace"): "bad_case"})
        self.assertTrue(run.stdout.startswith("6 of 6 cases done: "), run.stdout)
        self.assertIn("\n      2       2 ", run.stdout)
        self.assertIn("timed_out      sleep 1000: ended after 10 s\n", run.stdout)
        for line in self.results():
            self.assertEqual("report" in line, line["outcome"] == "complete")
            if "report" in line:
                report = json.loads((self.out / line["report"]).read_text())
                self.assertEqual(report["fingerprint"]["strict"], line["key"])
                self.assertEqual(report["verdict"]["class"], line["class"])
        self.assertEqual(len(list((self.out / "reports").iterdir())), 2)
        self.assert_clean()

    def test_all_have_a_report(self):
        self.three_crashes()
        run = self.batch("--keep-traces")
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("\n      2  ", run.stdout)
        traces = list((self.out / "traces").iterdir())
        self.assertEqual(len(traces), 3)
        # The recordings are a directory of cases, too; what is in it already is not run.
        self.out = self.dir / "second"
        run = self.batch("--json", cases=[traces[0].parent])
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertEqual(lines, self.results())
        self.assertEqual(len({line["key"] for line in lines}), 2)
        self.assertEqual([self.times(path.name) for path in self.runs.iterdir()], [1, 1, 1])

    def test_programs_of_a_directory(self):
        programs = self.dir / "programs"
        (programs / "sub").mkdir(parents=True)
        for name in ("a", "sub/b"):
            path = programs / name
            path.write_text(f"#!/bin/sh\nexec {ARGS.program} stock first\n")
            path.chmod(0o755)
        (programs / "notes").write_text("no program")
        self.out = programs / "out"
        run = self.batch(cases=["programs"])
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual({line["name"] for line in self.results()}, {"./programs/a", "./programs/sub/b"})
        self.assertIn("2 of 2 cases", self.batch(cases=["programs/"]).stdout)

    def test_nothing_can_be_recorded(self):
        self.list.write_text("/bin/sh -c 'exit 3'\n")
        self.environment["PATH"] = str(self.runs)
        run = self.batch()
        self.assertEqual(run.returncode, 5, run.stdout + run.stderr)
        self.assertIn("cannot_record  /bin/sh -c 'exit 3': ", run.stdout)

    def test_wrong_calls(self):
        self.list.write_text("a\nb 'c\n")
        run = self.batch()
        self.assertEqual((run.returncode, run.stderr), (2, f"culprit: {self.list}: line 2: a ' is not closed\n"))
        self.assertFalse(self.out.exists())
        self.list.write_text("a < b\n")
        self.assertEqual(self.batch().returncode, 2)
        self.list.write_text("true\n")
        for arguments in (["--shard", "3/2"], ["--shard", "0/2"], ["-j", "0"], ["--until", "x"]):
            self.assertEqual(self.batch(*arguments).returncode, 2, arguments)
        self.assertEqual(self.batch(cases=["missing"]).returncode, 2)
        self.assertEqual(self.batch(cases=[]).returncode, 2)


class GoingOn(Case):
    def start(self, *arguments):
        return subprocess.Popen(self.command(*arguments), stdout=subprocess.PIPE, env=self.environment,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=self.dir)

    def wait_until(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def end_while_the_second_runs(self, number):
        """The first case is done and the second hangs (until there is a file) when the batch is ended."""
        hang = f"while ! test -e {self.dir}/go; do sleep 0.1; done; exit 9"
        self.list.write_text(self.counted("first", ARGS.program, "stock", "first") +
                             self.counted("second", "sh", "-c", hang) +
                             self.counted("third", ARGS.program, "restock", "first"))
        process = self.start("-j", "1")
        self.wait_until(lambda: self.times("second") == 1)
        self.assertEqual(len(self.results()), 1)
        self.assertNotEqual(self.left_behind_now(), 0)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(self.left_behind(), [])
        return process.returncode, errors

    def left_behind_now(self):
        return sum(self.mark.encode() in environ(path) for path in pathlib.Path("/proc").glob("[0-9]*"))

    def go_on(self):
        (self.dir / "go").touch()
        run = self.batch("-j", "1")
        self.assertIn("3 of 3 cases done", run.stdout, run.stderr)
        self.assertIn("\n2 in this run", run.stdout)
        self.assertEqual([self.times(name) for name in ("first", "second", "third")], [1, 2, 1])
        self.assert_clean()
        self.assertIn("\n0 in this run", self.batch().stdout)
        self.assertEqual([self.times(name) for name in ("first", "second", "third")], [1, 2, 1])

    def test_sigkill(self):
        code, _ = self.end_while_the_second_runs(signal.SIGKILL)
        self.assertEqual(code, -signal.SIGKILL)
        self.go_on()

    def test_sigterm(self):
        code, errors = self.end_while_the_second_runs(signal.SIGTERM)
        self.assertEqual(code, 130)
        self.assertIn("1 of 3 cases are done; the same call goes on", errors)
        self.assert_clean()
        self.go_on()

    def test_sigint(self):
        code, _ = self.end_while_the_second_runs(signal.SIGINT)
        self.assertEqual(code, 130)
        self.assert_clean()
        self.go_on()

    def test_a_reader_that_goes_away(self):
        self.three_crashes()
        process = self.start("-j", "1", "--json")
        process.stdout.close()
        self.assertEqual(process.wait(timeout=PATIENCE), 1)
        process.stderr.close()
        self.assert_clean()

    def test_a_torn_line_is_done_again_and_a_lost_report_too(self):
        self.three_crashes()
        self.assertEqual(self.batch("-j", "1").returncode, 0)
        file = self.out / "results.jsonl"
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(lines[0] + lines[1] + lines[2][:40])
        (self.out / json.loads(lines[0])["report"]).unlink()
        run = self.batch("-j", "1")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("\n2 in this run", run.stdout)
        self.assertEqual([self.times(n) for n in ("stock-first", "stock-last", "restock-first")], [2, 1, 2])
        self.assertEqual(len(self.results()), 4)

    def test_again_does_only_what_has_no_report(self):
        self.list.write_text(self.counted("good", ARGS.program, "stock", "first") +
                             self.counted("bad", "true"))
        self.assertEqual(self.batch().returncode, 3)
        self.assertEqual(self.batch().returncode, 3)
        self.assertEqual([self.times("good"), self.times("bad")], [1, 1])
        self.assertEqual(self.batch("--again").returncode, 3)
        self.assertEqual([self.times("good"), self.times("bad")], [1, 2])

    def test_one_batch_at_a_time(self):
        self.list.write_text(self.counted("one", "sleep", "1000"))
        process = self.start()
        self.wait_until(lambda: self.times("one") == 1)
        run = self.batch()
        self.assertEqual(run.returncode, 2)
        self.assertIn("another culprit batch", run.stderr)
        self.assertEqual(process.poll(), None)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)


def environ(path):
    try:
        return (path / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


class Shards(Case):
    def ids(self, *arguments):
        run = self.batch("--list", *arguments)
        self.assertEqual(run.returncode, 0, run.stderr)
        return [line.split()[0] for line in run.stdout.splitlines()]

    def test_parts_are_disjoint_complete_and_the_same_each_time(self):
        self.list.write_text("".join(f"./prog --seed {i % 40}\n" for i in range(101)))
        every = self.ids()
        self.assertEqual(len(set(every)), 101)
        for count in (1, 2, 3, 7, 101, 150):
            parts = [self.ids("--shard", f"{i}/{count}") for i in range(1, count + 1)]
            self.assertEqual(parts[0], self.ids("--shard", f"1/{count}"))
            self.assertEqual(sorted(sum(parts, [])), sorted(every), count)
            self.assertLessEqual(max(map(len, parts)) - min(map(len, parts)), 1)
        self.assertFalse(self.out.exists())

    def test_shards_at_once_into_one_directory(self):
        self.three_crashes()
        runs = []
        threads = [threading.Thread(target=lambda i=i: runs.append(self.batch("-j", "1", "--shard", f"{i}/3")))
                   for i in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([run.returncode for run in runs], [0, 0, 0])
        self.assertEqual(len(list(self.out.glob("results-*-of-3.jsonl"))), 3)
        run = self.batch()
        self.assertIn("3 of 3 cases done: 3 complete\n0 in this run", run.stdout)
        self.assert_clean()
        self.assertEqual([self.times(path.name) for path in self.runs.iterdir()], [1, 1, 1])

    def test_gnu_parallel(self):
        if shutil.which("parallel") is None:
            self.skipTest("GNU parallel is not installed")
        self.three_crashes()
        culprit = shlex.quote(ARGS.culprit)
        recipe = f"seq 2 | parallel -j 2 {culprit} batch -j 1 -o out --shard {{}}/2 list"
        run = subprocess.run(["sh", "-c", recipe], env=self.environment, cwd=self.dir, timeout=PATIENCE,
                             capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("3 of 3 cases done: 3 complete\n0 in this run", self.batch().stdout)


class Progress(Case):
    def on_a_terminal(self, columns, *arguments):
        """What a terminal of that width gets on stderr."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(self.command(*arguments), stdout=subprocess.DEVNULL, stderr=follower,
                                   stdin=subprocess.DEVNULL, env=self.environment, cwd=self.dir)
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        os.close(leader)
        self.assertEqual(process.wait(timeout=PATIENCE), 0)
        return shown.decode()

    def test_counts_on_a_terminal(self):
        self.three_crashes()
        shown = self.on_a_terminal(100, "-j", "1")
        self.assertIn("0/3 done, 1 running", shown)
        self.assertIn("2/3 done, 1 running: 2 ", shown)
        self.assertTrue(shown.endswith("\r\x1b[K"))
        shutil.rmtree(self.out)
        narrow = self.on_a_terminal(40, "-j", "1")
        self.assertLessEqual(max(map(len, narrow.split("\r\x1b[K"))), 40)

    def test_quiet_elsewhere(self):
        self.three_crashes()
        self.assertEqual(self.batch().stderr, "")
        shutil.rmtree(self.out)
        run = subprocess.run([ARGS.culprit, "-v", *self.command()[1:]], env=self.environment, cwd=self.dir,
                             capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(run.stderr.count("culprit: complete sh -c"), 3, run.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    ARGS, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as probe:
        can = subprocess.run([ARGS.culprit, "-q", "record", "-o", probe + "/t", "--", "sh", "-c", "exit 1"],
                             capture_output=True, text=True, timeout=120, check=False)
    if can.returncode == 5:
        print(f"nothing can be recorded here: {can.stderr}")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest])
