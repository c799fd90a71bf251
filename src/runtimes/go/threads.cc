#include "runtimes/go/threads.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

namespace culprit::runtimes::go {
namespace {

Address pointer_at(const MemoryReader& memory, Address base, std::uint64_t offset) {
  return Address{memory.read_u64(base + static_cast<std::int64_t>(offset)).value_or(0)};
}

}  // namespace

std::optional<Machine> machine_of(const Layout& layout, ThreadId thread,
                                  const MemoryReader& memory) {
  constexpr int kMaxMachines = 100'000;
  Address m = pointer_at(memory, layout.allm, 0);
  for (int i = 0; i < kMaxMachines && m; ++i) {
    const auto procid = memory.read_u64(m + static_cast<std::int64_t>(layout.m_procid));
    if (!procid) return std::nullopt;
    if (*procid == static_cast<std::uint64_t>(thread.value)) {
      return Machine{m, pointer_at(memory, m, layout.m_g0), pointer_at(memory, m, layout.m_curg),
                     pointer_at(memory, m, layout.m_gsignal)};
    }
    m = pointer_at(memory, m, layout.m_alllink);
  }
  return std::nullopt;
}

std::optional<Goroutine> read_goroutine(const Layout& layout, Address g,
                                        const MemoryReader& memory) {
  if (!g) return std::nullopt;
  const auto field = [&](std::uint64_t offset) {
    return memory.read_u64(g + static_cast<std::int64_t>(offset));
  };
  const auto lo = field(layout.g_stack_lo), hi = field(layout.g_stack_hi);
  const auto sp = field(layout.g_sched_sp), pc = field(layout.g_sched_pc);
  const auto bp = field(layout.g_sched_bp), id = field(layout.g_goid);
  if (!lo || !hi || !sp || !pc || !bp || !id) return std::nullopt;
  const std::uint64_t size = *hi > *lo ? *hi - *lo : 0;
  return Goroutine{g, *id, ByteRange{Address{*lo}, size}, Address{*sp}, Address{*pc}, Address{*bp}};
}

std::vector<Address> read_pointer_slice(Address slice, std::size_t limit,
                                        const MemoryReader& memory) {
  std::vector<Address> out;
  if (!slice) return out;
  const auto data = memory.read_u64(slice);
  const auto length = memory.read_u64(slice + 8);
  if (!data || !length) return out;
  std::vector<std::uint64_t> raw(static_cast<std::size_t>(
      std::min<std::uint64_t>(*length, static_cast<std::uint64_t>(limit))));
  const std::size_t got =
      memory.read(Address{*data}, std::as_writable_bytes(std::span<std::uint64_t>(raw)));
  raw.resize(got / sizeof(std::uint64_t));
  for (const std::uint64_t value : raw) out.push_back(Address{value});
  return out;
}

}  // namespace culprit::runtimes::go
