#include "provenance/heap.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "provenance/moment.h"
#include "provenance/naming.h"

namespace culprit::provenance {
namespace {

using replay::HeapRole;

struct KnownFunction {
  std::string_view name;
  HeapRole role;
};

constexpr std::array kFamily = {
    KnownFunction{"malloc", HeapRole::allocate},
    KnownFunction{"calloc", HeapRole::allocate_array},
    KnownFunction{"realloc", HeapRole::resize},
    KnownFunction{"reallocarray", HeapRole::resize_array},
    KnownFunction{"aligned_alloc", HeapRole::allocate_aligned},
    KnownFunction{"memalign", HeapRole::allocate_aligned},
    KnownFunction{"posix_memalign", HeapRole::allocate_into},
    KnownFunction{"valloc", HeapRole::allocate},
    KnownFunction{"pvalloc", HeapRole::allocate},
    KnownFunction{"free", HeapRole::release},
    KnownFunction{"cfree", HeapRole::release},
};

/// Forms of the family with which an allocator can live beside libc's (jemalloc's
/// --with-jemalloc-prefix, gperftools' tcmalloc.h, mimalloc.h).
constexpr std::array<std::string_view, 4> kPrefixes = {"", "je_", "tc_", "mi_"};

/// Itanium C++ ABI, 5.1.5.5: nw new, na new[], dl delete, da delete[]; the size is the first
/// argument of every operator new, the pointer that of every operator delete.
constexpr std::array kOperators = {
    KnownFunction{"_Znwm", HeapRole::allocate},
    KnownFunction{"_Znam", HeapRole::allocate},
    KnownFunction{"_ZnwmRKSt9nothrow_t", HeapRole::allocate},
    KnownFunction{"_ZnamRKSt9nothrow_t", HeapRole::allocate},
    KnownFunction{"_ZnwmSt11align_val_t", HeapRole::allocate},
    KnownFunction{"_ZnamSt11align_val_t", HeapRole::allocate},
    KnownFunction{"_ZdlPv", HeapRole::release},
    KnownFunction{"_ZdaPv", HeapRole::release},
    KnownFunction{"_ZdlPvm", HeapRole::release},
    KnownFunction{"_ZdaPvm", HeapRole::release},
    KnownFunction{"_ZdlPvSt11align_val_t", HeapRole::release},
    KnownFunction{"_ZdlPvmSt11align_val_t", HeapRole::release},
};

std::string_view plain_name(std::string_view linkage) {
  if (linkage.starts_with("_Znw")) return "operator new";
  if (linkage.starts_with("_Zna")) return "operator new[]";
  if (linkage.starts_with("_Zdl")) return "operator delete";
  if (linkage.starts_with("_Zda")) return "operator delete[]";
  return linkage;
}

/// The stack that was kept with a call.
class KeptStack : public MemoryReader {
 public:
  explicit KeptStack(const replay::HeapCall& call) : call_(call) {}
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    const std::uint64_t offset = address.value - call_.registers.sp().value;
    if (offset >= call_.stack.size()) return 0;
    const std::size_t n =
        std::min(out.size(), call_.stack.size() - static_cast<std::size_t>(offset));
    std::memcpy(out.data(), call_.stack.data() + offset, n);
    return n;
  }

 private:
  const replay::HeapCall& call_;
};

}  // namespace

std::optional<replay::HeapSpec> find_allocators(const binary::ModuleMap& modules,
                                                const binary::Symbolizer& symbols) {
  constexpr std::size_t kMost = 64;
  replay::HeapSpec spec;
  const auto add = [&](const std::string& name, HeapRole role) {
    for (const binary::SymbolAddress& symbol : symbols.find_symbol(name)) {
      if (!symbol.function || spec.functions.size() >= kMost) continue;
      const bool known = std::any_of(spec.functions.begin(), spec.functions.end(),
                                     [&](const auto& f) { return f.address == symbol.address; });
      const auto code = binary::read_code(modules, symbol.address, 8);
      if (known || !code.ok() || code->size() != 8) continue;
      replay::HeapFunction function;
      function.role = role;
      function.name = plain_name(name);
      function.address = symbol.address;
      std::memcpy(&function.code, code->data(), 8);
      spec.functions.push_back(std::move(function));
    }
  };
  for (const KnownFunction& f : kFamily) {
    for (const std::string_view prefix : kPrefixes)
      add(std::string(prefix) + std::string(f.name), f.role);
  }
  for (const KnownFunction& f : kOperators) add(std::string(f.name), f.role);
  if (spec.functions.empty()) return std::nullopt;
  return spec;
}

const replay::HeapFunction* function_of(const ProcessImage& image, const replay::HeapCall& call) {
  const replay::HeapSpec* heap = image.heap();
  return heap != nullptr && call.function < heap->functions.size() ? &heap->functions[call.function]
                                                                   : nullptr;
}

report::LifeEvent life_event(const ProcessImage& image, const replay::HeapCall& call) {
  report::LifeEvent out;
  out.position = report_position(image, call.position, nullptr);
  out.backtrace =
      report_frames(image, walk(image, call.position.thread, call.registers, KeptStack(call), 24));
  const replay::HeapFunction* function = function_of(image, call);
  if (function == nullptr) return out;
  const replay::HeapFunction& f = *function;
  const Registers& r = call.registers;
  switch (f.role) {
    case HeapRole::allocate:
      out.description = fmt::format("{}({})", f.name, r[Gpr::rdi]);
      break;
    case HeapRole::allocate_array:
      out.description = fmt::format("{}({}, {})", f.name, r[Gpr::rdi], r[Gpr::rsi]);
      break;
    case HeapRole::resize:
      out.description = fmt::format("{}({:#x}, {})", f.name, r[Gpr::rdi], r[Gpr::rsi]);
      break;
    case HeapRole::resize_array:
      out.description =
          fmt::format("{}({:#x}, {}, {})", f.name, r[Gpr::rdi], r[Gpr::rsi], r[Gpr::rdx]);
      break;
    case HeapRole::allocate_aligned:
      out.description = fmt::format("{}({}, {})", f.name, r[Gpr::rdi], r[Gpr::rsi]);
      break;
    case HeapRole::allocate_into:
      out.description = fmt::format("{}({}, {})", f.name, r[Gpr::rsi], r[Gpr::rdx]);
      break;
    case HeapRole::release:
      out.description = fmt::format("{}({:#x})", f.name, r[Gpr::rdi]);
      break;
  }
  return out;
}

const replay::HeapFunction* allocator_function(const ProcessImage& image, Address entry) {
  const replay::HeapSpec* heap = image.heap();
  if (heap == nullptr || !entry) return nullptr;
  const auto found = std::find_if(heap->functions.begin(), heap->functions.end(),
                                  [entry](const auto& f) { return f.address == entry; });
  return found != heap->functions.end() ? &*found : nullptr;
}

bool in_allocator(const ProcessImage& image, const std::vector<WalkFrame>& frames) {
  constexpr std::size_t kDeepest = 8;
  const auto near = frames.begin() + static_cast<std::ptrdiff_t>(std::min(frames.size(), kDeepest));
  return std::any_of(frames.begin(), near, [&](const WalkFrame& f) {
    return allocator_function(image, f.code.entry) != nullptr ||
           std::any_of(image.runtimes().begin(), image.runtimes().end(), [&](const auto& runtime) {
             return runtime->allocates(f.code.symbol_linkage);
           });
  });
}

const replay::HeapBlock* living_block(const replay::HeapBlocks& blocks) {
  return blocks.holding.empty() || blocks.holding.front().released ? nullptr
                                                                   : &blocks.holding.front();
}

replay::HeapBlocks without_replaced(const ProcessImage& image, replay::HeapBlocks blocks,
                                    const report::Location& location) {
  const bool other_memory = location.region == report::RegionKind::global ||
                            location.region == report::RegionKind::code ||
                            location.region == report::RegionKind::stack ||
                            location.region == report::RegionKind::kernel;
  const replay::Mapping* mapping = image.mapping_of(location.address);
  std::erase_if(blocks.holding, [&](const replay::HeapBlock& block) {
    if (!block.released) return false;
    if (other_memory) return true;
    // (A heap that grows by brk is one mapping, however new.)
    return mapping != nullptr && mapping->kind != replay::MappingKind::heap &&
           mapping->created.value > image.index().event_of(block.released->position).value;
  });
  return blocks;
}

void add_block(const ProcessImage& image, const replay::HeapBlocks& blocks,
               report::Location& location) {
  if (blocks.holding.empty()) return;
  const replay::HeapBlock& block = blocks.holding.front();
  location.region = report::RegionKind::heap;
  if (!location.owner) location.owner.emplace();
  report::Owner& owner = *location.owner;
  if (const replay::HeapFunction* function = function_of(image, block.allocated)) {
    owner.allocator = function->name;
  }
  owner.object = block.range.start;
  owner.object_size = block.range.size;
  owner.offset = static_cast<std::uint64_t>(location.address - block.range.start);
  owner.life.born = life_event(image, block.allocated);
  if (block.released) owner.life.died = life_event(image, *block.released);
  owner.life.alive_at_write = !block.released.has_value();
  location.description = fmt::format("{}block of {} bytes at {}", block.released ? "freed " : "",
                                     block.range.size, to_hex(block.range.start));
}

}  // namespace culprit::provenance
