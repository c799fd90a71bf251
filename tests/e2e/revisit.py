#!/usr/bin/python3
"""Does what a report says under "How to go there", and looks whether gdb stands there.

  revisit.py --culprit PATH --program PATH [--argument TEXT]... [--hops KIND...] [--print EXPR=TEXT]

For each hop: the printed shell line runs with the printed gdb commands on its stdin. Then the slot must
hold the hop's value; a store hop stands just behind the instruction that the report names, a crash hop
on it (or in the frame whose call returns there). --hops: the kinds that must have been visited.
--print: what gdb must print for EXPR at the first store.

Exit code: 0 all true, 1 not, 77 this machine cannot record, or there is no gdb (ctest: skipped).
"""
import argparse
import json
import os
import re
import shlex
import shutil
import sys
import tempfile

import harness

MARK = "culprit-revisit"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--argument", action="append", default=[])
    parser.add_argument("--env", action="append", default=[], help="NAME=VALUE for the program")
    parser.add_argument("--hops", nargs="+", default=["crash_report", "store"])
    parser.add_argument("--print", dest="expression", help="EXPR=TEXT at the first store")
    parser.add_argument("--timeout", type=float, default=30, help="seconds of one visit")
    args = parser.parse_args()

    harness.skip_if_this_machine_cannot_record(args.culprit)
    if shutil.which("gdb") is None:
        print("skipped: no gdb in PATH")
        sys.exit(harness.SKIP)
    with tempfile.TemporaryDirectory(prefix="culprit-e2e-") as work:
        problems = check(args, work)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def check(args, work):
    path = os.path.join(work, "report.json")
    environment = dict(os.environ, **dict(pair.split("=", 1) for pair in args.env))
    result = harness.run([os.path.abspath(args.culprit), "run", "-o", os.path.join(work, "trace"), "--json", path,
                          "--", os.path.abspath(args.program), *args.argument],
                         environment, 100, cwd=work)
    try:
        with open(path, encoding="utf-8") as source:
            report = json.load(source)
    except (OSError, ValueError) as error:
        return [f"no report: {error}", *result.err.splitlines()[-10:]]
    problems = list(result.problems)
    expression = args.expression
    visited = []
    for hop in report["hops"]:
        if not hop.get("revisit"):
            continue
        kind = hop["kind"]
        wanted = expression if kind == "store" else None
        found, seconds = visit(hop, wanted, work, args.timeout)
        if wanted:
            expression = None
        visited.append(kind)
        print(f"#{hop['index']} {kind}: {seconds:.1f} s, {'; '.join(found) or 'stands there'}")
        problems += [f"#{hop['index']} {kind}: {problem}" for problem in found]
    problems += [f"no {kind} hop was visited" for kind in args.hops if kind not in visited]
    return problems


def visit(hop, expression, work, timeout):
    """Follows one hop's instructions: (what is wrong, seconds)."""
    revisit = hop["revisit"]
    commands = revisit.get("gdb_commands", [])
    if not commands:
        return ["the report has no commands for it"], 0.0
    location = hop.get("location", {})
    pc = hop.get("writer", {}).get("pc")
    size = location.get("size", 8)
    lines = list(commands)
    lines += [f"echo {MARK} pc\\n", "p/x $pc"]
    if pc:
        lines += [f"echo {MARK} code\\n", f"x/2i {pc}"]
    if "address" in location:
        lines += [f"echo {MARK} slot\\n", f"x/{size}xb {location['address']}"]
    if expression:
        lines += [f"echo {MARK} expression\\n", "p " + expression.split("=", 1)[0]]
    lines += [f"echo {MARK} end\\n"]
    script = os.path.join(work, f"hop-{hop['index']}.gdb")
    with open(script, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
    # The user's own .gdbinit is not a part of the report.
    result = harness.run(["/bin/sh", "-c", f"{revisit['command']} < {shlex.quote(script)}"],
                         dict(os.environ, HOME=work, LC_ALL="C"), timeout, cwd=work)
    if result.problems:
        return result.problems, result.seconds
    problems = []
    stands_at = number_after(result.out, "pc", r"\$\d+ = (0x[0-9a-f]+)")
    if stands_at is None:
        return ["gdb does not stand anywhere: " + " | ".join(result.out.splitlines()[-8:])], \
            result.seconds
    if pc and hop["kind"] in ("store", "runtime_store"):
        code = section(result.out, "code")
        addresses = [int(a, 16) for a in re.findall(r"^(?:\(rr\)\s*)?(?:=>)?\s*(0x[0-9a-f]+)", code, re.M)]
        if addresses[1:2] != [stands_at]:
            problems.append(f"stands at {stands_at:#x}, not behind {pc}: {code!r}")
    if pc and hop["kind"] == "crash_report" and stands_at != int(pc, 16):
        problems.append(f"stands at {stands_at:#x}, not at {pc}")
    if "address" in location and "value_after" in hop:
        data = re.findall(r"\t(0x[0-9a-f]{2})\b", section(result.out, "slot"))
        value = sum(int(byte, 16) << 8 * i for i, byte in enumerate(data))
        if len(data) != size or value != int(hop["value_after"], 16):
            problems.append(f"the slot holds {value:#x} ({len(data)} bytes), not {hop['value_after']}")
    if expression:
        name, text = expression.split("=", 1)
        if f" = {text}\n" not in section(result.out, "expression"):
            problems.append(f"{name} is not {text}: {section(result.out, 'expression')!r}")
    return problems, result.seconds


def section(text, name):
    """What gdb printed between one mark and the next."""
    found = re.search(rf"{MARK} {name}\n(.*?){MARK} ", text, re.S)
    return found.group(1) if found else ""


def number_after(text, name, pattern):
    found = re.search(pattern, section(text, name))
    return int(found.group(1), 16) if found else None


if __name__ == "__main__":
    sys.exit(main())
