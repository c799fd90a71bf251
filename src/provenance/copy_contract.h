// Copies by functions of the C library, explained by what those functions promise: the whole body
// of a copy of megabytes need not be stepped through.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/registers.h"
#include "base/result.h"
#include "base/types.h"
#include "provenance/last_writer.h"
#include "provenance/source_passes.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// Byte i of the destination is what byte i of the source was at the call.
struct CopyContract {
  Gpr destination = Gpr::rdi;
  Gpr source = Gpr::rsi;
  std::optional<Gpr> size;  ///< of both; none: as far as a string reaches
};

/// The contract of a copying function by its name in the symbol table: "memcpy", "strcpy",
/// "__memmove_avx_unaligned_erms", "__stpcpy_chk". Nothing for names that only look like one
/// ("memcpy_swapped") and for functions that put the source elsewhere (strcat). Parameters as in
/// C11 7.24 and POSIX.1-2017; how glibc decorates its names: glibc 2.36, sysdeps/x86_64/multiarch.
[[nodiscard]] std::optional<CopyContract> copy_contract(std::string_view symbol);

/// Where the copied byte at `stored` was in the source, by the registers at the function's entry.
/// Nothing if the copy did not reach it.
[[nodiscard]] std::optional<Address> copied_from(const CopyContract& contract,
                                                 const Registers& entry, ByteRange stored);

/// Where the bytes that `writer` put into `slot` came from, if a function with such a contract
/// stored them: one pass up to the store, which must find the same bytes at the source (an
/// overlapping move may have overwritten them). Nothing where that is not so, or where the entry
/// was not seen or is executed too often to be looked for.
[[nodiscard]] Result<std::optional<ResolvedSource>> resolve_copy(
    replay::Replay& replay, const ProcessImage& image, const WriterHit& writer, const Slot& slot,
    std::chrono::milliseconds deadline, report::Stats& stats);

}  // namespace culprit::provenance
