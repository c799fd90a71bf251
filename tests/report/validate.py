#!/usr/bin/env python3
"""The published report schema against a real validator (python3-jsonschema, draft 2020-12).

1. The schema is a valid schema.
2. Reports that the library writes are valid, and so are the golden ones.
3. Schema and library know the same members: with unknown members forbidden the fullest report is
   still valid, and it has every member that the schema describes.
4. Broken reports (each member removed, given another type, an unknown name, a number out of range)
   are judged alike by the validator and by the library's own reader.

Exit status: 0 good, 1 bad, 77 no validator here (python3-jsonschema 4 or newer is not installed).
"""

import argparse
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    from jsonschema import Draft202012Validator
except ImportError:
    print("SKIPPED: python3-jsonschema 4 or newer is not installed (apt install python3-jsonschema)")
    sys.exit(77)


def parents(schema):
    """Each object schema of the document, with a name."""
    yield "report", schema
    for name, definition in schema["$defs"].items():
        if definition.get("type") == "object":
            yield name, definition


def closed(schema):
    """The schema with unknown members forbidden everywhere."""
    schema = copy.deepcopy(schema)
    for _, definition in parents(schema):
        definition["additionalProperties"] = False
    return schema


def seen_members(schema, value, node, seen, name="report"):
    """Collects (object name, member) for everything in `value`."""
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        node = schema["$defs"][name]
    if isinstance(value, dict):
        for key, child in value.items():
            seen.add((name, key))
            seen_members(schema, child, node["properties"][key], seen)
    elif isinstance(value, list):
        for child in value:
            seen_members(schema, child, node["items"], seen)


def places(schema, value, node, path=(), name="report", met=None):
    """One path for each member of each object type, and one for each list's elements."""
    met = set() if met is None else met
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        node = schema["$defs"][name]
    if isinstance(value, dict):
        for key, child in value.items():
            if (name, key) not in met:
                met.add((name, key))
                yield path + (key,)
            yield from places(schema, child, node["properties"][key], path + (key,), name, met)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if (path[-1], "[]") not in met:
                met.add((path[-1], "[]"))
                yield path + (index,)
            yield from places(schema, child, node["items"], path + (index,), name, met)


def changed(report, path, change):
    """A copy with change(container, key) done at `path`."""
    report = copy.deepcopy(report)
    container = report
    for key in path[:-1]:
        container = container[key]
    change(container, path[-1])
    return report


def mutations(schema, report):
    """(description, broken or harmless report) pairs."""

    def put(value):
        return lambda container, key: container.__setitem__(key, value)

    for path in places(schema, report, schema):
        where = ".".join(map(str, path))
        value = report
        for key in path:
            value = value[key]
        if not isinstance(path[-1], int):
            yield f"{where} removed", changed(report, path, lambda c, k: c.pop(k))
        for other in (None, True, 7, -7, 2**64, 1.5, "no such name", "0X1F", {}, [{}]):
            # Links between hops and whole numbers written as 1.0 are beyond a schema.
            if path[-1] in ("index", "parent") or "evidence" in path:
                if isinstance(other, int) and not isinstance(other, bool) and other >= 0:
                    continue
            if path == ("hops",) and other == []:
                continue
            yield f"{where} = {other!r}", changed(report, path, put(other))
        if isinstance(value, str):
            yield f"{where} too long", changed(report, path, put("x" * 20000))
        if isinstance(value, list) and path != ("hops",):
            yield f"{where} too many", changed(report, path, put(value[:1] * 2000))
        yield f"{where}: unknown member beside it", changed(
            report, path, lambda c, k: c.__setitem__("from_the_future", 1) if isinstance(c, dict) else None
        )


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--schema", required=True, type=pathlib.Path)
    options.add_argument("--samples", required=True, help="the report_samples program")
    options.add_argument("--golden", required=True, type=pathlib.Path)
    options = options.parse_args()

    failures = []

    def expect(condition, message):
        if not condition:
            failures.append(message)

    schema = json.loads(options.schema.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    strict = Draft202012Validator(closed(schema))

    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([options.samples, "write", directory], check=True, timeout=60)
        reports = sorted(pathlib.Path(directory).glob("*.json"))
        expect(len(reports) == 3, f"{len(reports)} samples instead of 3")
        reports += sorted(options.golden.rglob("*.json"))
        for path in reports:
            report = json.loads(path.read_text(encoding="utf-8"))
            if not report.get("schema_version", "1.").startswith("1."):
                continue  # of a later schema: kept to see that it is refused
            for error in strict.iter_errors(report):
                expect(False, f"{path.name}: {error.json_path}: {error.message[:200]}")
        full = json.loads((pathlib.Path(directory) / "full.json").read_text(encoding="utf-8"))
    if failures:  # the rest takes the members of the report to be those of the schema
        print(*failures[:40], sep="\n")
        return 1

    seen = set()
    seen_members(schema, full, schema, seen)
    for name, definition in parents(schema):
        for member in definition["properties"]:
            # main_line is written where it is false only: the side branch of the sample has it.
            expect((name, member) in seen, f"the full report has no {name}.{member}")

    # The side branch has everything; what the other hops repeat would only take time.
    small = copy.deepcopy(full)
    small["hops"][:-1] = [
        {key: hop[key] for key in ("index", "kind", "confidence")} for hop in small["hops"][:-1]
    ]
    cases = list(mutations(schema, small))
    lines = "".join(json.dumps(report) + "\n" for _, report in cases)
    answers = subprocess.run(
        [options.samples, "read"], input=lines, capture_output=True, text=True, check=True, timeout=100
    ).stdout.splitlines()
    expect(len(answers) == len(cases), f"{len(answers)} answers for {len(cases)} reports")
    rejected = 0
    for (description, report), answer in zip(cases, answers):
        valid = validator.is_valid(report)
        rejected += not valid
        expect(valid == (answer == "ok"), f"{description}: schema says {valid}, reader says {answer}")
    expect(rejected > len(cases) // 3, f"only {rejected} of {len(cases)} broken reports were rejected")

    for failure in failures[:40]:
        print("FAILED:", failure)
    print(f"{len(reports)} reports valid, {rejected} of {len(cases)} mutations rejected by both, "
          f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
