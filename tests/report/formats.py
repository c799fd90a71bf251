#!/usr/bin/env python3
"""The formats of sample reports, read by independent readers: XML, CSV, JSON by Python's own parsers, and
the documented structure of each by hand or by JSON Schema.

Exit status: 0 good, 1 bad, 77 no JSON Schema validator here (python3-jsonschema).
"""

import argparse
import csv
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

try:
    import jsonschema
except ImportError:
    print("SKIPPED: python3-jsonschema is not installed")
    sys.exit(77)

# GitLab, "Code Quality report format": the required members and the closed list of severities.
GITLAB = {
    "type": "array", "minItems": 1,
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "location", "severity"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "pattern": "^1l-[0-9a-f]{32}$|^1l-00$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object", "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^[^/]"},
                    "lines": {"type": "object", "required": ["begin"],
                              "properties": {"begin": {"type": "integer", "minimum": 1}}}}}}}}

# CASR, libcasr/src/report.rs: the types that serde wants.
STRINGS = {"type": "array", "items": {"type": "string"}}
CASREP = {
    "type": "object",
    "required": ["CrashSeverity", "Stacktrace", "CrashLine", "ProcCmdline", "ExecutablePath"],
    "properties": {
        **{key: {"type": "string"} for key in (
            "Date", "Uname", "OS", "OSRelease", "Architecture", "ExecutablePath", "ProcCmdline", "Stdin",
            "Package", "PackageVersion", "PackageArchitecture", "PackageDescription", "CrashLine")},
        **{key: STRINGS for key in (
            "ProcEnviron", "ProcStatus", "ProcMaps", "ProcFiles", "NetworkConnections", "Disassembly",
            "AsanReport", "UbsanReport", "PythonReport", "GoReport", "JavaReport", "RustReport",
            "JsReport", "CSharpReport", "Source")},
        "Stacktrace": {"type": "array", "items": {"type": "string", "pattern": r"^#\d+ +\S"}},
        "Registers": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
        "CrashSeverity": {
            "type": "object", "required": ["Type", "ShortDescription", "Description", "Explanation"],
            "properties": {"Type": {"enum": ["EXPLOITABLE", "PROBABLY_EXPLOITABLE", "NOT_EXPLOITABLE",
                                             "UNDEFINED"]}},
            "additionalProperties": {"type": "string"}}}}


def check_junit(path, report):
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == "testsuites" and [child.tag for child in root] == ["testsuite"]
    suite = root[0]
    assert [case.tag for case in suite] == ["testcase"]
    for element in (root, suite):
        assert (element.get("tests"), element.get("failures"), element.get("errors")) == ("1", "1", "0")
        assert float(element.get("time")) >= 0
    case = suite[0]
    assert case.get("name") and case.get("classname")
    assert [child.tag for child in case] == ["failure"]
    assert case[0].get("type") == report["verdict"]["class"] and case[0].get("message")
    assert "Fix:" in case[0].text


def check_csv(path, report):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    assert len(rows) == len(report["hops"]) + 1
    assert len({len(row) for row in rows}) == 1
    for number, (row, hop) in enumerate(zip(rows[1:], report["hops"])):
        values = dict(zip(rows[0], row))
        assert values["hop"] == str(number) and values["kind"] == hop["kind"]
        assert values["value_after"] == hop.get("value_after", "")


def check_perfetto(path, report):
    trace = json.loads(path.read_text(encoding="utf-8"))
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    assert len(slices) == len(report["hops"])
    for event in trace["traceEvents"]:
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int)
        assert event["ph"] in "MXsf"
    # A flow's end binds to the slice around it: each must be inside of one on its own track.
    flows = {}
    for event in trace["traceEvents"]:
        if event["ph"] not in "sf":
            continue
        inside = [s for s in slices if (s["pid"], s["tid"]) == (event["pid"], event["tid"])
                  and s["ts"] <= event["ts"] <= s["ts"] + s["dur"]]
        assert len(inside) == 1, event
        flows.setdefault(event["id"], []).append((event["ph"], event["ts"]))
    assert len(flows) == sum("parent" in hop for hop in report["hops"])
    for ends in flows.values():
        assert [end[0] for end in ends] == ["s", "f"] and ends[0][1] < ends[1][1]
    starts = sorted(s["ts"] for s in slices)
    assert all(b - a >= 10 for a, b in zip(starts, starts[1:])), "slices overlap"


def check_gitlab(path, _):
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), GITLAB)


def check_casrep(path, report):
    casrep = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(casrep, CASREP)
    assert len(casrep["Culprit"]["chain"]) == len(report["hops"])


def check_github(path, _):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("::error ") and 1 <= len(lines) <= 10
    for line in lines:
        assert re.match(r"::(error|notice) ((file|line|title)=[^:,\n]*,?)+::", line), line


CHECKS = {"junit.xml": check_junit, "hops.csv": check_csv, "trace.json": check_perfetto,
          "codequality.json": check_gitlab, "report.casrep": check_casrep,
          "annotations.txt": check_github}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", required=True, help="the report_samples program")
    args = parser.parse_args()
    failures = checked = 0
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([args.samples, "formats", directory], check=True, timeout=60)
        for case in sorted(pathlib.Path(directory).iterdir()):
            report = json.loads((case / "report.json").read_text(encoding="utf-8"))
            for name, check in CHECKS.items():
                try:
                    check(case / name, report)
                    checked += 1
                except (AssertionError, ValueError, KeyError, jsonschema.ValidationError,
                        xml.etree.ElementTree.ParseError, csv.Error) as error:
                    failures += 1
                    print(f"FAILED: {case.name}/{name}: {type(error).__name__} {str(error)[:300]}")
    print(f"{checked} files good, {failures} failures")
    return 1 if failures or checked < 30 else 0


if __name__ == "__main__":
    sys.exit(main())
