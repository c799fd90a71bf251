// Where a value came from, one step back: from the code and the registers of one stopped moment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/memory.h"
#include "provenance/moment.h"
#include "provenance/process_image.h"
#include "provenance/slice/slice_path.h"
#include "provenance/slice/static_slice.h"
#include "x86/places.h"

namespace culprit::provenance {

/// What is asked: the bytes that the instruction at `pc` stored (after it), or the bytes of a register
/// before it, in frame `frame` of a moment.
struct ValueQuestion {
  std::size_t frame = 0;
  Address pc;
  bool after = false;
  std::variant<x86::RegisterBytes, ByteRange, StoredBytes> asked;
  /// It is an index or a size: the number that it is a multiple of is followed.
  bool number = false;
  /// The call that returned the value, where straight-line code says so: a short window tells then.
  std::optional<Address> returned_by{};
};

/// A known input of a computation that a value came out of.
struct ComputedInput {
  std::uint64_t value = 0;
  std::string name;       ///< of the register or "memory"; of a constant empty
  bool constant = false;  ///< of the code
  bool followed = false;  ///< the way goes on with this one
  Address pc;             ///< of the computation
  std::string instruction;
};

/// The answer. `kind` says which of the other members mean something.
struct ValueSource {
  enum class Kind : std::uint8_t {
    memory,      ///< loaded from `address` (size bytes) by the instruction at `pc`
    load,        ///< loaded by the instruction at `pc` through `operand`, whose registers are gone
    immediate,   ///< `constant`, in the instruction at `pc`
    zero,
    address,     ///< the address of an object, taken at `pc` (lea of a stack or rip-relative place)
    arithmetic,  ///< computed at `pc`; a window may know the input's `address` and `value`
    system_call,
    register_,   ///< in `reg` at `pc`; the way back from there is not straight
    unknown,
  };
  Kind kind = Kind::unknown;
  std::size_t frame = 0;       ///< in whose code `pc` lies
  Address pc;
  std::string instruction;     ///< disassembly of the one at pc; may be empty
  std::optional<Address> address;
  std::uint32_t size = 0;
  std::uint32_t offset = 0;    ///< of the explained bytes within the asked ones
  std::optional<std::uint64_t> constant;
  std::optional<std::uint64_t> value;  ///< arithmetic: what the followed input held
  std::vector<ComputedInput> inputs;   ///< of the computations on the way, the nearest first; at most 8
  std::optional<x86::MemOperand> operand;
  std::uint32_t operand_offset = 0;
  std::optional<x86::RegisterBytes> reg;
  Certainty certainty = Certainty::likely;
  bool returned = false;       ///< register_: the call at `pc` returned it
  bool index = false;          ///< it is the index of an address whose base is good
  bool partial = false;        ///< other asked bytes have other sources
  std::string note;            ///< why it stopped, or why it is only likely
};

/// Slices backwards from the question, into callers where the value was an argument (at most eight).
/// Reads code and stack through `memory`, which must be that of the stopped moment.
[[nodiscard]] ValueSource find_source(const ProcessImage& image, const Moment& moment,
                                      const ValueQuestion& question, const MemoryReader& memory);

/// The instruction whose end is `return_address`: the call that made frame `frame - 1`, found on the
/// instruction grid of the caller's function. Nothing if the bytes before are no call.
[[nodiscard]] std::optional<x86::Instruction> call_before(const WalkFrame& caller,
                                                          const MemoryReader& memory);

/// The code of the function that `pc` lies in, at most 1 MiB. Empty if its bounds are not known.
[[nodiscard]] std::vector<std::byte> function_code(const binary::CodeLocation& code,
                                                   const MemoryReader& memory);

}  // namespace culprit::provenance
