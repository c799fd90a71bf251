// The table of code fragments: address ranges that hold compiled code.
//
// caml_scan_stack (fiber.c of OCaml 5.1) takes a word of a bytecode stack that lies in a fragment
// for a return address or an exception handler, and does not mark what it points to.
#pragma once

#include <cstdint>
#include <optional>

#include "base/memory.h"
#include "base/types.h"
#include "runtimes/ocaml/layout.h"

namespace culprit::runtimes::ocaml {

/// One registered fragment.
struct CodeFragment {
  ByteRange range;           ///< [code_start, code_end)
  std::uint32_t number = 0;  ///< fragnum
  Address record;            ///< its struct code_fragment
};

/// The fragment that holds the address, as caml_find_code_fragment_by_pc finds it (codefrag.c):
/// that with the largest start at or below it. Walks the table's lowest level, at most 100 000
/// cells. Nothing if there is none, the table is not known, or its memory cannot be read.
std::optional<CodeFragment> fragment_at(const Layout& layout, Address address,
                                        const MemoryReader& memory);

}  // namespace culprit::runtimes::ocaml
