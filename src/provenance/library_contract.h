// Functions of the C library that fill a buffer of their caller's, by what their documentation
// promises.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/registers.h"
#include "base/result.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "replay/replay.h"
#include "report/model.h"

namespace culprit::provenance {

/// Which argument is the buffer, and what is put there.
struct BufferContract {
  Gpr destination = Gpr::rdi;
  bool text = false;  ///< characters: the buffer is an array of them
  std::optional<Gpr> length = std::nullopt;  ///< the argument that says how many bytes are written, if one does
};

/// The contract of a function by its name in the symbol table: "sprintf", "__vsprintf_internal",
/// "__memcpy_avx512_unaligned_erms", "__strcpy_chk". Nothing for others. Parameters as in C11 7.21
/// and 7.24 and POSIX.1-2017; how glibc decorates its names: glibc 2.36, sysdeps/x86_64/multiarch.
[[nodiscard]] std::optional<BufferContract> buffer_contract(std::string_view symbol);

/// The call by which the program's own code asked the library to fill a buffer.
struct BufferCall {
  std::size_t frame = 0;  ///< of the moment: the library's outermost function
  BufferContract contract;
  std::uint64_t destination = 0;  ///< as it was at the function's entry
  std::optional<std::uint64_t> length;  ///< bytes that it was told to write, if it was told
  replay::Mark entry;                   ///< of that function, in this call
};

/// The outermost function with a contract that the newest frames of the moment are in, before any
/// code of the program's own. One pass; none where there is no such function. Nothing if its entry
/// was not seen.
[[nodiscard]] Result<std::optional<BufferCall>> find_buffer_call(replay::Replay& replay,
                                                                 const ProcessImage& image,
                                                                 const Moment& moment,
                                                                 std::chrono::milliseconds deadline,
                                                                 report::Stats& stats);

}  // namespace culprit::provenance
