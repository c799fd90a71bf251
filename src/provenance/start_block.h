// What a program was started with: which argument or environment variable an address is in.
//
// Source of the layout: System V ABI for x86-64, 3.4.1 "Initial Stack and Register State". At the
// first instruction rsp points to argc, then the argument pointers, a null, the environment
// pointers, a null, the auxiliary vector; the texts lie above.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/memory.h"
#include "base/types.h"

namespace culprit::provenance {

/// A part of the initial stack.
struct StartBlockPart {
  enum class Kind : std::uint8_t {
    argument,            ///< the text of argv[index], or the pointer to it
    end_of_arguments,    ///< the null behind the argument pointers
    environment,         ///< the text of the variable `name`, or the pointer to it
    end_of_environment,  ///< the null behind the environment pointers
    auxiliary,           ///< what lies above, and belongs to none of these
  };
  Kind kind = Kind::auxiliary;
  std::size_t index = 0;
  std::string name;  ///< of the variable, at most 256 characters; never what it is set to

  /// "argv[2]", "the environment variable HOME", "the end of the environment".
  [[nodiscard]] std::string words() const;
};

/// Reads the block that `sp` points to, as it was at the program's start. Nothing if `address` is
/// not in it or there is none. At most 65,536 pointers are looked at.
[[nodiscard]] std::optional<StartBlockPart> find_in_start_block(const MemoryReader& memory,
                                                                Address sp, Address address);

}  // namespace culprit::provenance
