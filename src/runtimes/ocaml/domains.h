// OCaml's domains at one moment: their bytecode stacks, minor heaps and major heaps.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/types.h"
#include "runtimes/ocaml/layout.h"

namespace culprit::runtimes::ocaml {

/// One domain. Domains that have ended keep their state (domain.c) and are listed too.
struct Domain {
  std::uint64_t number = 0;  ///< index in all_domains
  Address state;             ///< its caml_domain_state
  ByteRange stack;           ///< the current stack: from its stack_info to the end of its handler
  Address stack_pointer;     ///< where the stack's live words begin, when it was last saved
  ByteRange minor_heap;      ///< [young_start, young_end)
};

/// The domains that have a state, at most 1024. Empty if the layout does not know them.
std::vector<Domain> read_domains(const Layout& layout, const MemoryReader& memory);

/// A pool of blocks of one size (shared_heap.c) that belongs to a domain.
struct Pool {
  ByteRange range;
  std::uint64_t domain = 0;       ///< its owner's number
  std::uint64_t block_words = 0;  ///< of each block, header included
};

/// The pool that holds the address: pools are aligned to their size, and its owner's heap must name
/// the owner. Nothing if there is none.
std::optional<Pool> pool_at(const Layout& layout, const std::vector<Domain>& domains,
                            Address address, const MemoryReader& memory);

/// The block of a pool that holds the address, header included. Nothing for the pool's own header
/// and for what is left over at its end.
std::optional<ByteRange> block_at(const Layout& layout, const Pool& pool, Address address);

}  // namespace culprit::runtimes::ocaml
