#!/usr/bin/python3
"""The same hops on both engines: records small C programs of the suite with exact ticks, triages each
trace forward and in reverse, and compares the hops, positions apart.

  two_engines.py --culprit FILE --fixtures DIR [--only NAME]... [--all] [--rr FILE] [--keep DIR]

Programs are compiled here, statically: exact ticks step each instruction, also those of a dynamic
linker. Which ones must agree says engines.txt; `--all` runs also those of that list that are slow, and
those that need not agree, and tells what differs. `--rr`: another rr than that in PATH. Exit code: 0 all agree that must, 1 not, 77 this machine cannot record.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import harness  # noqa: E402

TIMEOUT = 800
# A search ends at its share of this, and then counts less: more than is ever needed.
TRIAGE_TIMEOUT = 6000
# Where and when, and how to go there: the engines count differently.
POSITIONS = {"position", "revisit"}


def read_list():
    """{program: None, "slow", or why it need not agree}."""
    out = {}
    with open(os.path.join(HERE, "engines.txt"), encoding="utf-8") as source:
        for line in source:
            line = line.split("#")[0].rstrip()
            if not line:
                continue
            name, _, why = line.partition(" ")
            out[name] = why.strip() or None
    return out


def without_positions(value):
    if isinstance(value, dict):
        dropped = set(POSITIONS)
        if value.get("name") == "execve":
            # Addresses in rr's own process before it became the program: of no meaning in either.
            dropped.add("arguments")
        return {key: without_positions(item) for key, item in value.items() if key not in dropped}
    if isinstance(value, list):
        return [without_positions(item) for item in value]
    return value


def differences(left, right, path="hops"):
    if type(left) is not type(right):
        return [f"{path}: {left!r} against {right!r}"]
    if isinstance(left, dict):
        out = []
        for key in sorted(set(left) | set(right)):
            if key not in left or key not in right:
                which = "reverse" if key not in left else "forward"
                out.append(f"{path}.{key}: only {which}: {(left.get(key) or right.get(key))!r:.200}")
            else:
                out += differences(left[key], right[key], f"{path}.{key}")
        return out
    if isinstance(left, list):
        if len(left) != len(right):
            return [f"{path}: {len(left)} against {len(right)} entries"]
        return [text for i, pair in enumerate(zip(left, right))
                for text in differences(*pair, f"{path}[{i}]")]
    return [] if left == right else [f"{path}: {left!r:.200} against {right!r:.200}"]


def run(command, environment=None):
    # A small environment: libc's start looks at each variable, and exact ticks step through all that.
    own = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "CULPRIT_RR") if name in os.environ}
    return subprocess.run(command, env=dict(own, **(environment or {})), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT, text=True,
                          errors="replace", check=False)


def compare(culprit, fixtures, name, directory):
    """The differences; raises RuntimeError if a step fails."""
    if not os.path.exists(os.path.join(fixtures, name + ".c")):
        fixtures = os.path.join(HERE, "programs")
    expected = {}
    expectation = os.path.join(fixtures, name + ".expect.json")
    if os.path.exists(expectation):
        with open(expectation, encoding="utf-8") as source:
            expected = json.load(source)
    program = os.path.join(directory, name)
    flags = [flag for key, more in expected.get("flags", {}).items() if key in ("all", "gcc")
             for flag in more]
    built = run(["gcc", "-O0", "-g", "-static", "-pthread", *flags, "-o", program,
                 os.path.join(fixtures, name + ".c"), *expected.get("links", [])])
    if built.returncode != 0:
        raise RuntimeError("not compiled: " + built.stderr)
    trace = os.path.join(directory, name + ".trace")
    arguments = [text.replace("{source_dir}", fixtures) for text in expected.get("arguments", [])]
    recorded = run([culprit, "record", "--engine", "exact", "--no-verify", "-o", trace, "--", program,
                    *arguments], expected.get("env"))
    if recorded.returncode != 0:
        raise RuntimeError("not recorded: " + recorded.stderr.strip()[-300:])
    reports = {}
    for engine in ("forward", "reverse"):
        path = os.path.join(directory, f"{name}.{engine}.json")
        triaged = run([culprit, "triage", "--engine", engine, "--timeout", str(TRIAGE_TIMEOUT), "--json", path,
                       "--rsp-log", os.path.join(directory, name + ".rsp"), trace])
        if triaged.returncode not in (0, 3):
            raise RuntimeError(f"not triaged, {engine}: " + triaged.stderr.strip()[-300:])
        with open(path, encoding="utf-8") as source:
            reports[engine] = json.load(source)
        if reports[engine]["engine"]["name"] != f"exact-ticks/{engine}":
            raise RuntimeError("another engine was used: " + reports[engine]["engine"]["name"])
        left = [pid for pid in harness.children_of(os.getpid())]
        if left:
            raise RuntimeError(f"{engine} has left processes: "
                               + ", ".join(harness.command_line(pid) for pid in left))
    hops = {engine: without_positions(report["hops"]) for engine, report in reports.items()}
    if not hops["forward"]:
        raise RuntimeError("there are no hops to compare")
    return differences(hops["forward"], hops["reverse"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--fixtures", required=True)
    parser.add_argument("--only", action="append")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--rr")
    parser.add_argument("--keep")
    options = parser.parse_args()
    harness.become_subreaper()
    culprit = os.path.abspath(options.culprit)
    if options.rr:
        os.environ["CULPRIT_RR"] = os.path.abspath(options.rr)
    if shutil.which(options.rr or "rr") is None or shutil.which("gcc") is None:
        print("SKIPPED: no rr or no gcc here")
        return harness.SKIP
    listed = read_list()
    failed = False
    with tempfile.TemporaryDirectory(prefix="culprit-engines-") as scratch:
        directory = options.keep or scratch
        os.makedirs(directory, exist_ok=True)
        for name, why in listed.items():
            if options.only and name not in options.only:
                continue
            if why is not None and not options.all and not options.only:
                continue
            try:
                found = compare(culprit, os.path.abspath(options.fixtures), name, directory)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                found = [str(error)]
            must = why in (None, "slow")
            state = "same" if not found else "DIFFERENT" if must else f"different ({why})"
            print(f"{name}: {state}", flush=True)
            for text in found[:12]:
                print("   ", text, flush=True)
            failed = failed or (bool(found) and must)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
