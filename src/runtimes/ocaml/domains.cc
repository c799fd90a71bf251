#include "runtimes/ocaml/domains.h"

#include <algorithm>
#include <cstddef>

namespace culprit::runtimes::ocaml {
namespace {

constexpr std::uint64_t kMostDomains = 1024;  // Max_domains is 128 in OCaml 5.1 (caml/config.h)
/// Bounds of what a damaged structure may claim.
constexpr std::uint64_t kMostStack = std::uint64_t{16} << 30;
constexpr std::uint64_t kMostMinorHeap = std::uint64_t{1} << 40;

Address at(Address base, std::uint64_t offset) { return Address{base.value + offset}; }

ByteRange between(std::uint64_t start, std::uint64_t end, std::uint64_t most) {
  if (start == 0 || end <= start || end - start > most) return {};
  return ByteRange{Address{start}, end - start};
}

}  // namespace

std::vector<Domain> read_domains(const Layout& layout, const MemoryReader& memory) {
  std::vector<Domain> out;
  if (!layout.domains_known) return out;
  for (std::uint64_t i = 0; i < std::min(layout.domain_count, kMostDomains); ++i) {
    const Address entry = at(layout.domains, i * layout.domain_size);
    const auto state = memory.read_u64(at(entry, layout.domain_state));
    if (!state || *state == 0) continue;
    Domain domain;
    domain.number = i;
    domain.state = Address{*state};
    const auto word = [&](std::uint64_t offset) {
      return memory.read_u64(at(domain.state, offset)).value_or(0);
    };
    domain.minor_heap =
        between(word(layout.state_young_start), word(layout.state_young_end), kMostMinorHeap);
    if (const Address stack{word(layout.state_current_stack)}) {
      const auto handler = memory.read_u64(at(stack, layout.stack_handler)).value_or(0);
      domain.stack = between(stack.value, handler + layout.stack_handler_size, kMostStack);
      domain.stack_pointer = Address{memory.read_u64(at(stack, layout.stack_sp)).value_or(0)};
    }
    out.push_back(domain);
  }
  return out;
}

std::optional<Pool> pool_at(const Layout& layout, const std::vector<Domain>& domains,
                            Address address, const MemoryReader& memory) {
  if (!layout.domains_known || layout.pool_bytes == 0) return std::nullopt;
  const Address start{address.value / layout.pool_bytes * layout.pool_bytes};
  const auto owner = memory.read_u64(at(start, layout.pool_owner));
  const auto size_class = memory.read_as<std::uint32_t>(at(start, layout.pool_class));
  if (!owner || !size_class || *size_class >= layout.block_words.size()) return std::nullopt;
  for (const Domain& domain : domains) {
    if (domain.state.value != *owner) continue;
    const auto heap = memory.read_u64(at(domain.state, layout.state_shared_heap));
    if (!heap || memory.read_u64(at(Address{*heap}, layout.heap_owner)) != *owner) {
      return std::nullopt;
    }
    return Pool{ByteRange{start, layout.pool_bytes}, domain.number,
                layout.block_words[*size_class]};
  }
  return std::nullopt;
}

std::optional<ByteRange> block_at(const Layout& layout, const Pool& pool, Address address) {
  const std::uint64_t size = pool.block_words * 8;
  if (size == 0 || !pool.range.contains(address)) return std::nullopt;
  const auto offset = static_cast<std::uint64_t>(address - pool.range.start);
  if (offset < layout.pool_header) return std::nullopt;
  const std::uint64_t index = (offset - layout.pool_header) / size;
  const ByteRange block{at(pool.range.start, layout.pool_header + index * size), size};
  if (!pool.range.contains(block)) return std::nullopt;
  return block;
}

}  // namespace culprit::runtimes::ocaml
