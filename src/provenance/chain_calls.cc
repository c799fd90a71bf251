// What an allocator's function was called with, and how that came there: side branches of a block's
// hops.
#include <utility>

#include "provenance/call_moment.h"
#include "provenance/chain.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "provenance/visit.h"

namespace culprit::provenance {
namespace {

/// The argument of a call of the allocator that is the size of the block. Two of them (calloc)
/// cannot wrap unseen: the allocator looks itself.
std::optional<Gpr> size_argument(replay::HeapRole role) {
  switch (role) {
    case replay::HeapRole::allocate:
      return Gpr::rdi;
    case replay::HeapRole::resize:
    case replay::HeapRole::allocate_aligned:
      return Gpr::rsi;
    case replay::HeapRole::allocate_into:
      return Gpr::rdx;
    case replay::HeapRole::allocate_array:
    case replay::HeapRole::resize_array:
    case replay::HeapRole::release:
      break;
  }
  return std::nullopt;
}

}  // namespace

void Chain::add_way_of_argument(const Moment& call, Gpr argument, bool number, std::uint32_t parent,
                                std::string_view what) {
  if (call.frames.size() < 2) return;
  // The value is asked for where the caller has set it up: at the call.
  const ValueQuestion question{1, call.frames[1].frame.pc, false, x86::whole(argument), number};
  const std::uint64_t value = call.registers[argument];
  auto made = resolve_by_window(replay_, *image_, call, question, value, kAside, remaining(),
                                report_.stats, answers_);
  if (!made.ok()) return;
  report::Hop& asked = report_.hops[parent];
  if (number && asked.inputs.empty()) asked.inputs = report_inputs(made->source);
  follow_copies(*std::move(made), call, value, parent, what);
}

void Chain::add_first_release(const replay::HeapBlock& block, std::uint32_t release) {
  if (!block.released) return;
  const replay::HeapFunction* function = function_of(*image_, *block.released);
  if (function == nullptr || function->role != replay::HeapRole::release) return;
  begin_phase("finding how the pointer came to the first release");
  auto call = moment_of_call(replay_, *image_, *block.released, candidate_.mark, remaining(),
                             report_.stats);
  if (!call.ok() || !*call) return;
  add_way_of_argument(**call, Gpr::rdi, false, release, "the pointer of the first release");
}

void Chain::add_size_of_block(const replay::HeapBlock& block, const replay::Mark& before,
                              std::uint32_t allocation) {
  const replay::HeapFunction* function = function_of(*image_, block.allocated);
  const auto argument = function != nullptr ? size_argument(function->role) : std::nullopt;
  if (!argument) return;
  begin_phase("finding where the size of the block came from");
  auto call = moment_of_call(replay_, *image_, block.allocated, before, remaining(), report_.stats);
  if (!call.ok() || !*call) return;
  const std::uint64_t size = (*call)->registers[*argument];
  report::Hop hop =
      asked_size_hop(*image_, (*call)->frames, function->name, size, report_.hops[allocation]);
  hop.position = report_position(*image_, (*call)->position, nullptr);
  hop.note = "the argument, as it was at the call";
  const std::uint32_t asked = add_side(std::move(hop), allocation);
  add_way_of_argument(**call, *argument, true, asked, "the size");
}

void Chain::add_length_of_call(const BufferCall& call, std::uint32_t store) {
  if (!call.length || !call.contract.length) return;
  begin_phase("finding where the length came from");
  auto entry = visit(replay_, *image_, call.entry, remaining(), report_.stats);
  if (!entry.ok() || !*entry || (*entry)->frames.empty()) return;
  report::Hop hop = told_length_hop(*image_, (*entry)->frames, *call.length, report_.hops[store]);
  hop.position = report_position(*image_, (*entry)->position, nullptr);
  const std::uint32_t told = add_side(std::move(hop), store);
  add_way_of_argument(**entry, *call.contract.length, true, told, "the length");
}

}  // namespace culprit::provenance
