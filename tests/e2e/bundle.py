#!/usr/bin/python3
"""`culprit bundle`, and the triage of what it made where the program and its debug file are gone.

  bundle.py --culprit PATH --program PATH [--debug-file]

--debug-file: PROGRAM.debug lies beside the program, and the chain needs it.

The program is copied into a folder of its own, recorded there, bundled, and the folder moved away: the
triage of the bundle must give the chain of the report, with nothing left of the unpacked files. Then bad
calls: nothing is written, or what was there stays.

Exit code: 0 all true, 1 not, 77 this machine cannot record (ctest: skipped).
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

import harness

LIMIT = 120


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--debug-file", action="store_true")
    args = parser.parse_args()
    args.culprit = os.path.abspath(args.culprit)
    harness.skip_if_this_machine_cannot_record(args.culprit)
    with tempfile.TemporaryDirectory(prefix="culprit-e2e-") as work:
        problems = check(args, work)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def chain(path):
    """The hops of a report: what must not depend on where its files are."""
    with open(path, encoding="utf-8") as source:
        report = json.load(source)
    return [(hop["kind"], hop["writer"].get("function"), hop["writer"].get("line"), hop.get("value_after"),
             hop["writer"].get("module_offset"), hop.get("location", {}).get("owner", {}).get("variable"),
             hop.get("location", {}).get("owner", {}).get("member"),
             [frame.get("function") for frame in hop.get("backtrace", [])])
            for hop in report["hops"]] + [report["verdict"]["class"], report["verdict"].get("stopped_because")]


class Calls:
    """Runs culprit and collects what went wrong."""

    def __init__(self, args, work):
        self.culprit = args.culprit
        self.temporary = os.path.join(work, "tmp")
        os.mkdir(self.temporary)
        self.environment = dict(os.environ, TMPDIR=self.temporary, LC_ALL="C")
        self.work = work
        self.problems = []

    def run(self, codes, *arguments, send=None):
        result = harness.run([self.culprit, *arguments], self.environment, LIMIT, cwd=self.work, send=send)
        self.problems += [f"{arguments[0]}: {problem}" for problem in result.problems]
        if result.code not in codes:
            self.problems.append(f"{' '.join(arguments)}: left with {result.code}, not {codes}: {result.err[-400:]}")
        if os.listdir(self.temporary):
            self.problems.append(f"{arguments[0]} left {os.listdir(self.temporary)} in TMPDIR")
        return result


def check(args, work):
    calls = Calls(args, work)
    here = os.path.join(work, "here")
    os.mkdir(here)
    program = os.path.join(here, os.path.basename(args.program))
    shutil.copy(args.program, program)
    if args.debug_file:
        shutil.copy(args.program + ".debug", program + ".debug")
    report = os.path.join(work, "report.json")
    trace = os.path.join(work, "trace")
    calls.run((0, 3), "-q", "run", "-o", trace, "--json", report, "--", program)
    if calls.problems:
        return calls.problems
    before = chain(report)
    if not any(hop[2] and hop[5] for hop in before[:-2]):
        return ["the chain names no line and no variable: it would not miss its debug information"]
    listing = sorted((entry.name, entry.stat().st_size) for entry in os.scandir(trace))

    made = os.path.join(work, "x.tar.zst")
    result = calls.run((0,), "bundle", report, "-o", made)
    print(f"bundled in {result.seconds:.1f} s:")
    print(result.out)
    for line in ("trace ", "debug files ", "report ", "unpacked", "may hold private data", "environment"):
        if line not in result.out:
            calls.problems.append(f"the summary does not speak of {line!r}")
    if args.debug_file and " 0 files" in result.out:
        calls.problems.append("the debug file is not in the bundle")
    if sorted((entry.name, entry.stat().st_size) for entry in os.scandir(trace)) != listing:
        calls.problems.append("the trace itself was changed")

    # Another machine: neither the program nor its debug file, nor the trace, is where it was.
    os.rename(here, os.path.join(work, "gone"))
    os.rename(trace, os.path.join(work, "gone-trace"))
    again = os.path.join(work, "again.json")
    result = calls.run((0, 3), "-q", "triage", made, "--json", again)
    print(f"triaged in {result.seconds:.1f} s")
    if calls.problems:
        return calls.problems
    after = chain(again)
    if before != after or len(before) < 4:
        calls.problems.append(f"the chain changed:\n  before {before}\n  after  {after}")
    with open(again, encoding="utf-8") as source:
        told = json.load(source)
    if any("revisit" in hop for hop in told["hops"]) or \
            not any("--unpack-to" in warning for warning in told["warnings"]):
        calls.problems.append("the report leads to a folder that is gone")

    kept = os.path.join(work, "kept")
    calls.run((0, 3), "-q", "triage", made, "--unpack-to", kept, "--json", again)
    if chain(again) != before or not os.path.isdir(os.path.join(kept, "trace")):
        calls.problems.append("--unpack-to: another chain, or nothing was kept")
    if os.stat(kept).st_mode & 0o077:
        calls.problems.append("--unpack-to: others can read it")
    calls.run((2,), "-q", "triage", made, "--unpack-to", kept)
    calls.run((2,), "-q", "triage", os.path.join(kept, "trace"), "--unpack-to", os.path.join(work, "k2"))
    if shutil.which("gdb"):
        hop = max(hop["index"] for hop in told["hops"] if hop["kind"] in ("store", "crash_report"))
        result = calls.run((0,), "-q", "open", made, "--hop", str(hop), "--batch", "-c", "info source")
        if f"hop {hop}: " not in result.out or ".c" not in result.out:
            calls.problems.append(f"open: {result.out[-500:]} {result.err[-300:]}")
    bad_calls(calls, work, report, made, os.path.join(work, "gone-trace"))
    return calls.problems


def bad_calls(calls, work, report, made, trace):
    kept = os.path.join(work, "precious.tar.zst")

    def unchanged(what):
        with open(kept, encoding="utf-8") as source:
            if source.read() != "precious":
                calls.problems.append(f"{what}: what was there was overwritten")
        left = [name for name in os.listdir(work) if name.startswith("precious.tar.zst.")]
        if left:
            calls.problems.append(f"{what}: left {left}")

    with open(kept, "w", encoding="utf-8") as out:
        out.write("precious")
    calls.run((2,), "bundle", report, "-o", kept)  # its trace is gone
    unchanged("no trace")
    linked = os.path.join(work, "linked")
    shutil.copytree(trace, linked)
    os.symlink("/etc/hostname", os.path.join(linked, "mmap_pack_99_x"))
    calls.run((2,), "bundle", report, "--trace", linked, "-o", kept)
    unchanged("a link in the trace")
    calls.run((0, 130), "bundle", report, "--trace", trace, "-o",
              os.path.join(work, "interrupted.tar.zst"), send=(0.15, signal.SIGTERM))
    unchanged("interrupted")
    left = [name for name in os.listdir(work) if name.startswith("interrupted.tar.zst.")]
    if left:
        calls.problems.append(f"interrupted: left {left}")
    calls.run((2,), "bundle", report, "--trace", trace, "-o", work)
    calls.run((1,), "bundle", report, "--trace", trace, "-o", os.path.join(work, "no", "where.tar.zst"))
    calls.run((2,), "bundle", os.path.join(work, "missing.json"), "-o", kept)
    unchanged("no report")

    # Half of it, and the whole with links in it.
    with open(made, "rb") as source:
        data = source.read()
    half = os.path.join(work, "half.tar.zst")
    with open(half, "wb") as out:
        out.write(data[:len(data) // 2])
    calls.run((2,), "-q", "triage", half)
    if shutil.which("tar") and shutil.which("zstd"):
        folder = os.path.join(work, "hostile")
        os.mkdir(folder)
        with open(os.path.join(folder, "bundle.json"), "w", encoding="utf-8") as out:
            json.dump({"culprit_bundle": 1, "process": 0, "files": 1, "bytes": 0}, out)
        os.mkdir(os.path.join(folder, "trace"))
        os.symlink("/etc", os.path.join(folder, "trace", "events"))
        hostile = os.path.join(work, "hostile.tar.zst")
        subprocess.run(["tar", "-C", folder, "--zstd", "-cf", hostile, "bundle.json", "trace/events"], check=True)
        result = calls.run((2,), "-q", "triage", hostile)
        if "is a symbolic link: refused" not in result.err:
            calls.problems.append(f"a link in a bundle: {result.err[-300:]}")


if __name__ == "__main__":
    sys.exit(main())
