#!/usr/bin/python3
"""The checker checked: a true report passes, and each single lie in it is found."""
import copy
import glob
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

import expectation
import harness

SOURCE = """\
int main(void) {
  struct S c_schema;  // CULPRIT: declaration
  out->format = f;  // CULPRIT: store
  out->formats = f;  // CULPRIT: stores
}
"""

EXPECTATION = {
    "name": "self/test",
    "crash": {"kind_contains": "bad_pointer", "runtime": "go",
              "frame": {"function": "runtime.throw", "file": "panic.go"}},
    "suspect": {"value": "0xc000100000"},
    "hops": [
        {"what": "barrier", "kind": ["runtime_store"], "function": "runtime.gcWriteBarrier",
         "file": "asm_amd64.s", "line": 1651, "value": "suspect",
         "frames": [{"function": "main.exportSchema", "file": "a.c", "line": {"marker": "store"}},
                    {"function": "main.get"}]},
        {"what": "stale", "kind": ["stale_bytes"],
         "location": {"region": ["stack"], "owner": {
             "variable": "c_schema", "member": "format", "function": "cache_schema",
             "type_contains": "ArrowSchema", "declared_file": "a.c",
             "declared_line": {"marker": "declaration"}},
             "history": ["mmap", "munmap", "mmap"]}},
        {"what": "kept in a register by some", "kind": ["store"], "function": "main.keep",
         "optional": True},
        {"what": "residue", "kind": ["store"], "function": "runtime.copystack", "file": "stack.go",
         "line": [883, 884], "value": "suspect", "frames": [{"function": "runtime.newstack"}]},
    ],
    "also": [{"what": "file", "kind": ["kernel_write"], "in": {"function": "main.load"},
              "syscall": {"name": "read", "path_ends": "input.bin", "file_offset": 8,
                          "descriptor": True},
              "bytes": {"first": 4, "count": 4}, "value": "0x12"}],
    "origin": [{"function": "runtime.never"}, {"function": "runtime.copystack"}],
    "verdict": {"class": ["uninitialised_stack"], "stopped": ["origin_found"],
                "cause": {"variable": "c_schema", "function": "cache_schema", "file": "a.c"}},
}

VALUE = "0xc000100000"
REPORT = {
    "schema_version": "1.0",
    "crash": {"kind": "go_bad_pointer", "runtime": "go",
              "frames": [{"function": "runtime.throw", "file": "/go/panic.go", "line": 1}]},
    "suspect": {"value": VALUE},
    "hops": [
        {"index": 0, "kind": "crash_report", "writer": {"function": "runtime.wbBufFlush1"}},
        {"index": 1, "kind": "runtime_store", "value_after": VALUE,
         "writer": {"function": "runtime.gcWriteBarrier", "file": "/go/asm_amd64.s", "line": 1651},
         "backtrace": [{"function": "runtime.gcWriteBarrier"},
                       {"function": "main.exportSchema", "file": "/src/a.c", "line": 3},
                       {"function": "main.get", "file": "/src/a.c", "line": 5}]},
        {"index": 2, "kind": "load", "writer": {"function": "runtime.gcWriteBarrier"}},
        {"index": 3, "kind": "stale_bytes", "value_after": VALUE,
         "location": {"region": "stack", "address": "0x7ffe0", "owner": {
             "variable": "c_schema", "member": "format", "function": "cache_schema",
             "type": "struct ArrowSchema", "declared_file": "/src/a.c", "declared_line": 2},
             "history": [{"from": {"description": "mmap by thread 1"},
                          "to": {"description": "munmap by thread 2"}},
                         {"from": {"description": "mmap by thread 1"}}]}},
        {"index": 4, "kind": "store", "value_after": VALUE,
         "writer": {"function": "runtime.copystack", "file": "/go/stack.go", "line": 883},
         "backtrace": [{"function": "runtime.newstack"}]},
        {"index": 5, "kind": "origin", "writer": {"function": "runtime.stackalloc"}},
        {"index": 6, "kind": "kernel_write", "main_line": False, "value_after": "0x12",
         "bytes": {"first": 4, "count": 4},
         "syscall": {"name": "read", "path": "/tmp/input.bin", "descriptor": 3, "file_offset": 8},
         "backtrace": [{"function": "__read"}, {"function": "main.load"}]},
    ],
    "verdict": {"class": "uninitialised_stack", "stopped_because": "origin_found",
                "evidence": [1, 3, 4],
                "cause": {"variable": "c_schema", "function": "cache_schema", "file": "/src/a.c"}},
}


def put(path, value):
    """A mutation: sets what `path` (keys and indices) names; DELETE removes it."""
    def mutate(report):
        at = report
        for key in path[:-1]:
            at = at[key]
        if value is DELETE:
            del at[path[-1]]
        else:
            at[path[-1]] = value
    return mutate


DELETE = object()


def swap(first, second):
    def mutate(report):
        hops = report["hops"]
        hops[first], hops[second] = hops[second], hops[first]
        for place, hop in enumerate(hops):
            hop["index"] = place
    return mutate


def insert_store(report, function):
    store = {"kind": "store", "value_after": VALUE, "writer": {"function": function}}
    report["hops"].insert(4, store)
    for place, hop in enumerate(report["hops"]):
        hop["index"] = place


def insert_false_store(report):
    insert_store(report, "memset")


def cut_after(count):
    def mutate(report):
        del report["hops"][count:]
        report["verdict"]["evidence"] = [0]
    return mutate


OWNER = ("hops", 3, "location", "owner")
LIES = {
    "wrong function": put(("hops", 4, "writer", "function"), "runtime.copystack2"),
    "wrong file": put(("hops", 4, "writer", "file"), "/go/mystack.go"),
    "wrong line": put(("hops", 4, "writer", "line"), 885),
    "missing line": put(("hops", 1, "writer", "line"), DELETE),
    "wrong line of a frame": put(("hops", 1, "backtrace", 1, "line"), 4),
    "frame missing": put(("hops", 1, "backtrace", 1), {"function": "main.other"}),
    "no backtrace": put(("hops", 4, "backtrace"), []),
    "wrong variable": put(OWNER + ("variable",), "errbuf"),
    "wrong member": put(OWNER + ("member",), "name"),
    "wrong type": put(OWNER + ("type",), "struct Arrow"),
    "wrong function of the frame": put(OWNER + ("function",), "import_schema"),
    "wrong declaration": put(OWNER + ("declared_line",), 3),
    "no owner": put(OWNER, DELETE),
    "no history": put(("hops", 3, "location", "history"), DELETE),
    "history too short": put(("hops", 3, "location", "history", 1, "from", "description"), "brk"),
    "history in another order": put(("hops", 3, "location", "history", 0), {}),
    "wrong region": put(("hops", 3, "location", "region"), "heap"),
    "wrong kind": put(("hops", 3, "kind"), "store"),
    "wrong value": put(("hops", 4, "value_after"), "0xc000100008"),
    "missing value": put(("hops", 4, "value_after"), DELETE),
    "value changes in the middle": put(("hops", 3, "value_after"), "0x1"),
    "wrong suspect": put(("suspect", "value"), "0xc000200000"),
    "no suspect": put(("suspect",), DELETE),
    "wrong order": swap(1, 4),
    "a hop that is not true in between": insert_false_store,
    "chain cut": cut_after(4),
    "chain empty": cut_after(0),
    "side branch instead of main line": put(("hops", 4, "main_line"), False),
    "no side branch": put(("hops", 6, "kind"), "store"),
    "side branch by another caller": put(("hops", 6, "backtrace", 1, "function"), "main.save"),
    "side branch without code": put(("hops", 6, "backtrace"), []),
    "wrong system call": put(("hops", 6, "syscall", "name"), "recv"),
    "wrong path": put(("hops", 6, "syscall", "path"), "/tmp/input.txt"),
    "no path": put(("hops", 6, "syscall", "path"), DELETE),
    "wrong offset": put(("hops", 6, "syscall", "file_offset"), 0),
    "no descriptor": put(("hops", 6, "syscall", "descriptor"), DELETE),
    "wrong bytes": put(("hops", 6, "bytes", "first"), 0),
    "no bytes": put(("hops", 6, "bytes"), DELETE),
    "wrong value of a side branch": put(("hops", 6, "value_after"), "0x13"),
    "wrong class": put(("verdict", "class"), "use_after_free"),
    "wrong stop": put(("verdict", "stopped_because"), "limit_reached"),
    "wrong cause": put(("verdict", "cause", "variable"), "state"),
    "no cause": put(("verdict", "cause"), DELETE),
    "evidence out of range": put(("verdict", "evidence"), [9]),
    "wrong index": put(("hops", 5, "index"), 6),
    "wrong crash kind": put(("crash", "kind"), "signal"),
    "wrong runtime": put(("crash", "runtime"), "none"),
    "wrong crash frame": put(("crash", "frames", 0, "function"), "runtime.rethrow"),
}


class CheckerTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        with open(os.path.join(self.directory, "a.c"), "w", encoding="utf-8") as source:
            source.write(SOURCE)

    def problems(self, report, expected=None):
        return expectation.Checker(expected or EXPECTATION, self.directory).check(report)

    def test_the_truth_passes(self):
        self.assertEqual(self.problems(REPORT), [])

    def test_each_lie_is_found(self):
        for name, mutate in LIES.items():
            with self.subTest(name):
                report = copy.deepcopy(REPORT)
                mutate(report)
                self.assertNotEqual(report, REPORT, "the mutation did nothing")
                self.assertTrue(self.problems(report), "not found")

    def test_an_optional_hop_may_be_there(self):
        report = copy.deepcopy(REPORT)
        insert_store(report, "main.keep")
        self.assertEqual(self.problems(report), [])
        insert_false_store(report)  # (the order is: false, optional)
        self.assertTrue(self.problems(report))

    def test_a_local_variable_may_carry_the_value(self):
        def with_store(function, value=VALUE):
            report = copy.deepcopy(REPORT)
            insert_store(report, "copy")
            report["hops"][4]["value_after"] = value
            report["hops"][4]["location"] = {"region": "stack", "owner": {
                "variable": "argument", "function": function}}
            return report
        self.assertEqual(self.problems(with_store("copy")), [])
        self.assertTrue(self.problems(with_store("another")))
        self.assertTrue(self.problems(with_store("copy", "0x1")))

    def test_what_counts_as_the_origin(self):
        expected = {"name": "t", "origin": {"function": "f", "file": "a.c",
                                            "line": {"marker": "store"}}}
        code = {"function": "f", "file": "/src/a.c", "line": 3}

        def report(**hop):
            return {"schema_version": "1.0", "hops": [dict(hop, index=0)]}

        found = {
            "the writer": report(kind="store", writer=code),
            "inlined into it": report(kind="store", writer={"function": "g", "inlined_in": [code]}),
            "a caller": report(kind="block_copy", writer={"function": "memcpy"}, backtrace=[code]),
            "the declaration": report(kind="stale_bytes", location={"owner": {
                "function": "f", "declared_file": "/src/a.c", "declared_line": 3}}),
            "where the block was freed": report(kind="store", location={"owner": {"life": {
                "alive_at_write": False, "died": {"backtrace": [{"function": "free"}, code]}}}}),
            "the cause": {"schema_version": "1.0", "hops": [], "verdict": {"cause": code}},
            "the crash itself": report(kind="crash_report", writer=code),
        }
        for name, one in found.items():
            with self.subTest(name):
                self.assertEqual(self.problems(one, expected), [])
        missed = {
            "a caller of the crash": report(kind="crash_report", writer={"function": "g"},
                                            backtrace=[code]),
            "another line": report(kind="store", writer=dict(code, line=4)),
            "a declaration that was written": report(kind="store", location={"owner": {
                "function": "f", "declared_file": "/src/a.c", "declared_line": 3}}),
            "nothing": {"schema_version": "1.0"},
        }
        for name, one in missed.items():
            with self.subTest(name):
                self.assertTrue(self.problems(one, expected))

    def test_no_suspect_needed_where_no_value_is_compared(self):
        expected = {"name": "t", "hops": [{"function": "f"}]}
        report = {"schema_version": "1.0", "hops": [
            {"index": 0, "kind": "store", "writer": {"function": "f"}}]}
        self.assertEqual(self.problems(report, expected), [])

    def test_a_missing_marker_is_an_error_of_the_expectation(self):
        expected = copy.deepcopy(EXPECTATION)
        expected["hops"][0]["frames"][0]["line"] = {"marker": "stor"}
        with self.assertRaises(expectation.BadExpectation):
            self.problems(REPORT, expected)

    def test_names(self):
        same = expectation.same_function
        self.assertTrue(same("a::b", {"function": "_Z1b", "demangled": "a::b(int) const"}))
        self.assertTrue(same("f", {"function": "f.constprop.0"}))
        self.assertFalse(same("f", {"function": "f2"}))
        self.assertFalse(same("b", {"demangled": "a::b(int)"}))
        self.assertFalse(expectation.same_file("a.c", "/src/aa.c"))
        self.assertFalse(expectation.same_file("a.c", ""))


MEMBERS = {
    "": {"name", "command", "arguments", "env", "retries", "exit", "crash", "suspect", "hops", "also", "origin",
         "verdict", "warning_contains", "links", "flags", "absent", "source_dir"},
    "crash": {"signal_name", "runtime", "kind", "kind_contains", "frame", "stderr"},
    "hop": {"what", "kind", "function", "file", "line", "in", "instruction_contains", "frames",
            "syscall", "location", "value", "bytes", "optional"},
    "code": {"function", "file", "line"},
    "verdict": {"class", "stopped", "cause"},
    "location": {"region", "address", "owner", "history"},
    "owner": {"variable", "member", "type", "type_contains", "function", "declared_file",
              "declared_line", "frame_offset"},
}


class FixturesTest(unittest.TestCase):
    """Every expectation file of the suites: a misspelt member or marker would check nothing."""

    def setUp(self):
        top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.files = sorted(glob.glob(os.path.join(top, "fixtures", "*", "*.expect.json")))
        with open(os.path.join(top, "docs", "report.schema.json"), encoding="utf-8") as source:
            definitions = json.load(source)["$defs"]
        self.enums = {name: set(definitions[name]["enum"])
                      for name in ("bug_class", "hop_kind", "region_kind", "stop_reason")}

    def members(self, kind, value):
        self.assertLessEqual(set(value), MEMBERS[kind])

    def code(self, sources, value):
        if "line" in value:
            sources.resolve(value.get("file"), value["line"])

    def hop(self, sources, hop):
        self.members("hop", hop)
        self.assertIn("what", hop)
        self.assertLessEqual(set(expectation.as_list(hop.get("kind", []))), self.enums["hop_kind"])
        self.code(sources, hop)
        for code in hop.get("frames", []) + ([hop["in"]] if "in" in hop else []):
            self.members("code", code)
            self.code(sources, code)
        place = hop.get("location", {})
        self.members("location", place)
        self.assertLessEqual(set(place.get("region", [])), self.enums["region_kind"])
        self.members("owner", place.get("owner", {}))
        if "declared_line" in place.get("owner", {}):
            sources.resolve(place["owner"]["declared_file"], place["owner"]["declared_line"])

    def test_they_are_well_formed(self):
        self.assertTrue(self.files)
        for path in self.files:
            with self.subTest(os.path.basename(path)):
                with open(path, encoding="utf-8") as source:
                    expected = json.load(source)
                sources = expectation.Sources(os.path.dirname(path))
                self.members("", expected)
                self.assertTrue(path.endswith(expected["name"] + ".expect.json"), expected["name"])
                for hop in expected.get("hops", []) + expected.get("also", []):
                    self.hop(sources, hop)
                crash = expected.get("crash", {})
                self.members("crash", crash)
                cause = dict(expected.get("verdict", {}).get("cause", {}))
                cause.pop("variable", None)
                for code in [*expectation.as_list(expected.get("origin", [])),
                             crash.get("frame", {}), cause]:
                    self.members("code", code)
                    self.code(sources, code)
                verdict = expected.get("verdict", {})
                self.members("verdict", verdict)
                self.assertLessEqual(set(verdict.get("class", [])), self.enums["bug_class"])
                self.assertLessEqual(set(verdict.get("stopped", [])), self.enums["stop_reason"])


FAKE_CULPRIT = """\
    #!/bin/sh
    # Writes a canned report where --json says and leaves with a given code.
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
      [ "$1" = --json ] && cp "$FAKE_REPORT" "$2"
      shift
    done
    if [ -n "$FAKE_ORPHAN" ]; then sleep 600 & fi
    exit "$FAKE_EXIT"
"""


class RunCaseTest(unittest.TestCase):
    """The whole command, with a fake culprit: the exit code that ctest sees."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.culprit = self.write("culprit", textwrap.dedent(FAKE_CULPRIT))
        os.chmod(self.culprit, 0o755)
        self.write("a.c", SOURCE)
        rr = self.write("rr", "#!/bin/sh\n")
        os.chmod(rr, 0o755)
        if harness.ptrace_refused():
            self.skipTest("ptrace is refused here")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as target:
            target.write(text)
        return path

    def run_case(self, report, exit_code=0, orphan=""):
        expect = self.write("expect.json", json.dumps(dict(EXPECTATION, command=["/bin/true"])))
        environment = dict(
            os.environ, FAKE_REPORT=self.write("canned.json", report), FAKE_EXIT=str(exit_code),
            FAKE_ORPHAN=orphan, PATH=self.directory + ":" + os.environ["PATH"])
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_case.py")
        return subprocess.run(
            [sys.executable, script, "--culprit", self.culprit, "--expect", expect],
            env=environment, capture_output=True, text=True, timeout=60, check=False)

    def test_true_report(self):
        result = self.run_case(json.dumps(REPORT))
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_wrong_chain_fails_and_says_what_differs(self):
        report = copy.deepcopy(REPORT)
        report["hops"][4]["writer"]["line"] = 900
        result = self.run_case(json.dumps(report))
        self.assertEqual(result.returncode, 1)
        self.assertIn("line: expected stack.go:883|884, is 900", result.stdout)

    def test_wrong_exit_code_fails(self):
        self.assertEqual(self.run_case(json.dumps(REPORT), exit_code=3).returncode, 1)

    def test_report_that_is_no_json_fails(self):
        self.assertEqual(self.run_case("{").returncode, 1)

    def test_orphan_fails(self):
        result = self.run_case(json.dumps(REPORT), orphan="yes")
        self.assertEqual(result.returncode, 1)
        self.assertIn("left processes behind", result.stdout)


if __name__ == "__main__":
    unittest.main()
