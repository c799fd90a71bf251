#include "x86/find_writer.h"

#include <algorithm>
#include <array>

#include "x86/data_flow.h"

namespace culprit::x86 {
namespace {

// Functions larger than this are not decoded from their start.
constexpr std::int64_t kMaxSweep = std::int64_t{1} << 20;
// Fast-string microcode may move some more elements before a data breakpoint is reported; one cache
// line is allowed.
constexpr std::uint64_t kStringSlack = 64;

// What the linear decoding from the function's start found.
struct Grid {
  bool tried = false;  // decoding reached rip
  bool clean = true;   // without meeting bytes that are no instruction
  std::optional<Address> ends_at_rip;
  bool rip_on_grid = false;
};

// Reads code in blocks, so that decoding does not cost one read per instruction.
class CodeWindow {
 public:
  explicit CodeWindow(const MemoryReader& memory) : memory_(memory) {}

  std::span<const std::byte> at(Address address) {
    const std::int64_t into = address - start_;
    if (!filled_ || into < 0 || static_cast<std::uint64_t>(into) + kMaxInstructionLength > size_) {
      start_ = address;
      size_ = std::min(memory_.read(address, buffer_), buffer_.size());
      filled_ = true;
      return std::span(buffer_).first(size_);
    }
    return std::span(buffer_).first(size_).subspan(static_cast<std::size_t>(into));
  }

 private:
  const MemoryReader& memory_;
  std::array<std::byte, 4096> buffer_{};
  Address start_;
  std::size_t size_ = 0;
  bool filled_ = false;
};

Grid sweep(const MemoryReader& memory, Address start, Address rip) {
  Grid grid;
  CodeWindow code(memory);
  Address at = start;
  std::optional<Address> previous;
  while (at < rip) {
    const auto bytes = code.at(at);
    if (bytes.empty()) return grid;
    const auto next = outline(bytes, at);
    if (!next.ok()) {
      grid.clean = false;
      at = at + 1;
      previous.reset();
      continue;
    }
    previous = at;
    at = at + next->length;
  }
  grid.tried = true;
  if (at == rip) {
    grid.rip_on_grid = true;
    grid.ends_at_rip = previous;
  }
  return grid;
}

bool address_known(const MemOperand& operand, std::uint16_t known) {
  const auto has = [known](std::optional<Gpr> r) {
    return !r || ((unsigned{known} >> static_cast<unsigned>(*r)) & 1U) != 0;
  };
  const bool bit_known =
      !operand.bit_offset || has(static_cast<Gpr>(operand.bit_offset->number & 15U));
  return !operand.no_single_address && bit_known && has(operand.base) && has(operand.index);
}

class Search {
 public:
  Search(const MemoryReader& memory, const Registers& after, ByteRange watched)
      : memory_(memory), after_(after), watched_(watched) {}

  void consider(const Instruction& instruction, bool on_grid, const char* grid_note) {
    const RegistersBefore before = registers_before(instruction, after_);
    for (std::size_t i = 0; i < instruction.memory.size(); ++i) {
      const MemOperand& operand = instruction.memory[i];
      if (!operand.written) continue;
      WriterCandidate candidate{instruction, i, std::nullopt, WriterConfidence::guess, ""};
      if (address_known(operand, before.known) && operand.size != 0) {
        const auto address = effective_address(operand, before.registers);
        if (!address) continue;
        candidate.written = ByteRange{*address, operand.size};
        if (candidate.written->overlaps(watched_)) {
          candidate.confidence = on_grid ? WriterConfidence::proved : WriterConfidence::likely;
          candidate.note = on_grid ? "" : grid_note;
        } else if (operand.repeated && near_string(*candidate.written)) {
          candidate.confidence = WriterConfidence::likely;
          candidate.note = "the string instruction had gone on when the store was reported";
          candidate.written.reset();
        } else {
          continue;
        }
      } else {
        candidate.confidence = on_grid ? WriterConfidence::likely : WriterConfidence::guess;
        candidate.note = "the instruction changed its own address registers";
      }
      add(std::move(candidate));
    }
  }

  // After a call rip is the callee, and the store is the return address.
  void consider_call() {
    const Address stack = after_.sp();
    if (!ByteRange{stack, 8}.overlaps(watched_)) return;
    const auto return_address = memory_.read_u64(stack);
    if (!return_address) return;
    for (std::int64_t length = 2; length <= static_cast<std::int64_t>(kMaxInstructionLength);
         ++length) {
      const auto instruction = decode_at(memory_, Address{*return_address} - length);
      if (!instruction.ok() || instruction->length != length) continue;
      if (instruction->flow != Flow::call && instruction->flow != Flow::indirect_call) continue;
      for (std::size_t i = 0; i < instruction->memory.size(); ++i) {
        if (!instruction->memory[i].written) continue;
        const bool goes_here = target_of(*instruction) == std::optional(after_.pc());
        add({*instruction, i, ByteRange{stack, 8},
             goes_here ? WriterConfidence::proved : WriterConfidence::likely,
             goes_here ? "" : "found through the return address on the stack"});
      }
    }
  }

  std::vector<WriterCandidate> take() {
    std::stable_sort(found_.begin(), found_.end(),
                     [](const auto& a, const auto& b) { return a.confidence < b.confidence; });
    return std::move(found_);
  }

 private:
  void add(WriterCandidate candidate) {
    for (const auto& other : found_) {
      if (other.instruction.address == candidate.instruction.address &&
          other.operand == candidate.operand)
        return;
    }
    found_.push_back(std::move(candidate));
  }

  // Elements are written upwards from before `last`, or downwards to it; either side is close.
  bool near_string(const ByteRange& last) const {
    const ByteRange around{last.start - static_cast<std::int64_t>(kStringSlack),
                           2 * kStringSlack + last.size};
    return around.overlaps(watched_);
  }

  std::optional<Address> target_of(const Instruction& call) const {
    if (call.target) return call.target;
    const RegistersBefore before = registers_before(call, after_);
    for (const MemOperand& m : call.memory) {
      if (m.written || !address_known(m, before.known)) continue;
      const auto slot = effective_address(m, before.registers);
      const auto value = slot ? memory_.read_u64(*slot) : std::nullopt;
      return value ? std::optional(Address{*value}) : std::nullopt;
    }
    for (const RegisterBytes& r : call.reads) {
      if (r.cls != RegisterClass::gpr || r == whole(Gpr::rsp)) continue;
      if (const auto value = value_of(r, before.registers)) return Address{*value};
    }
    return std::nullopt;
  }

  const MemoryReader& memory_;
  const Registers& after_;
  ByteRange watched_;
  std::vector<WriterCandidate> found_;
};

}  // namespace

RegistersBefore registers_before(const Instruction& instruction, const Registers& after) {
  RegistersBefore result{after, 0xffff};
  Registers hint = after;
  // Only the direction flag and, for cmov, the flags matter here, and neither instruction changes
  // them. A rep that has stopped had run at least once.
  hint[Gpr::rcx] |= 1;
  const DataFlow flow = data_flow(instruction, &hint, &after);
  const auto bit = [](const RegisterBytes& r) {
    return static_cast<std::uint16_t>(1U << (r.number & 15U));
  };
  for (const auto& e : flow.edges) {
    const auto* r = std::get_if<RegisterBytes>(&e.destination);
    if (r != nullptr && r->cls == RegisterClass::gpr)
      result.known = static_cast<std::uint16_t>(result.known & ~bit(*r));
  }
  const auto whole_gpr = [](const FlowPlace& place) -> const RegisterBytes* {
    const auto* r = std::get_if<RegisterBytes>(&place);
    return r != nullptr && r->cls == RegisterClass::gpr && r->size == 8 ? r : nullptr;
  };
  // Twice: one undone step may give the second operand of another.
  for (int round = 0; round < 2; ++round) {
    for (const auto& e : flow.edges) {
      const auto* to = whole_gpr(e.destination);
      const bool copies = e.kind == FlowKind::copy;
      if (to == nullptr || (!copies && e.linear_scale == 0) || e.sources.empty()) continue;
      const auto* from = whole_gpr(e.sources[0]);
      if (from == nullptr || (result.known & bit(*from)) != 0) continue;
      std::uint64_t value = after.gpr[to->number & 15U] - (copies ? 0 : e.constant.value_or(0));
      if (e.sources.size() > 1) {
        const auto* second = whole_gpr(e.sources[1]);
        if (second == nullptr || second->number == from->number ||
            (result.known & bit(*second)) == 0)
          continue;
        value -= result.registers.gpr[second->number & 15U] * e.linear_scale;
      }
      result.registers.gpr[from->number & 15U] = value;
      result.known = static_cast<std::uint16_t>(result.known | bit(*from));
    }
  }
  return result;
}

std::vector<WriterCandidate> find_writer_before(const MemoryReader& memory,
                                                std::optional<Address> function_start,
                                                const Registers& after, ByteRange watched) {
  const Address rip = after.pc();
  Search search(memory, after, watched);
  Grid grid;
  if (function_start && *function_start <= rip && rip - *function_start <= kMaxSweep)
    grid = sweep(memory, *function_start, rip);

  constexpr const char* kNoGrid = "the function's start is not known";
  constexpr const char* kUnclean = "the function holds bytes that are no instructions";
  const char* note = grid.tried ? kUnclean : kNoGrid;
  const bool grid_holds = grid.tried && grid.clean;
  if (grid.ends_at_rip) {
    const auto instruction = decode_at(memory, *grid.ends_at_rip);
    if (instruction.ok()) search.consider(*instruction, grid_holds, note);
  }
  // Stopped inside a repeated string instruction.
  const auto current = decode_at(memory, rip);
  if (current.ok() && current->repeated)
    search.consider(*current, grid_holds && grid.rip_on_grid, note);
  search.consider_call();
  auto found = search.take();
  if (!found.empty() && found.front().confidence == WriterConfidence::proved) return found;

  // Whatever instruction ends at rip.
  for (std::int64_t length = 1; length <= static_cast<std::int64_t>(kMaxInstructionLength);
       ++length) {
    const auto instruction = decode_at(memory, rip - length);
    if (instruction.ok() && instruction->length == length && instruction->flow == Flow::fallthrough)
      search.consider(*instruction, false,
                      grid_holds ? "not on the function's instruction grid" : note);
  }
  auto more = search.take();
  for (auto& candidate : more) {
    const bool known = std::any_of(found.begin(), found.end(), [&](const WriterCandidate& f) {
      return f.instruction.address == candidate.instruction.address &&
             f.operand == candidate.operand;
    });
    if (!known) found.push_back(std::move(candidate));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.confidence < b.confidence; });
  return found;
}

}  // namespace culprit::x86
