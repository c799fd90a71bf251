#!/usr/bin/env python3
"""`culprit history` on a recording of programs/owners.c: what each address belonged to, who wrote it.

The program prints the addresses that it is asked about. Exit status: 0 good, 1 bad, 77 nothing can be
recorded here.
"""
import argparse
import csv
import io
import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402
from checks import check, failures, marked_line  # noqa: E402

SOURCE = HERE / "programs" / "owners.c"


def line_of(mark):
    return marked_line(SOURCE, "// LINE: " + mark)


class Asker:
    def __init__(self, culprit, trace, schema):
        self.culprit, self.trace = culprit, trace
        self.validator = None
        try:
            import jsonschema
            reports = json.loads((schema.parent / "report.schema.json").read_text())
            # One document: the references into the report's schema become local ones.
            merged = json.loads(schema.read_text().replace("report-1.0.json#/$defs/", "#/$defs/"))
            merged["$defs"] = {**reports["$defs"], **merged["$defs"]}
            self.validator = jsonschema.Draft202012Validator(merged)
        except ImportError:
            print("no python3-jsonschema: the JSON is not validated")

    def raw(self, *options):
        return harness.run([self.culprit, "history", str(self.trace), *options], timeout=200)

    def ask(self, *options):
        result = self.raw("--format", "json", *options)
        check(result.code == 0 and not result.problems,
              f"{options}: exit {result.code}, {result.problems}, {result.err[-400:]}")
        if result.code != 0:
            return None
        history = json.loads(result.out)
        if self.validator:
            for error in self.validator.iter_errors(history):
                check(False, f"{options}: the schema says {error.message} at {list(error.path)}")
        return history


def stores(history):
    return [w for w in history["writes"] if w["kind"] == "store"]


def lines(history):
    return [w["writer"].get("line") for w in stores(history)]


def frame_lines(event):
    return [f.get("line") for f in event.get("backtrace", []) if f.get("file", "").endswith("owners.c")]


def heap_block(asker, address):
    history = asker.ask(address)
    if not history:
        return
    blocks = [r for r in history["regions"] if r["description"].startswith("heap block")]
    check(len(blocks) == 2, f"two blocks had the address, not {len(blocks)}")
    if len(blocks) == 2:
        first, second = blocks
        check(first["range"]["size"] == 72, "the first block has 72 bytes")
        check(line_of("first malloc") in frame_lines(first["from"]), "who allocated the first block")
        check(line_of("first free") in frame_lines(first.get("to", {})), "who freed the first block")
        check(line_of("second malloc") in frame_lines(second["from"]), "who allocated the second block")
        check("to" not in second, "the second block is not freed")
    check(any(r["description"].startswith("heap area") for r in history["regions"]), "the heap's own area")
    own = [w for w in stores(history) if w["writer"].get("file", "").endswith("owners.c")]
    check([w["writer"]["line"] for w in own] == [line_of("first owner"), line_of("second owner")],
          f"the program's two stores, not {[w['writer'].get('line') for w in own]}")
    if len(own) == 2:
        check((own[0]["value_after"], own[1]["value_after"]) == ("0xb", "0x16"), "their values")
        check("mov" in own[1]["writer"].get("instruction", ""), "the instruction")
        check(any(f["function"] == "main" for f in own[1]["backtrace"]), "main called it")
    # The allocator's own use of the freed block is a write as well.
    check(len(stores(history)) > 2, "free wrote its list into the block")


def mapping(asker, address):
    history = asker.ask(address, "--size", "1")
    if not history:
        return
    periods = [r for r in history["regions"] if r.get("to", {}).get("description", "").startswith("munmap")
               and line_of("munmap") in frame_lines(r["to"])]
    check(len(periods) == 1, f"one period ends with the program's munmap: {history['regions']}")
    if periods:
        check(line_of("mmap") in frame_lines(periods[0]["from"]), "who mapped it")
        check(periods[0]["range"]["size"] >= 8192, "its size")
    last = [r for r in history["regions"] if "to" not in r]
    check(len(last) == 1 and line_of("mmap again") in frame_lines(last[0]["from"]), "mapped again, until the end")
    if last:
        check("rw-p → r--p" in last[0]["description"], "mprotect is noted")
    kinds = [(w["kind"], w.get("syscall", {}).get("name"), w["writer"].get("line")) for w in history["writes"]]
    tail = kinds[-4:]
    check([k[0] for k in tail] == ["store", "remap", "remap", "store"], f"store, munmap, mmap, store: {kinds}")
    check((tail[1][1], tail[2][1]) == ("munmap", "mmap"), f"the calls: {tail}")
    check((tail[0][2], tail[3][2]) == (line_of("mapped"), line_of("mapped again")), f"the lines: {tail}")
    check("value_after" not in history["writes"][-3], "nothing is there after munmap")


def thread_stack(asker, address):
    history = asker.ask(address)
    if not history:
        return
    stacks = [r for r in history["regions"] if r["kind"] == "stack" and r["description"].startswith("stack of thread")]
    check(len(stacks) == 1, f"it was a thread's stack: {history['regions']}")
    if not stacks:
        return
    stack = stacks[0]
    thread = int(stack["description"].rsplit(" ", 1)[1])
    check(line_of("start thread") in frame_lines(stack["from"]), "who started the thread")
    check(f"thread {thread} ended" == stack.get("to", {}).get("description"), "the thread's end")
    own = [w for w in stores(history) if w["writer"].get("line") == line_of("thread stack")]
    check(len(own) == 1 and own[0]["position"]["thread"] == thread, "its store is the thread's")
    check(own and own[0]["location"].get("owner", {}).get("variable") == "on_stack", "the variable that it was")
    check(own and own[0]["value_before"] == "0x4d2", "the value before")
    only = asker.ask(address, "--thread", str(thread))
    check(only and all(w["position"]["thread"] == thread for w in only["writes"]), "--thread")
    check(only and only["writes_matching"] <= history["writes_matching"], "--thread counts less")
    event = own[0]["position"]["event"] if own else 0
    some = asker.ask(address, "--between", f"{event}..{event}")
    check(some and some["writes"] and all(w["position"]["event"] == event for w in some["writes"]), "--between")
    none = asker.ask(address, "--between", f"..{0}")
    check(none and none["writes_matching"] == 0 and none["writes_seen"] > 0, "--between before everything")


def kernel(asker, address):
    history = asker.ask(address)
    if not history:
        return
    writes = [w for w in history["writes"] if w["kind"] == "kernel_write"]
    check(len(writes) == 1 and writes[0]["syscall"]["name"] == "read", f"read() wrote it: {history['writes']}")
    if writes:
        check(writes[0]["value_after"] == hex(int.from_bytes(b"ABCDEFGH", "little")), "the bytes that it read")
        check(line_of("read") in [f.get("line") for f in writes[0]["backtrace"]], "who called read")
    check(any(r["description"].startswith("variable buffer") for r in history["regions"]), "the variable")


def hot(asker):
    history = asker.ask("ticks", "--limit", "10")
    if not history:
        return
    check(history["location"]["size"] == 4, "an int has 4 bytes")
    check(history["location"].get("owner", {}).get("variable") == "ticks", "its name")
    matching = history["writes_matching"]
    check(matching >= 1000 and len(history["writes"]) == 10, f"1000 writes, 10 listed: {matching}")
    check(history["writes_left_out"] == matching - 10, "the others are left out")
    check(history["writes"][-1]["value_after"] == hex(1000), "the newest are listed")
    check(history["writes"][-1]["index"] == matching - 1, "and numbered")
    group = history["writers"][0]
    check(group["count"] == 1000 and group["writer"]["line"] == line_of("tick"), f"who wrote 1000 times: {group}")
    one = asker.ask("ticks", "--value", "0x1f4")
    check(one and one["writes_matching"] == 1 and one["writes"][0]["value_after"] == "0x1f4", "--value")
    check(one and one["writes_seen"] >= 1000, "--value counts what it saw")
    check(one and one["writes"][0]["backtrace"][0]["function"] == "main", "and stops there")


def expressions(asker):
    history = asker.ask("table[2].weight")
    check(history and lines(history) == [line_of("weight")], "table[2].weight")
    through = asker.ask("list->next->weight")
    check(through and through["location"]["address"] == history["location"]["address"], "list->next->weight")
    local = asker.ask("local")
    check(local and lines(local)[-1:] == [line_of("local")], "a local of main, below abort's frames")
    check(local and local["location"]["owner"]["variable"] == "local", "its name")
    wide = asker.ask("table[2]", "--size", "16")
    check(wide and {int(w["location"]["address"], 16) for w in stores(wide)} ==
          {int(wide["location"]["address"], 16), int(wide["location"]["address"], 16) + 8}, "two words")
    for text in ("nothing_like_it", "table[", "list->none", "*ticks", "", "*" * 300, "(" * 100):
        result = asker.raw(text)
        check(result.code == 2 and not result.problems, f"{text!r}: exit {result.code}: {result.err}")
        check(result.err.startswith("culprit: ") and len(result.err.splitlines()) == 1, f"{text!r}: one line")
    for options in (["0x10"], ["ticks", "--size", "9"], ["ticks", "--between", "x..y"], ["ticks", "--process", "7"],
                    ["ticks", "--value", "zz"], ["0xfffffffffffffff8"]):
        result = asker.raw(*options)
        check(result.code == 2 and not result.problems, f"{options}: exit {result.code}: {result.err}")


def other_formats(asker, address):
    result = asker.raw("table[2].weight", "--format", "csv")
    rows = list(csv.reader(io.StringIO(result.out)))
    check(result.code == 0 and len(rows) == 3 and len({len(row) for row in rows}) == 1, f"CSV: {result.out}")
    row = dict(zip(rows[0], rows[-1]))
    check(row["line"] == str(line_of("weight")) and row["value_after"] == "0x4d", f"CSV: {row}")
    text = asker.raw(address)
    for word in ("What it belonged to", "heap block of 72 bytes", "Writes:", "Who wrote how often", "owners.c:"):
        check(text.code == 0 and word in text.out, f"text: {word}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--schema", required=True, type=pathlib.Path)
    options = parser.parse_args()
    harness.skip_if_this_machine_cannot_record(options.culprit)
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace"
        result = harness.run([options.culprit, "record", "-o", str(trace), "--", options.program], timeout=120)
        check(result.code == 0, f"the recording: exit {result.code}: {result.err}")
        places = dict(line.split(" ", 1) for line in result.out.splitlines() if " 0x" in line)
        asker = Asker(options.culprit, trace, options.schema)
        heap_block(asker, places["block"])
        mapping(asker, places["mapping"])
        thread_stack(asker, places["thread"])
        kernel(asker, places["kernel"])
        hot(asker)
        expressions(asker)
        other_formats(asker, places["block"])
    print(f"{len(failures)} failed" if failures else "good")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
