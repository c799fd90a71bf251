#!/usr/bin/env python3
"""Makes the captured texts of ../ again: builds the programs of this folder in /tmp/src, runs each case and
writes NAME.txt (what it printed) and NAME.json (how it ended; the expected reports are filled in by the golden
test with CULPRIT_UPDATE_GOLDEN=1, to be read before they are committed).

    capture.py [--list] [PATTERN...]      only the cases whose name matches one of the shell patterns

README.md names the packages and their versions. A case whose program did not fail is reported and not written.
"""
import fnmatch
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.dirname(HERE)
BUILD = "/tmp/src"
CASES = []
RUST_NEW = os.environ.get("CULPRIT_RUSTC_NEW", "rustc")


def case(name, build, argv, env=None, stdin=b"", program=None, wrap=(), shell=None):
    """build: the compiler command without output; argv: arguments of the program."""
    CASES.append(dict(name=name, build=build, argv=argv, env=env or {}, stdin=stdin, wrap=list(wrap),
                      shell=shell, program=program))


def gcc(source, *flags):
    return ("gcc" if source.endswith(".c") else "g++", "-g", *flags, source)


def clang(source, *flags):
    return ("clang-14" if source.endswith(".c") else "clang++-14", "-g", *flags, source)


def cases():
    for name in """double_free_notprev double_free_top double_free_fasttop double_free_tcache
            free_invalid_pointer free_invalid_size free_next_size_fast free_next_size_normal
            free_corrupted_unsorted free_overflow_prev_size malloc_corrupted_top
            malloc_invalid_size_unsorted malloc_next_size_unsorted malloc_mismatching_next malloc_unsorted_list
            malloc_next_prev_inuse malloc_smallbin malloc_largebin malloc_tcache_unaligned
            malloc_fastbin_unaligned malloc_memory_corruption_fast consolidate_invalid_size
            consolidate_unaligned realloc_invalid_pointer realloc_invalid_old_size realloc_invalid_next_size
            munmap_invalid_pointer mremap_invalid_pointer corrupted_size_prev_size corrupted_size_unlink
            corrupted_list sysmalloc_assertion overflow_next_header""".split():
        case("glibc_" + name, gcc("heap.c", "-O0", "-w"), [name])
    debug = {"LD_PRELOAD": "libc_malloc_debug.so.0"}
    case("glibc_malloc_check_free", gcc("heap.c", "-O0", "-w"), ["free_invalid_pointer"],
         {**debug, "MALLOC_CHECK_": "3"})
    case("glibc_malloc_check_double", gcc("heap.c", "-O0", "-w"), ["double_free_tcache"],
         {**debug, "MALLOC_CHECK_": "3"})
    case("glibc_malloc_check_realloc", gcc("heap.c", "-O0", "-w"), ["realloc_invalid_pointer"],
         {**debug, "GLIBC_TUNABLES": "glibc.malloc.check=3"})

    fortify = gcc("check.c", "-O2", "-w", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-all")
    case("glibc_smash", gcc("check.c", "-O0", "-w", "-fstack-protector-all"), ["smash"])
    for name in "strcpy memcpy sprintf fdset format_n longjmp assert".split():
        case("glibc_" + name, fortify, [name])
    case("glibc_read", fortify, ["read"], stdin=b"x" * 64)
    case("clang_smash", clang("check.c", "-O0", "-w", "-fstack-protector-all"), ["smash"])
    case("glibc_assert_server", gcc("check.c", "-O0", "-w"), ["assert"], program="server")
    plain = gcc("check.c", "-O0", "-w")
    # A shell says how its child ended.
    for name in "segv wild abort fpe ill bus trap stack_overflow".split():
        case("bash_" + name, plain, [name], program="server", shell="./server %s; exit $?")
    case("dash_segv", plain, ["segv"], program="server", shell="dash:./server %s; exit $?")
    case("bash_script_segv", plain, ["segv"], program="server", shell="script:./server %s")

    for name in """throw throw_int throw_cstring throw_struct throw_lines bad_alloc bad_function bad_optional
            at bad_cast noexcept unwinding rethrow_nothing thread_joinable thread_throw pure recursive_init
            substr""".split():
        case("cxx_" + name, gcc("cxx.cc", "-std=c++20", "-O0", "-w", "-pthread"), [name])
    for name in """index front string_index optional_deref unique_deref shared_deref span deque_pop""".split():
        case("libstdcxx_" + name, gcc("cxx.cc", "-std=c++20", "-O0", "-w", "-D_GLIBCXX_ASSERTIONS"), [name])
    for name in "iterator end map_end sort singular foreign_erase index list_bounds".split():
        case("libstdcxx_debug_" + name, gcc("cxx.cc", "-std=c++20", "-O0", "-w", "-D_GLIBCXX_DEBUG"), [name])
    libcxx = clang("cxx.cc", "-std=c++20", "-O0", "-w", "-stdlib=libc++", "-D_LIBCPP_DEBUG=0", "-pthread")
    for name in "throw throw_int pure index front string_index optional_deref span recursive_init".split():
        case("libcxx_" + name, libcxx, [name])

    asan = """uaf_read uaf_write uaf_thread heap_overflow_write heap_underflow_read heap_overflow_memcpy
        heap_overflow_strcpy stack_overflow_write stack_two_variables stack_underflow stack_return stack_scope
        dynamic_stack global_overflow global_text double_free bad_free_stack bad_free_offset bad_free_global
        mismatch new_delete_size segv_null segv_wild segv_noncanonical segv_jump fpe ill abort stack_exhausted
        negative_size overlap calloc_overflow too_big container use_after_poison""".split()
    options = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:handle_abort=1:handle_sigfpe=1:handle_sigill=1"}
    clang_asan = clang("asan.cc", "-O0", "-fsized-deallocation", "-D_GLIBCXX_SANITIZE_VECTOR", "-w", "-fsanitize=address", "-fsanitize-address-use-after-scope",
                       "-fno-omit-frame-pointer", "-std=c++20", "-pthread")
    gcc_asan = gcc("asan.cc", "-O1", "-w", "-fsanitize=address", "-fno-omit-frame-pointer", "-std=c++20",
                   "-pthread")
    for name in asan:
        case("asan_clang_" + name, clang_asan, [name], options)
    for name in """uaf_read heap_overflow_write stack_overflow_write global_overflow double_free bad_free_offset
            mismatch new_delete_size segv_null stack_exhausted""".split():
        case("asan_gcc_" + name, gcc_asan, [name], options)
    case("asan_colour", clang_asan, ["uaf_read"], {"ASAN_OPTIONS": "color=always"})
    case("asan_unsymbolised", clang_asan, ["uaf_read"], {"ASAN_OPTIONS": "symbolize=0"})
    case("asan_abort_on_error", clang_asan, ["heap_overflow_write"], {"ASAN_OPTIONS": "abort_on_error=1"})
    case("asan_no_frames", clang_asan, ["heap_overflow_write"],
         {"ASAN_OPTIONS": "fast_unwind_on_malloc=0:malloc_context_size=0"})
    case("asan_strip_paths", clang_asan, ["double_free"], {"ASAN_OPTIONS": "strip_path_prefix=/tmp/src/"})
    case("asan_registers", clang_asan, ["segv_null"], {"ASAN_OPTIONS": "dump_registers=1:dump_instruction_bytes=1"})

    flags = ("-std=c++20", "-O0", "-w", "-fsanitize=undefined")
    for name in """overflow negate divide shift shift_negative index null_load null_member misaligned
            misaligned_store bool float unreachable missing_return nonnull returns_nonnull vla vptr vptr_call
            pointer_overflow null_offset function segv""".split():
        case("ubsan_clang_" + name, clang("ubsan.cc", *flags), [name], {"UBSAN_OPTIONS": "print_stacktrace=1"})
    for name in "overflow divide index null_member misaligned vptr".split():
        case("ubsan_gcc_" + name, gcc("ubsan.cc", *flags), [name])
    case("ubsan_minimal", clang("ubsan.cc", "-std=c++20", "-O0", "-w", "-fsanitize=signed-integer-overflow",
                                "-fsanitize-minimal-runtime", "-fno-sanitize-recover=all"), ["overflow"])
    case("ubsan_halt", clang("ubsan.cc", *flags), ["overflow"],
         {"UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:report_error_type=1"})
    case("ubsan_colour", clang("ubsan.cc", *flags), ["misaligned"], {"UBSAN_OPTIONS": "color=always"})

    msan = clang("msan.cc", "-std=c++20", "-O0", "-w", "-fsanitize=memory", "-fsanitize-memory-track-origins=2")
    for name in "stack heap freed through write strlen param segv".split():
        case("msan_" + name, msan, [name])
    case("msan_no_origins", clang("msan.cc", "-std=c++20", "-O0", "-w", "-fsanitize=memory"), ["heap"])

    tsan_flags = ("-std=c++20", "-O1", "-w", "-fsanitize=thread", "-pthread")
    for name in """global heap stack uaf free_race mutex deadlock unlock destroy_locked leak vptr segv""".split():
        case("tsan_clang_" + name, clang("tsan.cc", *tsan_flags), [name])
    for name in "global heap".split():
        case("tsan_gcc_" + name, gcc("tsan.cc", *tsan_flags), [name])

    for name in """read_after_end write_before use_after_free realloc_stale uninit_branch uninit_stack
            uninit_index double_free invalid_free free_inside write_syscall overlap fishy null wild jump
            dead_stack thread abort readonly""".split():
        extra = ["--track-origins=yes"] if name.startswith("uninit") else []
        case("valgrind_" + name, gcc("valgrind.c", "-O0", "-w", "-pthread"), [name],
             wrap=["valgrind", "--leak-check=no", "--error-exitcode=99", *extra])
    case("valgrind_mismatch", gcc("mismatch.cc", "-O0", "-w"), [], wrap=["valgrind", "--error-exitcode=99"])
    case("valgrind_no_debug_info", ("gcc", "-O0", "-w", "-s", "valgrind.c", "-pthread"), ["read_after_end"],
         wrap=["valgrind", "--leak-check=no", "--error-exitcode=99"])

    rust = """index slice slice_order utf8 unwrap_none unwrap_err expect add sub mul neg div rem shl assert_eq
        assert explicit unreachable todo borrow thread unnamed_thread double no_unwind stack alloc capacity
        double_free""".split()
    for name in rust:
        case("rust1_63_" + name, ("/usr/bin/rustc", "--edition=2021", "-g", "rust.rs"), [name],
             {"RUST_BACKTRACE": "0"})
    for name in rust + ["misaligned", "null", "unsafe_index"]:
        case("rust1_95_" + name, (RUST_NEW, "--edition=2021", "-g", "rust.rs"), [name], {"RUST_BACKTRACE": "0"})
    for version, compiler in (("1_63", "/usr/bin/rustc"), ("1_95", RUST_NEW)):
        build = (compiler, "--edition=2021", "-g", "rust.rs")
        case(f"rust{version}_backtrace", build, ["index"], {"RUST_BACKTRACE": "1"})
        case(f"rust{version}_backtrace_full", build, ["add"], {"RUST_BACKTRACE": "full"})
        case(f"rust{version}_note", build, ["div"])
        case(f"rust{version}_panic_abort", (compiler, "--edition=2021", "-g", "-Cpanic=abort", "rust.rs"),
             ["unwrap_none"], {"RUST_BACKTRACE": "0"})

    allocators = ("gcc", "-g", "-O0", "-w", "allocators.c")
    for library, names in (("libtcmalloc_minimal.so.4", "invalid_free"),
                           ("libtcmalloc_minimal_debug.so.4", "double_free invalid_free")):
        short = library.split(".")[0][3:]
        for name in names.split():
            case(f"{short}_{name}", allocators, [name],
                 {"LD_PRELOAD": library})


def build(one):
    command = list(one["build"])
    key = "_".join(command).replace("/", "_").replace(" ", "_")
    folder = os.path.join(BUILD, "built")
    os.makedirs(folder, exist_ok=True)
    built = os.path.join(folder, f"{abs(hash_text(key)):x}")
    if not os.path.exists(built):
        if command[-1] == "-pthread":
            command = command[:-2] + ["-pthread", command[-2]]
        subprocess.run(command + ["-o", built], cwd=BUILD, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    program = os.path.join(BUILD, one["program"] or "prog")
    shutil.copy(built, program)
    return program


def hash_text(text):
    value = 0
    for byte in text.encode():
        value = (value * 131 + byte) % (1 << 61)
    return value


def run(one):
    program = build(one)
    # Nothing of this machine's environment: a text must depend on the case only.
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/", **one["env"]}
    relative = "./" + os.path.basename(program)
    command = one["wrap"] + [relative] + one["argv"]
    if one["shell"]:
        text = one["shell"] % one["argv"][0]
        if text.startswith("dash:"):
            command = ["dash", "-c", text[5:]]
        elif text.startswith("script:"):
            with open(os.path.join(BUILD, "run.sh"), "w", encoding="ascii") as script:
                script.write(text[7:] + "\nexit $?\n")
            command = ["bash", "run.sh"]
        else:
            command = ["bash", "-c", text]
    with open(os.path.join(BUILD, "output"), "w+b") as output:
        done = subprocess.run(command, cwd=BUILD, env=env, input=one["stdin"], stdout=output,
                              stderr=subprocess.STDOUT, timeout=60, check=False)
        output.seek(0)
        return output.read(), done.returncode


def main(argv):
    cases()
    names = [one["name"] for one in CASES]
    assert len(names) == len(set(names)), "two cases have one name"
    patterns = [a for a in argv if not a.startswith("--")] or ["*"]
    chosen = [one for one in CASES if any(fnmatch.fnmatch(one["name"], p) for p in patterns)]
    if "--list" in argv:
        print("\n".join(one["name"] for one in chosen))
        return 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.makedirs(BUILD, exist_ok=True)
    shutil.rmtree(os.path.join(BUILD, "built"), ignore_errors=True)
    for source in os.listdir(HERE):
        shutil.copy(os.path.join(HERE, source), BUILD)
    failed = 0
    for one in chosen:
        try:
            text, code = run(one)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"{one['name']}: {error}", file=sys.stderr)
            failed += 1
            continue
        if code in (77, 78, 79) or (code == 0 and not text):
            print(f"{one['name']}: did not fail ({code})", file=sys.stderr)
            failed += 1
            continue
        end = {"signal": -code} if code < 0 else {"exit_status": code}
        with open(os.path.join(OUT, one["name"] + ".txt"), "wb") as file:
            file.write(text)
        with open(os.path.join(OUT, one["name"] + ".json"), "w", encoding="utf-8") as file:
            json.dump({"exit": end, "reports": []}, file, indent=1)
            file.write("\n")
        first = text.decode("utf-8", "replace").strip().split("\n")
        print(f"{one['name']} [{signal.Signals(-code).name if code < 0 else code}] {len(text)}: {first[0][:90]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
