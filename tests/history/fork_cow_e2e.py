#!/usr/bin/env python3
"""fixtures/fork-cow: the chain of a value that no store of the process made, for one way in one build.

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

SOURCE = HERE.parents[1] / "fixtures" / "fork-cow" / "stale_page.c"
WAYS = ("mremap", "mremap_back", "mmap", "madvise_file", "madvise_zero", "vm_writev", "proc_mem")
CALLS = {"mremap_back": "mremap", "madvise_file": "madvise", "madvise_zero": "madvise",
         "vm_writev": "process_vm_writev", "proc_mem": "pwrite64"}
MARKS = {"mremap_back": "mremap", "madvise_file": "madvise", "madvise_zero": "madvise"}


def line_of(mark):
    return marked_line(SOURCE, "// CULPRIT: " + mark)


def lines(hop):
    return [f.get("line") for f in hop.get("backtrace", []) if f.get("file", "").endswith("stale_page.c")]


def check_chain(report, way):
    hops = report["hops"]
    check(report["verdict"]["class"] == "replaced_page", f"class {report['verdict']['class']}")
    check(report["verdict"]["title"].startswith("Stale or replaced page"), "title")
    value = "0x0" if way == "madvise_zero" else "0x66"
    check(report["suspect"]["value"] == value, f"the value that was read: {report['suspect']['value']}")
    stores = [h for h in hops if h["kind"] == "store"]
    check(stores and stores[0]["writer"].get("line") == line_of("load") and stores[0].get("main_line", True),
          "the load of the older value comes first")
    foreign = way in ("vm_writev", "proc_mem")
    change = next((h for h in hops if h["kind"] == ("foreign_write" if foreign else "remap")), None)
    check(change is not None, f"the change: {[h['kind'] for h in hops]}")
    if change is None:
        return
    check(change["syscall"]["name"] == CALLS.get(way, way), f"its call: {change['syscall']}")
    check(len(change["syscall"]["arguments"]) == 6, "its arguments")
    # Where the page was moved away first, nothing was there.
    before = None if way == "mremap_back" else "0x2"
    check((change.get("value_before"), change["value_after"]) == (before, value), f"its bytes: {change}")
    check(line_of(MARKS.get(way, way)) in lines(change), f"its caller: {lines(change)}")
    main_thread = hops[0]["position"]["thread"]
    check(change["position"]["thread"] != main_thread, "another thread or process made it")
    check((change["position"]["process"] != hops[0]["position"]["process"]) == foreign, "of which process")
    check("was forked by thread" in change["note"], f"the fork: {change['note']}")
    last = next((h for h in hops if not h.get("main_line", True) and h.get("parent") == change["index"]), None)
    check(last and last["writer"].get("line") == line_of("store") and last["value_after"] == "0x2",
          "the program's own last store, of 2")
    if way == "madvise_zero":
        return
    after = hops[change["index"] + 1:]
    if way in ("mmap", "madvise_file"):
        check(any(h["kind"] == "channel" and h["syscall"]["name"] == "pwrite64" for h in after), "the file's writer")
    if not foreign:
        check(any(h["writer"].get("line") == line_of("copy") for h in after if "writer" in h), "who made the copy")
    check(any(h["writer"].get("line") == line_of("older store") for h in after if "writer" in h),
          "and who made the value")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--way", choices=WAYS + ("control",), required=True)
    parser.add_argument("--schema", type=pathlib.Path)
    options = parser.parse_args()
    harness.skip_if_this_machine_cannot_record(options.culprit)
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace"
        file = pathlib.Path(folder) / "report.json"
        command = [options.culprit, "run", "-o", str(trace), "--json", str(file), "--at", "write:^Corruption!",
                   "--address", "seen"]
        if options.way == "control":
            result = harness.run([*command, "--retries", "2", "--", options.program, "40"], timeout=300)
            check(result.code == 4 and not result.problems, f"exit {result.code}: {result.err}")
            check("did not fail" in result.err and "3 runs" in result.err, f"how hard it tried: {result.err}")
        else:
            result = harness.run([*command, "--", options.program, options.way], timeout=200)
            if options.way == "madvise_file" and result.code == 6:
                # rr 5.6.0 replays a private mapping of a file as anonymous memory: what madvise brings back is
                # zero there, which rr notices. Refused, then, and nothing is claimed.
                check(not file.exists() and "replay ended" in result.err, f"refused: {result.err}")
                print("refused by this rr" if not failures else "failed")
                return 1 if failures else 0
            check(result.code == 0 and not result.problems, f"exit {result.code}: {result.out} {result.err}")
            if file.exists():
                report = json.loads(file.read_text())
                check_chain(report, options.way)
                if failures:
                    print(result.out)
                problems = harness.schema_problems([(options.way, report)], options.schema) if options.schema else []
                check(not problems, f"schema: {problems}")
    print(f"{len(failures)} failed" if failures else "good")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
