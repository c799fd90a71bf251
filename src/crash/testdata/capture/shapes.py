#!/usr/bin/env python3
"""Makes the texts of ../shape_NAME.txt out of captured ones: the same reports as mailers, log collectors,
terminals and interrupted transfers hand them on. The expected reports are filled in by the golden test with
CULPRIT_UPDATE_GOLDEN=1, to be read before they are committed.
"""
import json
import os
import textwrap

OUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def read(name):
    with open(os.path.join(OUT, name + ".txt"), encoding="utf-8", newline="") as file:
        return file.read()


def write(name, text, end):
    with open(os.path.join(OUT, name + ".txt"), "w", encoding="utf-8", newline="") as file:
        file.write(text)
    with open(os.path.join(OUT, name + ".json"), "w", encoding="utf-8") as file:
        json.dump({"exit": end, "reports": []}, file, indent=1)
        file.write("\n")


def lines(name):
    return read(name).split("\n")


def folded(name, width=76, quote=""):
    """As a mailer folds: at blanks, continuation lines without indentation."""
    out = []
    for line in lines(name):
        pieces = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False,
                               drop_whitespace=True) or [""]
        if line.startswith(" "):
            indent = line[:len(line) - len(line.lstrip())]
            pieces[0] = indent + pieces[0].lstrip()
        out += [quote + piece for piece in pieces]
    return "\n".join(out)


def prefixed(name, prefix):
    return "\n".join(prefix % (i % 60) + line for i, line in enumerate(lines(name)))


def interleaved(first, second, every=1):
    a, b = lines(first), lines(second)
    out = []
    for i in range(0, max(len(a), len(b)), every):
        out += a[i:i + every] + b[i:i + every]
    return "\n".join(out)


def cut(name, words, extra=0):
    text = read(name)
    return text[:text.index(words) + len(words) + extra]


def main():
    failed = {"exit_status": 1}
    aborted = {"signal": 6}
    write("shape_asan_folded", folded("asan_clang_uaf_thread"), failed)
    write("shape_asan_folded_quoted", folded("asan_gcc_heap_overflow_write", 70, "> "), failed)
    write("shape_asan_global_folded", folded("asan_clang_global_overflow", 72), failed)
    write("shape_asan_log_prefix",
          prefixed("asan_clang_double_free", "Nov 25 09:12:%02d build-7 server[812]: "), failed)
    write("shape_asan_docker_prefix",
          prefixed("asan_clang_stack_overflow_write", "2026-11-25T09:12:%02d.113Z stderr F "), failed)
    write("shape_asan_crlf", read("asan_clang_global_overflow").replace("\n", "\r\n"), failed)
    write("shape_asan_after_progress",
          "loading  10%\rloading  70%\rloading 100%\r" + read("asan_clang_mismatch"), failed)
    write("shape_asan_interleaved",
          interleaved("asan_clang_uaf_read", "asan_clang_heap_overflow_write"), failed)
    write("shape_asan_two", read("asan_clang_double_free") + "restarting\n" + read("asan_gcc_uaf_read"),
          failed)
    write("shape_asan_cut_in_headline", cut("asan_clang_uaf_read", "heap-use-after-free on addr"), failed)
    write("shape_asan_cut_after_headline", cut("asan_clang_uaf_read", " sp 0x", 12), failed)
    write("shape_asan_cut_in_frame", cut("asan_clang_uaf_read", "previously allocated by thread T0 here:", 25),
          failed)
    write("shape_asan_cut_in_address", cut("asan_clang_uaf_read", "is located 0 bytes inside of 16"), failed)
    write("shape_asan_with_other_output",
          read("asan_clang_uaf_write").replace("\n    #1", "\nserver: still here\n    #1"), failed)
    write("shape_tsan_folded", folded("tsan_clang_heap"), {"exit_status": 66})
    write("shape_tsan_two", read("tsan_clang_global") + read("tsan_clang_free_race"), {"exit_status": 66})
    write("shape_tsan_log_prefix", prefixed("tsan_gcc_heap", "[%5d.123456] app: "), {"exit_status": 66})
    write("shape_msan_crlf", read("msan_through").replace("\n", "\r\n"), failed)
    write("shape_msan_folded", folded("msan_strlen"), failed)
    write("shape_ubsan_folded", folded("ubsan_clang_vptr", 60), {"exit_status": 3})
    write("shape_ubsan_log_prefix", prefixed("ubsan_clang_misaligned", "I1125 09:12:%02d worker "), {"exit_status": 3})
    write("shape_valgrind_interleaved", interleaved("valgrind_use_after_free", "valgrind_read_after_end"),
          {"exit_status": 99})
    write("shape_valgrind_folded", folded("valgrind_double_free", 60), {"exit_status": 99})
    write("shape_valgrind_log_prefix", prefixed("valgrind_use_after_free", "  [ci %3d] "), {"exit_status": 99})
    write("shape_valgrind_cut", cut("valgrind_use_after_free", "Block was alloc'd at", 30), {"exit_status": 99})
    write("shape_valgrind_crlf", read("valgrind_thread").replace("\n", "\r\n"), {"exit_status": 99})
    write("shape_rust_log_prefix", prefixed("rust1_95_backtrace", "web-%02d  | "), {"exit_status": 101})
    write("shape_rust_old_log_prefix", prefixed("rust1_63_index", "web-%02d  | "), {"exit_status": 101})
    write("shape_rust_crlf", read("rust1_95_assert_eq").replace("\n", "\r\n"), {"exit_status": 101})
    write("shape_rust_cut_after_place", cut("rust1_95_index", "panicked at rust.rs:25:42:"), {"exit_status": 101})
    write("shape_rust_cut_in_message", cut("rust1_63_assert_eq", "left: `9`"), {"exit_status": 101})
    write("shape_glibc_log_prefix", "2026-11-25 09:12:01 host server[81]: " + read("glibc_free_invalid_pointer"),
          aborted)
    write("shape_glibc_after_output", "served 12 requests*** stack smashing detected ***: terminated\n", aborted)
    write("shape_assert_folded", folded("glibc_assert", 40), aborted)
    write("shape_libstdcxx_folded", folded("libstdcxx_index", 70), aborted)
    write("shape_libstdcxx_debug_crlf", read("libstdcxx_debug_foreign_erase").replace("\n", "\r\n"), aborted)
    write("shape_libstdcxx_debug_cut", cut("libstdcxx_debug_iterator", "attempt to deref"), aborted)
    write("shape_cxx_then_glibc", read("cxx_throw") + read("glibc_corrupted_list"), aborted)
    write("shape_abort_words_but_segv", read("glibc_double_free_top"), {"signal": 11})


if __name__ == "__main__":
    main()
