#include "runtimes/ocaml/code_fragments.h"

#include <cstddef>

namespace culprit::runtimes::ocaml {
namespace {

constexpr std::size_t kMostCells = 100'000;

Address at(Address base, std::uint64_t offset) { return Address{base.value + offset}; }

/// A forward pointer without the mark of a removed cell (caml/lf_skiplist.h, LF_SK_MARKED).
std::optional<Address> forward(const MemoryReader& memory, Address where) {
  const auto pointer = memory.read_u64(where);
  if (!pointer) return std::nullopt;
  return Address{*pointer & ~std::uint64_t{1}};
}

std::optional<CodeFragment> read_fragment(const Layout& layout, Address record,
                                          const MemoryReader& memory) {
  const auto start = memory.read_u64(at(record, layout.fragment_start));
  const auto end = memory.read_u64(at(record, layout.fragment_end));
  if (!start || !end || *end <= *start) return std::nullopt;
  CodeFragment out;
  out.range = ByteRange{Address{*start}, *end - *start};
  out.number = memory.read_as<std::uint32_t>(at(record, layout.fragment_number)).value_or(0);
  out.record = record;
  return out;
}

}  // namespace

std::optional<CodeFragment> fragment_at(const Layout& layout, Address address,
                                        const MemoryReader& memory) {
  if (layout.table_kind == FragmentTable::unknown) return std::nullopt;
  std::optional<Address> cell;
  Address end;  // the lock-free list ends with a cell of its own, the other one with null
  if (layout.table_kind == FragmentTable::lock_free_skiplist) {
    const auto head = memory.read_u64(layout.table);
    const auto tail = memory.read_u64(at(layout.table, layout.table_tail));
    if (!head || !tail) return std::nullopt;
    end = Address{*tail};
    cell = forward(memory, at(Address{*head}, layout.cell_forward));
  } else {
    cell = forward(memory, layout.table);
  }
  Address below;
  for (std::size_t seen = 0; cell && *cell && *cell != end && seen < kMostCells; ++seen) {
    const auto key = memory.read_u64(at(*cell, layout.cell_key));
    if (!key) return std::nullopt;
    if (*key > address.value) break;  // ascending keys
    below = *cell;
    cell = forward(memory, at(*cell, layout.cell_forward));
  }
  if (!below) return std::nullopt;
  const auto record = memory.read_u64(at(below, layout.cell_data));
  if (!record) return std::nullopt;
  auto fragment = read_fragment(layout, Address{*record}, memory);
  if (!fragment || !fragment->range.contains(address)) return std::nullopt;
  return fragment;
}

}  // namespace culprit::runtimes::ocaml
