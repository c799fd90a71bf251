#include "agent/pass/allocation_log.h"

#include <algorithm>

namespace culprit::agent {
namespace {

constexpr std::uint64_t kReturnAddress = 8;  // bytes that a call pushes

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? ~std::uint64_t{0} : result;
}

std::uint64_t size_asked(wire::HeapRole role, const Registers& r) {
  switch (role) {
    case wire::HeapRole::allocate: return r[Gpr::rdi];
    case wire::HeapRole::allocate_array: return product(r[Gpr::rdi], r[Gpr::rsi]);
    case wire::HeapRole::resize: return r[Gpr::rsi];
    case wire::HeapRole::resize_array: return product(r[Gpr::rsi], r[Gpr::rdx]);
    case wire::HeapRole::allocate_aligned: return r[Gpr::rsi];
    case wire::HeapRole::allocate_into: return r[Gpr::rdx];
    case wire::HeapRole::release: break;
  }
  return 0;
}

bool resizes(wire::HeapRole role) {
  return role == wire::HeapRole::resize || role == wire::HeapRole::resize_array;
}

}  // namespace

bool AllocationLog::on_entry(wire::HeapCall call) {
  if (call.function >= functions_.size()) return false;
  const std::int32_t thread = call.position.thread;
  const std::uint64_t sp = call.registers[Gpr::rsp];
  const auto outer = pending_.find(thread);
  if (outer != pending_.end()) {
    // Deeper on the stack: called by the pending one. Else that one was left without a return (longjmp).
    if (sp < outer->second.registers[Gpr::rsp]) return false;
    pending_.erase(outer);
  }
  call.ordinal = ++calls_;
  last_call_[thread] = call;
  if (functions_[call.function].role == wire::HeapRole::release) {
    const std::uint64_t pointer = call.registers[Gpr::rdi];
    // Not waited for, but what it calls is its own: an allocator may free its book-keeping.
    if (pointer != 0) released(pointer, std::move(call));
    return false;
  }
  pending_[thread] = std::move(call);
  return true;
}

bool AllocationLog::returns(std::int32_t thread, std::uint64_t sp) const {
  const auto found = pending_.find(thread);
  return found != pending_.end() && found->second.registers[Gpr::rsp] + kReturnAddress == sp;
}

std::optional<std::uint64_t> AllocationLog::result_slot(std::int32_t thread) const {
  const auto found = pending_.find(thread);
  if (found == pending_.end() ||
      functions_[found->second.function].role != wire::HeapRole::allocate_into) {
    return std::nullopt;
  }
  return found->second.registers[Gpr::rdi];
}

void AllocationLog::on_return(std::int32_t thread, std::uint64_t result) {
  const auto found = pending_.find(thread);
  if (found == pending_.end()) return;
  wire::HeapCall call = std::move(found->second);
  pending_.erase(found);
  const wire::HeapRole role = functions_[call.function].role;
  const std::uint64_t size = size_asked(role, call.registers);
  if (resizes(role)) {
    const std::uint64_t old = call.registers[Gpr::rdi];
    // A size of zero frees (glibc); a failure leaves the old block as it was.
    if (old != 0 && (result != 0 || size == 0)) released(old, call);
  }
  if (result != 0) allocated(result, size, std::move(call));
}

void AllocationLog::allocated(std::uint64_t start, std::uint64_t size, wire::HeapCall call) {
  wire::HeapBlock block;
  block.start = start;
  block.size = size;
  block.allocated = std::move(call);
  living_[start] = first_ + blocks_.size();
  blocks_.push_back(std::move(block));
  if (blocks_.size() > kMaxStacks) {
    wire::HeapBlock& old = blocks_[blocks_.size() - 1 - kMaxStacks];
    old.allocated.stack = {};
    if (old.released) old.released->stack = {};
  }
  if (blocks_.size() > kMaxBlocks) {
    const auto it = living_.find(blocks_.front().start);
    if (it != living_.end() && it->second == first_) living_.erase(it);
    blocks_.pop_front();
    ++first_;
  }
}

wire::HeapBlock* AllocationLog::find(std::uint64_t number) {
  return number < first_ || number - first_ >= blocks_.size()
             ? nullptr
             : &blocks_[static_cast<std::size_t>(number - first_)];
}

void AllocationLog::released(std::uint64_t start, wire::HeapCall call) {
  const auto found = living_.find(start);
  if (found == living_.end()) {
    // operator delete hands its pointer on to free: one release.
    if (const auto last = last_release_.find(call.position.thread);
        last != last_release_.end() && last->second.pointer == start &&
        last->second.function != call.function && call.registers[Gpr::rsp] <= last->second.sp) {
      return;
    }
    strays_.push_back(std::move(call));
    if (strays_.size() > kMaxStrays) strays_.pop_front();
    return;
  }
  last_release_[call.position.thread] = {start, call.registers[Gpr::rsp], call.function};
  if (wire::HeapBlock* block = find(found->second)) block->released = std::move(call);
  living_.erase(found);
}

wire::HeapBlocks AllocationLog::blocks_at(std::uint64_t address, std::int32_t thread) const {
  constexpr std::size_t kMost = 8;
  wire::HeapBlocks out;
  out.calls = calls_;
  out.complete = first_ == 0;
  if (const auto last = last_call_.find(thread); last != last_call_.end()) out.current = last->second;
  for (auto it = blocks_.rbegin(); it != blocks_.rend() && out.holding.size() < kMost; ++it) {
    if (address - it->start < std::max<std::uint64_t>(it->size, 1)) out.holding.push_back(*it);
  }
  const auto block_of = [this](std::uint64_t number) {
    return blocks_[static_cast<std::size_t>(number - first_)];
  };
  const auto above = living_.upper_bound(address);
  if (above != living_.end()) out.above = block_of(above->second);
  if (above != living_.begin()) {
    const auto below = std::prev(above);
    const wire::HeapBlock block = block_of(below->second);
    if (address - block.start >= std::max<std::uint64_t>(block.size, 1)) out.below = block;
  }
  for (auto it = strays_.rbegin(); it != strays_.rend() && out.stray.size() < kMost; ++it) {
    if (it->registers[Gpr::rdi] == address) out.stray.push_back(*it);
  }
  return out;
}

}  // namespace culprit::agent
