#include "runtimes/ocaml/ocaml_runtime.h"

#include <fmt/format.h>

#include <utility>

#include "runtimes/ocaml/code_fragments.h"
#include "runtimes/ocaml/domains.h"
#include "runtimes/ocaml/header.h"

namespace culprit::runtimes::ocaml {
namespace {

class PlainWalk : public StackWalk {
 public:
  [[nodiscard]] StackLabel label(const binary::Frame&) override { return {}; }
  [[nodiscard]] std::optional<binary::Frame> cross(std::string_view,
                                                   const binary::UnwindStep&) override {
    return std::nullopt;
  }
  [[nodiscard]] bool is_outermost(std::string_view) const override { return false; }
};

Address header_of(const ByteRange& block) { return block.start; }
Address reference_to(const ByteRange& block) { return block.start + 8; }

std::string contents(const ByteRange& block, const MemoryReader& memory) {
  const auto word = memory.read_u64(header_of(block));
  if (!word) return {};
  const Header header{*word};
  if (header.free()) return fmt::format("free block, room for {} fields", block.size / 8 - 1);
  return fmt::format("{} field{}, tag {}", header.wosize(), header.wosize() == 1 ? "" : "s",
                     header.tag());
}

}  // namespace

OcamlRuntime::OcamlRuntime(Layout layout) : layout_(std::move(layout)) {
  registrar_.function = "caml_register_code_fragment";  // codefrag.c: (char* start, char* end, …)
  registrar_.noun = "code fragment";
  registrar_.rule =
      "the scan of a bytecode stack takes every word that lies in a code fragment for a return "
      "address and does not mark what it points to (is_scannable in fiber.c)";
  registrar_.record_start = layout_.fragment_start;
  registrar_.record_end = layout_.fragment_end;
}

std::unique_ptr<StackWalk> OcamlRuntime::walk(ThreadId, const Registers&,
                                              const MemoryReader&) const {
  return std::make_unique<PlainWalk>();
}

std::optional<RuntimePlace> OcamlRuntime::describe(Address address,
                                                   const MemoryReader& memory) const {
  const std::vector<Domain> domains = read_domains(layout_, memory);
  RuntimePlace place;
  for (const Domain& domain : domains) {
    if (domain.stack.contains(address)) {
      place.role = RuntimePlace::Role::goroutine_stack;
      place.name = fmt::format("the bytecode stack of domain {}", domain.number);
      place.object = domain.stack;
      return place;
    }
  }
  for (const Domain& domain : domains) {
    if (domain.minor_heap.contains(address)) {
      place.role = RuntimePlace::Role::runtime_struct;
      place.name = fmt::format("the minor heap of domain {}", domain.number);
      place.object = domain.minor_heap;
      return place;
    }
  }
  const auto pool = pool_at(layout_, domains, address, memory);
  if (!pool) return std::nullopt;
  place.role = RuntimePlace::Role::runtime_struct;
  const auto block = block_at(layout_, *pool, address);
  if (!block) {
    place.object = pool->range;
    place.type = "struct pool";
    const auto offset = static_cast<std::uint64_t>(address - pool->range.start);
    if (const auto path = binary::describe_in_type(layout_.pool_type, offset)) {
      place.member = path->path.starts_with('.') ? path->path.substr(1) : path->path;
    }
    place.name = fmt::format("OCaml pool {}", to_hex(pool->range.start));
    if (!place.member.empty()) place.name += "." + place.member;
    return place;
  }
  place.object = *block;
  place.type = contents(*block, memory);
  const std::int64_t offset = address - reference_to(*block);
  place.member = offset < 0 ? "header" : fmt::format("[{}]", offset / 8);
  place.name = fmt::format("OCaml block {}{}{}", to_hex(reference_to(*block)),
                           offset < 0 ? "." : "", place.member);
  return place;
}

std::string OcamlRuntime::describe_value(std::uint64_t value, const MemoryReader& memory) const {
  // Integers are odd (caml/mlvalues.h, Is_long).
  if (value == 0 || (value & 1) != 0) return {};
  if (const auto fragment = fragment_at(layout_, Address{value}, memory)) {
    return fmt::format("an address in code fragment {}", fragment->number);
  }
  const auto pool = pool_at(layout_, read_domains(layout_, memory), Address{value}, memory);
  if (!pool) return {};
  const auto block = block_at(layout_, *pool, Address{value});
  if (!block || reference_to(*block).value != value) return {};
  return fmt::format("a block of domain {}'s heap ({})", pool->domain, contents(*block, memory));
}

std::vector<std::string> OcamlRuntime::limits() const { return {}; }

bool OcamlRuntime::sweeps(std::string_view function) const {
  // shared_heap.c. What large_alloc_sweep gives up goes back to malloc.
  return function == "pool_sweep";
}

std::optional<Reclaimed> OcamlRuntime::reclaimed(Address slot, const MemoryReader& memory) const {
  Reclaimed out;
  if (const auto pool = pool_at(layout_, read_domains(layout_, memory), slot, memory)) {
    const auto block = block_at(layout_, *pool, slot);
    if (!block) return std::nullopt;  // the pool's own words
    out.reference = reference_to(*block);
    out.name = fmt::format("a block of {} words in domain {}'s pool {}", pool->block_words,
                           pool->domain, to_hex(pool->range.start));
    return out;
  }
  // pool_sweep clears the header, then links the block into the free list through its first field.
  const auto header = memory.read_u64(slot - 8);
  if (!header || !Header{*header}.free()) return std::nullopt;
  out.reference = slot;
  out.name = "a block";
  return out;
}

std::optional<BlindSpot> OcamlRuntime::blind_spot(Address reference,
                                                  const MemoryReader& memory) const {
  const auto fragment = fragment_at(layout_, reference, memory);
  if (!fragment) return std::nullopt;
  return BlindSpot{fragment->range, fmt::format("code fragment {}", fragment->number),
                   fragment->record};
}

}  // namespace culprit::runtimes::ocaml
