"""Compares a culprit JSON report with the true causal chain of a fixture (an expectation file).

The format of expectation files is described in README.md.
"""
import os
import re

# Hops that carry the value into a slot; one of these between two expected hops that is not expected
# itself means that the chain took a detour.
WRITER_KINDS = {
    "store", "runtime_store", "block_copy", "stale_bytes", "kernel_write", "foreign_write", "remap",
    "channel",
}


class BadExpectation(Exception):
    """The expectation itself is wrong: a marker that is not there, for example."""


class Sources:
    """Finds the lines of `// CULPRIT: name` markers in the sources of a fixture."""

    def __init__(self, directory):
        self.directory = directory

    def line(self, file_name, marker, offset=0):
        path = os.path.join(self.directory, file_name)
        pattern = re.compile(r"// CULPRIT: " + re.escape(marker) + r"$")
        try:
            with open(path, encoding="utf-8") as source:
                lines = [n for n, text in enumerate(source, 1) if pattern.search(text.rstrip())]
        except OSError as error:
            raise BadExpectation(f"cannot read {path}: {error}") from error
        if len(lines) != 1:
            raise BadExpectation(f"marker {marker!r} is {len(lines)} times in {path}")
        return lines[0] + offset

    def resolve(self, file_name, line):
        """An int, {"marker": ..., "offset": ...}, or a list of those: the set of accepted lines."""
        if isinstance(line, list):
            return set().union(*(self.resolve(file_name, one) for one in line))
        if isinstance(line, dict):
            if file_name is None:
                raise BadExpectation("a marker without a file")
            return {self.line(file_name, line["marker"], line.get("offset", 0))}
        return {line}


def as_list(value):
    return value if isinstance(value, list) else [value]


def same_function(expected, code):
    """`code` is a writer or a frame: the name as linked or demangled, with or without parameters."""
    for name in (code.get("function"), code.get("demangled")):
        if not name:
            continue
        if name == expected or name.startswith(expected + "("):
            return True
        # GCC's clones: cache_schema.constprop.0, .isra.0, .part.0
        if re.fullmatch(re.escape(expected) + r"(\.(constprop|isra|part|cold)\.\d+)+", name):
            return True
    return False


def same_file(expected, actual):
    return bool(actual) and (actual == expected or actual.endswith("/" + expected))


def places(hop, backtrace=True):
    """Every piece of code that a hop names: its writer, what that was inlined into, its callers."""
    writer = hop.get("writer", {})
    named = [writer] + writer.get("inlined_in", []) if writer else []
    return named + (hop.get("backtrace", []) if backtrace else [])


def describe_code(code):
    if not code:
        return "(nothing)"
    name = code.get("demangled") or code.get("function") or "?"
    place = os.path.basename(code.get("file", "")) or "?"
    return f"{name} {place}:{code.get('line', '?')}"


def describe_hop(hop):
    place = hop.get("location", {})
    owner = place.get("owner", {})
    name = owner.get("variable", "")
    if owner.get("member"):
        member = owner["member"]
        name += member if member.startswith("[") else "." + member
    return (f"#{hop.get('index')} {hop.get('kind')} by {describe_code(hop.get('writer'))}"
            f" -> {place.get('address', '?')} {place.get('region', '')} {name}"
            f" value {hop.get('value_after', '?')}")


def through_a_local(hop, suspect):
    """True if the hop moves the suspect value through a variable of its own function, as unoptimised
    code does with each argument and assignment: true, and not worth an expectation."""
    place = hop.get("location", {})
    owner = place.get("owner", {})
    value = hop.get("value_after")
    return (hop.get("kind") == "store" and place.get("region") == "stack"
            and bool(owner.get("variable")) and suspect is not None
            and value is not None and int(value, 16) == suspect
            and any(same_function(owner.get("function", ""), code)
                    for code in places(hop, backtrace=False)))


def is_detour(hop, suspect):
    """Between two expected hops, a writer that is not expected."""
    return hop.get("kind") in WRITER_KINDS and not through_a_local(hop, suspect)


class Checker:
    """Checks one report. `problems` is empty if the report tells the truth."""

    def __init__(self, expectation, source_directory):
        self.expectation = expectation
        self.sources = Sources(source_directory)
        self.problems = []

    def problem(self, text):
        self.problems.append(text)

    def code_mismatches(self, expected, code):
        """Of one writer or frame: function, file, line."""
        wrong = []
        function = expected.get("function")
        if function and not same_function(function, code):
            wrong.append(f"function: expected {function}, is "
                         f"{code.get('demangled') or code.get('function') or 'missing'}")
        file_name = expected.get("file")
        if file_name and not same_file(file_name, code.get("file", "")):
            wrong.append(f"file: expected {file_name}, is {code.get('file') or 'missing'}")
        if "line" in expected:
            lines = self.sources.resolve(file_name, expected["line"])
            if code.get("line") not in lines:
                wrong.append(f"line: expected {file_name}:{'|'.join(map(str, sorted(lines)))}, is "
                             f"{code.get('line') or 'missing'}")
        return wrong

    def owner_mismatches(self, expected, owner):
        wrong = []
        for key in ("variable", "member", "type"):
            if key in expected and owner.get(key) != expected[key]:
                wrong.append(f"owner.{key}: expected {expected[key]}, is {owner.get(key, 'missing')}")
        if "type_contains" in expected and expected["type_contains"] not in owner.get("type", ""):
            wrong.append(f"owner.type: expected ...{expected['type_contains']}..., is "
                         f"{owner.get('type', 'missing')}")
        if "function" in expected and not same_function(expected["function"], owner):
            wrong.append(f"owner.function: expected {expected['function']}, is "
                         f"{owner.get('function', 'missing')}")
        if expected.get("frame_offset") and owner.get("frame_offset") is None:
            wrong.append("owner.frame_offset: missing")
        if "declared_file" in expected:
            declared = {"file": owner.get("declared_file", ""), "line": owner.get("declared_line")}
            wanted = {"file": expected["declared_file"]}
            if "declared_line" in expected:
                wanted["line"] = expected["declared_line"]
            wrong += ["owner declared in " + text for text in self.code_mismatches(wanted, declared)]
        return wrong

    def hop_mismatches(self, expected, hop, suspect):
        wrong = []
        kinds = as_list(expected.get("kind", []))
        if kinds and hop.get("kind") not in kinds:
            wrong.append(f"kind: expected {'|'.join(kinds)}, is {hop.get('kind')}")
        writer = hop.get("writer", {})
        candidates = [writer] + writer.get("inlined_in", [])
        best = min((self.code_mismatches(expected, code) for code in candidates), key=len)
        wrong += best
        if "instruction_contains" in expected:
            if expected["instruction_contains"] not in writer.get("instruction", ""):
                wrong.append(f"instruction: expected ...{expected['instruction_contains']}..., is "
                             f"{writer.get('instruction', 'missing')}")
        backtrace = hop.get("backtrace", [])
        start = 0
        for frame in expected.get("frames", []):
            tries = [self.code_mismatches(frame, code) for code in backtrace[start:]]
            found = next((i for i, one in enumerate(tries) if not one), None)
            if found is None:
                near = [code for code in backtrace[start:]
                        if same_function(frame.get("function", ""), code)]
                shown = "; ".join(describe_code(code) for code in (near or backtrace[start:start + 8]))
                lines = ""
                if "line" in frame:
                    lines = ":" + "|".join(
                        map(str, sorted(self.sources.resolve(frame.get("file"), frame["line"]))))
                wrong.append(f"backtrace: expected {frame.get('function')} "
                             f"{frame.get('file', '')}{lines}, has {shown or 'nothing'}")
            else:
                start += found + 1
        location = hop.get("location", {})
        place = expected.get("location", {})
        if "region" in place and location.get("region") not in place["region"]:
            wrong.append(f"region: expected {'|'.join(place['region'])}, is "
                         f"{location.get('region', 'missing')}")
        if place.get("address") and not location.get("address"):
            wrong.append("location.address: missing")
        if "history" in place:
            told = [event.get("description", "") for period in location.get("history", [])
                    for event in (period.get("from"), period.get("to")) if event]
            start = 0
            for text in place["history"]:
                found = next((i for i in range(start, len(told)) if text in told[i]), None)
                if found is None:
                    wrong.append(f"location.history: expected ...{text}..., has "
                                 f"{'; '.join(told[start:]) or 'nothing more'}")
                    break
                start = found + 1
        if "owner" in place:
            wrong += self.owner_mismatches(place["owner"], location.get("owner", {}))
        if "in" in expected:
            tries = [self.code_mismatches(expected["in"], code) for code in places(hop)]
            if not tries:
                wrong.append("neither a writer nor a backtrace")
            elif min(map(len, tries)) > 0:
                wrong += ["neither the writer nor a frame: " + text for text in min(tries, key=len)]
        if "syscall" in expected:
            wrong += self.syscall_mismatches(expected["syscall"], hop.get("syscall", {}))
        if "bytes" in expected and hop.get("bytes") != expected["bytes"]:
            wrong.append(f"bytes: expected {expected['bytes']}, is {hop.get('bytes', 'missing')}")
        wanted = expected.get("value")
        if wanted is not None:
            value = hop.get("value_after")
            number = suspect if wanted == "suspect" else int(wanted, 16)
            if number is None:
                wrong.append("the report has no suspect to compare value_after with")
            elif value is None or int(value, 16) != number:
                wrong.append(f"value_after: expected {number:#x}, is {value or 'missing'}")
        return wrong

    def syscall_mismatches(self, expected, syscall):
        if isinstance(expected, str):
            expected = {"name": expected}
        wrong = []
        for key in ("name", "file_offset"):
            if key in expected and syscall.get(key) != expected[key]:
                wrong.append(f"syscall.{key}: expected {expected[key]}, is "
                             f"{syscall.get(key, 'missing')}")
        if not syscall.get("path", "").endswith(expected.get("path_ends", "")):
            wrong.append(f"syscall.path: expected ...{expected['path_ends']}, is "
                         f"{syscall.get('path') or 'missing'}")
        if expected.get("descriptor") and syscall.get("descriptor") is None:
            wrong.append("syscall.descriptor: missing")
        return wrong

    def check_chain(self, report):
        suspect_text = report.get("suspect", {}).get("value")
        suspect = int(suspect_text, 16) if suspect_text else None
        wanted = self.expectation.get("suspect", {}).get("value")
        if wanted is not None and suspect != int(wanted, 16):
            self.problem(f"suspect: expected {wanted}, is {suspect_text or 'missing'}")
        hops = [hop for hop in report.get("hops", []) if hop.get("main_line", True)]
        at = 0
        carried = -1  # the last hop that is said to carry the suspect value
        for number, expected in enumerate(self.expectation.get("hops", []), 1):
            what = f"hop {number} ({expected.get('what', '')})"
            mismatches = [self.hop_mismatches(expected, hop, suspect) for hop in hops[at:]]
            found = next((i for i, wrong in enumerate(mismatches) if not wrong), None)
            if expected.get("optional"):
                # A compiler may keep the value in a register here; a hop that is there must be next.
                if found is not None and not any(
                        is_detour(hop, suspect) for hop in hops[at:at + found]):
                    at += found + 1
                continue
            if found is None:
                if not mismatches:
                    self.problem(f"{what}: the chain ends before it")
                    return
                best = min(range(len(mismatches)), key=lambda i: len(mismatches[i]))
                self.problem(f"{what}: no hop of the chain is it; the nearest is "
                             f"{describe_hop(hops[at + best])}")
                for text in mismatches[best]:
                    self.problem(f"    {text}")
                return
            for hop in hops[at:at + found]:
                if is_detour(hop, suspect):
                    self.problem(f"{what}: a hop that is not true comes before it: {describe_hop(hop)}")
            at += found + 1
            if expected.get("value") == "suspect":
                carried = hops[at - 1]["index"]
        # Along the chain the value is the same until something is computed.
        for hop in hops:
            if hop.get("kind") == "arithmetic":
                break
            value = hop.get("value_after")
            if (hop.get("kind") in WRITER_KINDS and value is not None and suspect is not None
                    and "bytes" not in hop and hop.get("index", 0) <= carried
                    and int(value, 16) != suspect):
                self.problem(f"the value changes along the chain: {describe_hop(hop)}, suspect is "
                             f"{suspect:#x}")

    def check_also(self, report):
        """Hops that must be somewhere: on the main line or on a side branch, in any order."""
        suspect_text = report.get("suspect", {}).get("value")
        suspect = int(suspect_text, 16) if suspect_text else None
        for expected in self.expectation.get("also", []):
            tries = [self.hop_mismatches(expected, hop, suspect) for hop in report.get("hops", [])]
            if not tries or min(map(len, tries)) > 0:
                self.problem(f"no hop of the report is it: {expected.get('what', '')}")
                for text in min(tries, key=len, default=[]):
                    self.problem(f"    {text}")

    def check_crash(self, report):
        expected = self.expectation.get("crash", {})
        crash = report.get("crash", {})
        for key in ("signal_name", "runtime", "kind"):
            if key in expected and crash.get(key) != expected[key]:
                self.problem(f"crash.{key}: expected {expected[key]}, is {crash.get(key, 'missing')}")
        if expected.get("kind_contains", "") not in crash.get("kind", ""):
            self.problem(f"crash.kind: expected ...{expected['kind_contains']}..., is "
                         f"{crash.get('kind', 'missing')}")
        if "frame" in expected:
            tries = [self.code_mismatches(expected["frame"], code) for code in crash.get("frames", [])]
            if not tries:
                self.problem("crash.frames: missing")
            elif min(map(len, tries)) > 0:
                self.problem("crash.frames: " + "; ".join(min(tries, key=len)))

    def origin_mismatches(self, expected, report):
        """Of the nearest place that the report names for one accepted origin."""
        named = []
        for hop in report.get("hops", []):
            named += places(hop, backtrace=hop.get("kind") != "crash_report")
            owner = hop.get("location", {}).get("owner", {})
            for event in owner.get("life", {}).values():  # born, died: where a block came from
                if isinstance(event, dict):
                    named += event.get("backtrace", [])
            if hop.get("kind") == "stale_bytes" and "declared_file" in owner:
                named.append({"function": owner.get("function", ""), "file": owner["declared_file"],
                              "line": owner.get("declared_line")})
        named.append(report.get("verdict", {}).get("cause", {}))
        return min((self.code_mismatches(expected, code) for code in named), key=len)

    def check_origin(self, report):
        expected = self.expectation.get("origin")
        if not expected:
            return
        wrong = min((self.origin_mismatches(one, report) for one in as_list(expected)), key=len)
        if wrong:
            self.problem("origin: no hop is it: " + "; ".join(wrong))

    def check_verdict(self, report):
        expected = self.expectation.get("verdict", {})
        verdict = report.get("verdict", {})
        if "class" in expected and verdict.get("class") not in expected["class"]:
            self.problem(f"verdict.class: expected {'|'.join(expected['class'])}, is "
                         f"{verdict.get('class', 'missing')}")
        if "stopped" in expected and verdict.get("stopped_because") not in expected["stopped"]:
            self.problem(f"verdict.stopped_because: expected {'|'.join(expected['stopped'])}, is "
                         f"{verdict.get('stopped_because', 'missing')}")
        if "cause" in expected:
            cause = verdict.get("cause", {})
            if "variable" in expected["cause"] and cause.get("variable") != expected["cause"]["variable"]:
                self.problem(f"verdict.cause.variable: expected {expected['cause']['variable']}, is "
                             f"{cause.get('variable', 'missing')}")
            for text in self.code_mismatches(
                    {k: v for k, v in expected["cause"].items() if k != "variable"}, cause):
                self.problem("verdict.cause: " + text)

    def check_form(self, report):
        if "schema_version" not in report:
            self.problem("schema_version: missing")
        hops = report.get("hops", [])
        for place, hop in enumerate(hops):
            if hop.get("index") != place:
                self.problem(f"hops[{place}].index is {hop.get('index')}")
        for index in report.get("verdict", {}).get("evidence", []):
            if not 0 <= index < len(hops):
                self.problem(f"verdict.evidence cites hop {index} of {len(hops)}")
        if "warning_contains" in self.expectation:
            text = self.expectation["warning_contains"]
            if not any(text in warning for warning in report.get("warnings", [])):
                self.problem(f"warnings: none says ...{text}...")

    def check(self, report):
        self.check_form(report)
        self.check_crash(report)
        self.check_chain(report)
        self.check_also(report)
        self.check_origin(report)
        self.check_verdict(report)
        return self.problems
