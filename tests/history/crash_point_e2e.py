#!/usr/bin/env python3
"""`--at` and `--address EXPR` on a program that ends with a message and a status (programs/messages.c).

Exit status: 0 good, 1 bad, 77 nothing can be recorded here.
"""
import argparse
import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402
from checks import check, failures, marked_line  # noqa: E402

SOURCE = HERE / "programs" / "messages.c"


def line_of(mark):
    return marked_line(SOURCE, "// LINE: " + mark)


def triage(culprit, trace, at, address):
    result = harness.run([culprit, "triage", "--json", "-", "--at", at, "--address", address, str(trace)], timeout=100)
    check(result.code in (0, 3) and not result.problems, f"{at} {address}: exit {result.code}: {result.err}")
    return json.loads(result.out) if result.code in (0, 3) else None


def history(culprit, trace, at, address):
    result = harness.run([culprit, "history", "--format", "json", "--at", at, str(trace), address], timeout=100)
    check(result.code == 0 and not result.problems, f"history {at} {address}: exit {result.code}: {result.err}")
    return json.loads(result.out) if result.code == 0 else None


def stored(report, line):
    return report and any(h["kind"] == "store" and h["writer"].get("line") == line for h in report["hops"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    options = parser.parse_args()
    harness.skip_if_this_machine_cannot_record(options.culprit)
    with tempfile.TemporaryDirectory() as folder:
        # It ends well: only the output that is waited for makes it a failure.
        trace = pathlib.Path(folder) / "trace"
        report_file = pathlib.Path(folder) / "report.json"
        run = harness.run([options.culprit, "run", "-o", str(trace), "--json", str(report_file), "--at",
                           "write:^bad item [0-9]+$", "--address", "wrong", "--", options.program, "0"], timeout=200)
        check(run.code == 0 and not run.problems, f"run: exit {run.code}: {run.err}")
        report = json.loads(report_file.read_text()) if report_file.exists() else None
        check(report and report["suspect"]["value"] == "0x67", "the local's value")
        check(report and report["suspect"]["size"] == 4, "an int has 4 bytes")
        check(stored(report, line_of("wrong")), "the local's store")
        check(stored(report, line_of("fill")), "and where its value came from")
        check(report and report["crash"]["message"].startswith("item 103"), "the write that completes the match")
        check(report and report["hops"][0]["writer"]["function"] == "main", "the program's own frame noticed")

        for at in ("exit", "write:item"):
            slot = triage(options.culprit, trace, at, "table[3].id")
            check(stored(slot, line_of("fill")), f"{at}: table[3].id")
            check(slot and slot["suspect"]["location"].get("owner", {}).get("member") == "[3].id", f"{at}: its name")
        third = triage(options.culprit, trace, "fn:fill#3", "table[1].id")
        check(third and third["suspect"]["value"] == "0x65", "at the third entry table[1] is filled")
        none = triage(options.culprit, trace, "fn:fill#3", "table[3].id")
        check(none and none["suspect"]["value"] == "0x0", "at the third entry table[3] is not")
        inside = triage(options.culprit, trace, "fn:fill#4", "wrong")
        check(inside and inside["crash"]["position"]["event"] > 0, "a local of the caller")

        whole = history(options.culprit, trace, "exit", "table[3].id")
        check(whole and whole["writes"][-1]["writer"]["line"] == line_of("fill"), "history: who filled table[3]")
        early = history(options.culprit, trace, "fn:fill#4", "table[3].id")
        check(whole and early and len(early["writes"]) == len(whole["writes"]) - 1, "history: not yet at the entry")
        local = history(options.culprit, trace, "write:^bad item [0-9]+$", "wrong")
        check(local and local["writes"][-1]["value_after"] == "0x67", "history: a local of a frame at the message")
        check(local and local["location"]["size"] == 4, "history: an int has 4 bytes")
        check(local and local["evaluated_at"]["event"] < whole["evaluated_at"]["event"], "history: before the end")

        both = harness.run([options.culprit, "triage", "--at", "exit", "--address", "table[3].id", "--at-event", "9",
                            "--at-thread", "1", "--at-pc", "0x1", str(trace)], timeout=100)
        check(both.code == 2 and both.err.count("\n") == 1 and "say one of them" in both.err, f"both: {both.err}")
        for at, address in (("fn:nobody", "wrong"), ("write:(", "wrong"), ("later", "wrong"), ("exit", "nobody")):
            result = harness.run([options.culprit, "history", "--at", at, str(trace), address], timeout=100)
            check(result.code == 2 and not result.problems and len(result.err.splitlines()) == 1,
                  f"history {at} {address}: exit {result.code}: {result.err}")

        for at, address in (("fn:fill#5", "wrong"), ("fn:nobody", "wrong"), ("fn:", "wrong"), ("fn:fill#x", "wrong"),
                            ("write:nothing like it", "wrong"), ("write:(", "wrong"), ("later", "wrong"),
                            ("exit", "nobody"), ("exit", "table[3].none"), ("exit", "wrong]")):
            result = harness.run([options.culprit, "triage", "--at", at, "--address", address, str(trace)], timeout=100)
            check(result.code == 2 and not result.problems and len(result.err.splitlines()) == 1,
                  f"{at} {address}: exit {result.code}: {result.err}")
        bad = harness.run([options.culprit, "run", "--at", "write:never printed", "--", options.program, "0"], timeout=100)
        check(bad.code == 4, f"no such output: it did not fail: exit {bad.code}: {bad.err}")
    print(f"{len(failures)} failed" if failures else "good")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
