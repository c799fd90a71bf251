// The header word of an OCaml block (caml/mlvalues.h of OCaml 5.1, 64-bit, no reserved bits).
#pragma once

#include <cstdint>

namespace culprit::runtimes::ocaml {

/// bits 63–10: size in words without the header; 9–8: colour; 7–0: tag.
struct Header {
  std::uint64_t word = 0;

  [[nodiscard]] constexpr std::uint64_t wosize() const { return word >> 10; }
  [[nodiscard]] constexpr std::uint8_t tag() const { return static_cast<std::uint8_t>(word); }
  /// 0–2: the three colours, whose meaning (marked, unmarked, garbage) rotates with each cycle
  /// (caml_global_heap_state in shared_heap.c); 3: never collected (NOT_MARKABLE).
  [[nodiscard]] constexpr unsigned color() const { return (word >> 8) & 3; }
  /// pool_sweep and pool_initialize leave 0 there (shared_heap.c).
  [[nodiscard]] constexpr bool free() const { return word == 0; }
};

}  // namespace culprit::runtimes::ocaml
