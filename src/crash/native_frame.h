// One line of a traceback of compiled code.
//
// Formats read from compiler-rt 14 (sanitizer_stacktrace_printer.cpp; "    #%n %p %F %L %M") and
// GCC 12's copy, Valgrind 3.19 (m_debuginfo/debuginfo.c, describe_IP), glibc 2.36 and 2.23
// (debug/backtracesymsfd.c), and Rust 1.63 and 1.95 (library/std/src/../backtrace/src/print.rs).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "crash/crash_report.h"

namespace culprit::crash {

/// A frame and its number, for the formats that have one.
struct NumberedFrame {
  std::uint32_t number = 0;
  Frame frame;
};

/// "    #1 0x4c3a1d in f(int) /src/a.cc:12:5 (prog+0x1234) (BuildId: …)": of the sanitizers; the
/// address, the place and the module may each be missing.
[[nodiscard]] std::optional<NumberedFrame> parse_sanitizer_frame(std::string_view text);
/// Does a sanitizer's frame lack everything behind the function, as if the line had been folded?
[[nodiscard]] bool is_open_sanitizer_frame(std::string_view text);

/// "   at 0x109175: read_at (valgrind.c:13)" or "   by 0x…: f (in /lib/x.so)", without "==PID==".
[[nodiscard]] std::optional<Frame> parse_valgrind_frame(std::string_view text);

/// "/lib/libc.so.6(abort+0x1b)[0x7f5a1e3f27e5]": of glibc's backtrace().
[[nodiscard]] std::optional<Frame> parse_glibc_frame(std::string_view text);

/// "  12:     0x7f… - core::panicking::panic::h0123456789abcdef", the address and the hash may be
/// missing; the place is on the next line.
[[nodiscard]] std::optional<NumberedFrame> parse_rust_frame(std::string_view text);
/// "             at /rustc/…/panicking.rs:584:5", into the frame.
bool parse_rust_place(std::string_view text, Frame& frame);

/// "FILE:LINE[:COLUMN]" into the frame. False, and nothing set, if it is not one.
bool parse_place(std::string_view text, Frame& frame);

}  // namespace culprit::crash
