#include "provenance/abort_scene.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

/// Where the stack protector keeps the guard (System V x86-64 ABI as glibc has it:
/// tcbhead_t.stack_guard, sysdeps/x86_64/nptl/tls.h).
constexpr std::int64_t kGuardOffset = 0x28;

std::vector<x86::Instruction> decode_function(const binary::CodeLocation& code,
                                              const MemoryReader& memory) {
  std::vector<x86::Instruction> out;
  const std::vector<std::byte> bytes = function_code(code, memory);
  std::size_t at = 0;
  while (at < bytes.size()) {
    auto instruction = x86::decode(std::span(bytes).subspan(at),
                                   code.function.start + static_cast<std::int64_t>(at));
    if (!instruction.ok() || instruction->length == 0) break;
    at += instruction->length;
    out.push_back(*std::move(instruction));
  }
  return out;
}

bool reads_guard(const x86::Instruction& instruction) {
  return std::any_of(instruction.memory.begin(), instruction.memory.end(), [](const auto& m) {
    return m.segment == x86::Segment::fs && !m.base && !m.index && m.disp == kGuardOffset && m.read;
  });
}

/// The canary's address in the frame: the prologue loads the guard and stores it there.
std::optional<Address> canary_slot(const WalkFrame& frame, const MemoryReader& memory) {
  const auto code = decode_function(frame.code, memory);
  constexpr std::size_t kNear = 4;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (!reads_guard(code[i]) || code[i].writes.empty()) continue;
    for (std::size_t k = i + 1; k < code.size() && k <= i + kNear; ++k) {
      for (const x86::MemOperand& m : code[k].memory) {
        const bool frame_based = m.base == Gpr::rsp || m.base == Gpr::rbp;
        if (!m.written || m.size != 8 || m.index || !frame_based) continue;
        // A push stores below; the guard is moved, not pushed.
        return x86::effective_address(m, frame.frame.registers.values);
      }
    }
  }
  return std::nullopt;
}

/// The size of the chunk that glibc makes for a request (malloc.c: request2size).
std::uint64_t chunk_size(std::uint64_t request) {
  return std::max<std::uint64_t>(32, (request + 8 + 15) & ~std::uint64_t{15});
}

constexpr std::uint64_t kFlags = 7;  // of malloc_chunk's mchunk_size

/// The header of the chunk that `block` lies in says another size than was asked for, or the header
/// behind it is none.
std::optional<Address> damaged_header(const ProcessImage& image, const replay::HeapBlock& block,
                                      const MemoryReader& memory) {
  const Address own{block.range.start.value - 8};
  const auto size = memory.read_u64(own);
  if (!size) return std::nullopt;
  const std::uint64_t expected = chunk_size(block.range.size);
  const std::uint64_t actual = *size & ~kFlags;
  // A remainder too small for a chunk of its own stays with the block.
  if (actual != expected && actual != expected + 16) return own;
  const Address next = own + static_cast<std::int64_t>(actual);
  const auto next_size = memory.read_u64(next);
  const replay::Mapping* mapping = image.mapping_of(next);
  if (!next_size || mapping == nullptr) return std::nullopt;
  const std::uint64_t room = mapping->range.end().value - next.value + 8;
  const std::uint64_t next_actual = *next_size & ~kFlags;
  if (next_actual < 32 || next_actual % 16 != 0 || next_actual > room) return next;
  return std::nullopt;
}

/// Walks the chunks from the newest block's neighbours up to the top of its heap.
std::optional<Address> find_damage(const ProcessImage& image, const replay::LiveState& live,
                                   const MemoryReader& memory, Address near) {
  constexpr int kMost = 256;
  std::optional<replay::HeapBlock> block;
  const auto at = live.heap_blocks(near);
  if (!at.ok()) return std::nullopt;
  if (!at->holding.empty()) block = at->holding.front();
  if (!block) block = at->below;
  for (int i = 0; i < kMost && block; ++i) {
    if (auto damage = damaged_header(image, *block, memory)) return damage;
    const auto next = live.heap_blocks(block->range.end() - 1);
    if (!next.ok()) return std::nullopt;
    block = next->above;
  }
  return std::nullopt;
}

SourcePlace place_of(const ProcessImage& image, const Moment& moment, Address address,
                     const MemoryReader& memory, const replay::LiveState& live) {
  SourcePlace place = describe_source(image, moment, address, 8, memory);
  const auto blocks = live.heap_blocks(address);
  if (!blocks.ok() || !place.location.description.starts_with("[")) return place;
  if (blocks->holding.empty() && blocks->above &&
      blocks->above->range.start.value - address.value <= 16) {
    place.location.region = report::RegionKind::heap;
    place.location.description =
        "the allocator's header of the block at " + to_hex(blocks->above->range.start);
    place.name = place.location.description;
  } else if (blocks->holding.empty() && blocks->below) {
    place.location.region = report::RegionKind::heap;
    place.location.description =
        "the allocator's header behind the block at " + to_hex(blocks->below->range.start);
    place.name = place.location.description;
  }
  return place;
}

}  // namespace

std::optional<AbortScene> look_at_abort(const ProcessImage& image, const Moment& moment,
                                        const replay::LiveState& live) {
  const CachedMemory memory(live);
  for (std::size_t i = 0; i < moment.frames.size(); ++i) {
    const WalkFrame& frame = moment.frames[i];
    const std::string_view name = frame.code.symbol_linkage;
    if ((name == "__stack_chk_fail" || name == "__stack_chk_fail_local") &&
        i + 1 < moment.frames.size()) {
      AbortScene scene;
      scene.kind = AbortScene::Kind::stack_protector;
      scene.frame = i + 1;
      const auto slot = canary_slot(moment.frames[i + 1], memory);
      const auto value = slot ? memory.read_u64(*slot) : std::nullopt;
      if (!value) return std::nullopt;
      scene.slot = Slot{*slot, 8, *value};
      scene.slot_place = describe_source(image, moment, *slot, 8, memory);
      return scene;
    }
    const replay::HeapFunction* function = allocator_function(image, frame.code.entry);
    if (function == nullptr) continue;
    const auto now = live.heap_blocks(Address{1});
    if (!now.ok() || !now->current) continue;
    // operator delete and free have one call in the book: the outer one.
    AbortScene scene;
    scene.call = *now->current;
    scene.frame = i;
    const bool releases = function->role == replay::HeapRole::release ||
                          function->role == replay::HeapRole::resize ||
                          function->role == replay::HeapRole::resize_array;
    scene.kind = releases ? AbortScene::Kind::release : AbortScene::Kind::allocation;
    Address near{scene.call.registers[Gpr::rdi]};
    if (releases) {
      scene.pointer = scene.call.registers[Gpr::rdi];
      auto blocks = live.heap_blocks(Address{scene.pointer});
      if (blocks.ok()) scene.blocks = *std::move(blocks);
      if (i + 1 < moment.frames.size()) {
        if (const auto call = call_before(moment.frames[i + 1], memory)) {
          scene.call_site = call->address;
          scene.source = find_source(image, moment,
                                     {i + 1, call->address, false, x86::whole(Gpr::rdi)}, memory);
          if (scene.source->kind == ValueSource::Kind::memory && scene.source->address) {
            scene.source_place =
                describe_source(image, moment, *scene.source->address, scene.source->size, memory);
          }
        }
      }
    } else {
      // The damage is anywhere in the allocator's data: look from the lowest block of the heap on.
      near = Address{0};
      const auto first = live.heap_blocks(Address{1});
      if (first.ok() && first->above) near = first->above->range.start;
    }
    if (const auto damage = find_damage(image, live, memory, near)) {
      if (const auto value = memory.read_u64(*damage)) {
        scene.slot = Slot{*damage, 8, *value};
        scene.slot_place = place_of(image, moment, *damage, memory, live);
      }
    }
    return scene;
  }
  return std::nullopt;
}

}  // namespace culprit::provenance
