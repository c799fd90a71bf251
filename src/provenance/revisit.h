// How a person gets to a moment again: an rr command line and what to type into its gdb.
//
// What is printed here was seen to work with rr 5.6.0 and gdb 13 on traces without ticks
// (tests/e2e/revisit.py runs it):
// * `rr replay -g N` stands after frame N, before the program runs on.
// * In a trace of several processes gdb gets the process that frame N + 1 belongs to, whatever N
//   is; `-f PID` makes rr go on to the first frame of that process.
// * rr evaluates a breakpoint's condition itself, but it is parsed by gdb, in the language of the
//   code where gdb stands: `unsigned long` is a syntax error in Go.
// * Commands of `-x FILE` or after `--` run before gdb is connected; they must be typed, or come from
//   stdin.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "provenance/last_writer.h"
#include "replay/trace_index.h"
#include "report/model.h"

namespace culprit::provenance {

/// What all commands of one report have in common.
struct RevisitStyle {
  std::string prefix;           ///< shell words before "rr replay"
  std::string trace_directory;  ///< quoted for the shell
};

/// Just after an instruction's store. Leaves the breakpoint out where it would stop at another
/// store than this one (WriterHit::repeats is not known).
[[nodiscard]] report::Revisit revisit_store(const replay::TraceIndex& index,
                                            const WriterHit& writer, const Slot& slot,
                                            const RevisitStyle& style);

/// Just after a system call that wrote the slot.
[[nodiscard]] report::Revisit revisit_kernel_write(const replay::TraceIndex& index,
                                                   const replay::Position& at, const Slot& slot,
                                                   const RevisitStyle& style);

/// The crash. `noticed` is the frame of the stack that found the bad value; `slot` may be null.
[[nodiscard]] report::Revisit revisit_crash(const replay::TraceIndex& index, const Moment& crash,
                                            std::size_t noticed, const Slot* slot,
                                            const RevisitStyle& style);

/// The moment of `reader`, with an eye on another slot.
[[nodiscard]] report::Revisit revisit_reader(const report::Revisit& reader, const Slot& slot);

}  // namespace culprit::provenance
