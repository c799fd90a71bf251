#!/usr/bin/env python3
"""Memory that changes with no store of the program (programs/changed_outside.c).

`branch`, `print`: this test, which is not recorded, writes into the program, as a broken kernel would. rr does not
see it, so the replay has the old value: the recording must be refused, and nothing claimed. `robust`: the kernel's
own change must be named as that, and not be suspected.

Exit status: 0 good, 1 bad, 77 nothing can be recorded here, or one process may not write into another.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402
from checks import check, failures  # noqa: E402


def write_from_outside(told, back, outcome):
    """Writes 102 where the program says. `outcome` gets the bytes written, or the error."""
    try:
        with open(told, encoding="ascii") as source:
            process, address = source.read().split()
        memory = os.open(f"/proc/{int(process)}/mem", os.O_RDWR)
        try:
            outcome.append(os.pwrite(memory, (102).to_bytes(8, "little"), int(address, 16)))
        finally:
            os.close(memory)
    except (OSError, ValueError) as error:
        outcome.append(error)
    with open(back, "w", encoding="ascii") as sink:
        sink.write("g")


def from_outside(options, folder):
    told, back = folder / "told", folder / "back"
    for fifo in (told, back):
        os.mkfifo(fifo)
    outcome = []
    # A daemon: if the program never opens its end, the test must not wait for ever.
    threading.Thread(target=write_from_outside, args=(told, back, outcome), daemon=True).start()
    trace, report = folder / "trace", folder / "report.json"
    result = harness.run([options.culprit, "run", "-o", str(trace), "--json", str(report), "--retries", "0", "--",
                          options.program, options.way, str(told), str(back)], timeout=200)
    if outcome and isinstance(outcome[0], PermissionError):
        print("this system does not let one process write into another")
        return 77
    check(outcome == [8], f"written from outside: {outcome}")
    check("Corruption! 102" in result.out, f"the program saw it: {result.out}")
    check(result.code == 6 and not result.problems, f"exit {result.code}: {result.err}")
    check(not report.exists(), "nothing is claimed")
    check("recorded, but the replay" in result.err, f"and why: {result.err}")
    if options.way == "print":
        check("prints “Corruption! 002” where the program printed “Corruption! 102”" in result.err,
              f"both values: {result.err}")
        check("out of rr's sight" in result.err, f"what it means: {result.err}")
    return 0


def by_the_kernel(options, folder):
    file = folder / "report.json"
    result = harness.run([options.culprit, "run", "-o", str(folder / "trace"), "--json", str(file), "--at",
                          "write:^Corruption!", "--address", "robust.__data.__lock", "--", options.program, "robust"],
                         timeout=200)
    check(result.code == 0 and not result.problems, f"exit {result.code}: {result.err}")
    if not file.exists():
        return
    report = json.loads(file.read_text())
    kernel = next((hop for hop in report["hops"] if hop["kind"] == "kernel_write"), None)
    check(kernel and kernel["syscall"]["name"] == "exit", "the owner's end changed it")
    check(kernel and kernel["value_after"] == "0x40000000", "FUTEX_OWNER_DIED")
    check(kernel and kernel["position"]["thread"] != report["hops"][0]["position"]["thread"], "of the other thread")
    check(report["verdict"]["class"] != "kernel_or_hardware_suspect", "the kernel is not suspected")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--way", choices=("branch", "print", "robust"), required=True)
    options = parser.parse_args()
    harness.skip_if_this_machine_cannot_record(options.culprit)
    with tempfile.TemporaryDirectory() as folder:
        if options.way == "robust":
            by_the_kernel(options, pathlib.Path(folder))
        elif from_outside(options, pathlib.Path(folder)) == 77:
            return 77
    print(f"{len(failures)} failed" if failures else "good")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
