// Where OCaml's bytecode runtime keeps what the engine needs: addresses of its globals, offsets of
// its structures' fields.
//
// Offsets are read from the program's DWARF; where that is missing, they are those of OCaml 5.1 on
// a 64-bit machine (runtime/ of the release; the file is named at each member). Later 5.x releases
// have the same names. Not known to this layer: native code, OCaml 4.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "binary/debug_type.h"
#include "binary/module_map.h"

namespace culprit::runtimes::ocaml {

/// How the table of code fragments is kept.
enum class FragmentTable : std::uint8_t {
  unknown,
  skiplist,            ///< caml/skiplist.h: the head holds the forward pointers
  lock_free_skiplist,  ///< caml/lf_skiplist.h (5.1): the head is a pointer to a cell
};

/// Facts about one OCaml runtime in one process. Offsets and sizes in bytes.
struct Layout {
  const binary::Module* module = nullptr;

  // struct code_fragment (caml/codefrag.h)
  std::uint64_t fragment_start = 0, fragment_end = 8, fragment_number = 16;
  // codefrag.c: code_fragments_by_pc; a cell's key is the fragment's start, its data the fragment
  FragmentTable table_kind = FragmentTable::unknown;
  Address table;
  std::uint64_t cell_key = 0, cell_data = 8;
  std::uint64_t cell_forward = 40;  ///< of the cells' first forward pointer; 16 in skiplist.h
  std::uint64_t table_tail = 8;     ///< lock free only: the pointer to the last cell

  // struct pool (shared_heap.c); caml/sizeclasses.h
  std::uint64_t pool_next_obj = 8, pool_owner = 16, pool_class = 24, pool_header = 32;
  std::uint64_t pool_bytes = 4096 * 8;       ///< POOL_WSIZE words, aligned to their size
  std::vector<std::uint32_t> block_words{};  ///< wsize_sizeclass: words of a block with its header

  // domain.c: all_domains[i].state is domain i's caml_domain_state, or null
  Address domains;
  std::uint64_t domain_count = 0, domain_size = 0, domain_state = 0;
  // struct caml_domain_state (caml/domain_state.tbl), struct stack_info (caml/fiber.h)
  std::uint64_t state_young_start = 0, state_young_end = 0, state_current_stack = 0;
  std::uint64_t state_shared_heap = 0;
  std::uint64_t heap_owner = 0;  ///< in struct caml_heap_state (shared_heap.c)
  std::uint64_t stack_sp = 0, stack_handler = 16, stack_info_size = 64, stack_handler_size = 32;
  binary::Type pool_type;  ///< for names of a pool's own members; may be invalid
  /// The structures of domains are known: blocks and stacks can be named.
  bool domains_known = false;
};

/// Looks for an OCaml runtime in the map: for the registration of code fragments by name, or for
/// their structure in the debug information. Nothing if there is none.
std::optional<Layout> find_layout(const binary::ModuleMap& map);

}  // namespace culprit::runtimes::ocaml
