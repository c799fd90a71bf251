#include "provenance/slice/guard_search.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "provenance/slice/static_path.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxCode = std::size_t{4} << 20;
constexpr std::size_t kMaxGuards = 64;
/// Instructions that a condition is followed back through, from the branch to its test.
constexpr std::size_t kMaxConditionPath = 64;

struct Node {
  Address address;
  x86::Flow flow = x86::Flow::stop;
  std::array<std::int32_t, 2> next{-1, -1};  ///< where control goes in the parts
  bool leaves = false;                       ///< it may go somewhere else too
  bool doomed = false;                       ///< all ways from here lead to the failing instruction
};

/// The low four bits of the opcode of a conditional jump or setcc (Intel SDM vol. 2, appendix
/// B.1.4.7).
std::optional<unsigned> condition_of(const x86::Instruction& instruction) {
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) {
    return i < instruction.length ? std::to_integer<unsigned>(instruction.bytes[i]) : 0U;
  };
  // Branch hints, bnd, REX.
  while (byte(at) == 0x2e || byte(at) == 0x3e || byte(at) == 0xf2 || (byte(at) & 0xf0U) == 0x40)
    ++at;
  if ((byte(at) & 0xf0U) == 0x70) return byte(at) & 15U;
  if (byte(at) != 0x0f) return std::nullopt;
  const unsigned kind = byte(at + 1) & 0xf0U;
  if (kind == 0x80 || kind == 0x90) return byte(at + 1) & 15U;
  return std::nullopt;
}

bool is_setcc(const x86::Instruction& instruction) {
  return instruction.flow == x86::Flow::fallthrough && instruction.writes.size() == 1 &&
         instruction.writes.front().size == 1 && instruction.memory.empty() &&
         condition_of(instruction).has_value();
}

Relation relation_of(unsigned condition) {
  switch (condition >> 1U) {
    case 1:
    case 3:
      return Relation::unsigned_order;
    case 2:
      return Relation::equality;
    case 4:
      return Relation::sign;
    case 6:
    case 7:
      return Relation::signed_order;
    default:
      return Relation::other;
  }
}

bool writes_flags(const x86::Instruction& instruction) {
  return std::any_of(instruction.writes.begin(), instruction.writes.end(),
                     [](const auto& w) { return w.cls == x86::RegisterClass::flags; });
}

/// The one general-purpose register that an instruction works on, if it touches no memory.
std::optional<std::uint8_t> only_register(const x86::Instruction& instruction) {
  std::optional<std::uint8_t> reg;
  if (!instruction.memory.empty()) return std::nullopt;
  for (const auto& list : {instruction.reads, instruction.writes}) {
    for (const x86::RegisterBytes& r : list) {
      if (r.cls == x86::RegisterClass::flags) continue;
      if (r.cls != x86::RegisterClass::gpr || (reg && *reg != r.number)) return std::nullopt;
      reg = r.number;
    }
  }
  return reg;
}

/// Registers that calls leave as they are (System V ABI for x86-64, 3.2.1).
bool is_callee_saved(std::uint8_t reg) {
  const auto r = static_cast<Gpr>(reg);
  return r == Gpr::rbx || r == Gpr::rbp || r == Gpr::r12 || r == Gpr::r13 || r == Gpr::r14 ||
         r == Gpr::r15;
}

bool writes_register(const x86::Instruction& instruction, std::uint8_t reg) {
  return std::any_of(instruction.writes.begin(), instruction.writes.end(), [&](const auto& w) {
    return w.cls == x86::RegisterClass::gpr && w.number == reg;
  });
}

/// From a conditional jump, or a setcc, back to the instruction that it looked at. `path`: what
/// executed before it, oldest first.
std::optional<Guard> test_of(Address branch, unsigned condition,
                             std::span<const x86::Instruction> path) {
  std::optional<Guard> guard;
  std::size_t left = kMaxConditionPath;
  while (!path.empty() && left-- > 0) {
    // Back to who set the flags.
    const x86::Instruction& test = path.back();
    path = path.first(path.size() - 1);
    const bool call = test.flow == x86::Flow::call || test.flow == x86::Flow::indirect_call;
    if (call) break;  // flags do not live across a call
    if (!writes_flags(test)) continue;
    guard = Guard{branch, test.address, relation_of(condition)};
    // A boolean that is looked at again was made of other flags before.
    const auto boolean = guard->relation == Relation::equality ? only_register(test) : std::nullopt;
    if (!boolean) break;
    std::uint8_t reg = *boolean;
    std::optional<unsigned> earlier;
    auto older = path;
    while (!older.empty() && left-- > 0) {
      const x86::Instruction& step = older.back();
      older = older.first(older.size() - 1);
      if (step.flow == x86::Flow::call || step.flow == x86::Flow::indirect_call) break;
      if (!writes_register(step, reg)) continue;
      if (is_setcc(step)) {
        earlier = condition_of(step);
        break;
      }
      if (only_register(step) == reg && step.category != x86::Category::stack) {
        // movzx of itself; xor and and with a constant.
        if (step.category == x86::Category::move || step.category == x86::Category::arithmetic)
          continue;
        break;
      }
      const bool moved = step.category == x86::Category::move && step.memory.empty() &&
                         step.reads.size() == 1 &&
                         step.reads.front().cls == x86::RegisterClass::gpr;
      if (!moved) break;
      reg = step.reads.front().number;
    }
    if (!earlier) break;
    condition = *earlier;
    path = older;
  }
  return guard;
}

class Search {
 public:
  Search(std::span<const CodePart> parts, Address entry) : parts_(parts), entry_(entry) {}

  Result<GuardSearch> run(Address failing) {
    std::size_t size = 0;
    for (const CodePart& part : parts_) size += part.bytes.size();
    if (size > kMaxCode) {
      return Error{ErrorCode::bad_input,
                   "the function around " + to_hex(failing) + " is too large"};
    }
    for (const CodePart& part : parts_) decode(part);
    const auto found = index_.find(failing.value);
    if (found == index_.end()) {
      return Error{ErrorCode::bad_input,
                   "no instruction of the function starts at " + to_hex(failing)};
    }
    link();
    doom(found->second);
    GuardSearch out;
    const auto first = index_.find(entry_.value);
    out.always = first != index_.end() && nodes_[first->second].doomed;
    for (const Node& node : nodes_) {
      if (node.flow != x86::Flow::conditional || node.doomed || out.guards.size() >= kMaxGuards)
        continue;
      const bool decides = std::any_of(node.next.begin(), node.next.end(),
                                       [&](auto n) { return n >= 0 && at(n).doomed; });
      if (!decides) continue;
      if (auto guard = look_back(node.address)) out.guards.push_back(*guard);
    }
    std::sort(out.guards.begin(), out.guards.end(),
              [](const Guard& a, const Guard& b) { return a.branch < b.branch; });
    return out;
  }

 private:
  Node& at(std::int32_t index) { return nodes_[static_cast<std::size_t>(index)]; }

  void decode(const CodePart& part) {
    for (std::size_t at = 0; at < part.bytes.size();) {
      const Address here = part.start + static_cast<std::int64_t>(at);
      const auto outline = x86::outline(part.bytes.subspan(at), here);
      if (!outline.ok()) {
        ++at;
        continue;
      }
      Node node;
      node.address = here;
      node.flow = outline->flow;
      if (index_.try_emplace(here.value, nodes_.size()).second) {
        nodes_.push_back(node);
        targets_.push_back(outline->target);
        ends_.push_back(here + outline->length);
      }
      at += outline->length;
    }
  }

  void link() {
    before_.resize(nodes_.size());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      Node& node = nodes_[i];
      const auto add = [&](std::size_t slot, Address to) {
        const auto it = index_.find(to.value);
        if (it == index_.end()) {
          node.leaves = true;
          return;
        }
        node.next[slot] = static_cast<std::int32_t>(it->second);
        before_[it->second].push_back(i);
      };
      switch (node.flow) {
        case x86::Flow::fallthrough:
        case x86::Flow::call:
        case x86::Flow::indirect_call:
          add(0, ends_[i]);
          break;
        case x86::Flow::jump:
          targets_[i] ? add(0, *targets_[i]) : void(node.leaves = true);
          break;
        case x86::Flow::conditional:
          add(0, ends_[i]);
          targets_[i] ? add(1, *targets_[i]) : void(node.leaves = true);
          break;
        case x86::Flow::indirect_jump:
        case x86::Flow::ret:
        case x86::Flow::stop:
          node.leaves = true;
          break;
      }
    }
  }

  void doom(std::size_t failing) {
    std::vector<std::size_t> work{failing};
    nodes_[failing].doomed = true;
    while (!work.empty()) {
      const std::size_t node = work.back();
      work.pop_back();
      for (const std::size_t p : before_[node]) {
        Node& previous = nodes_[p];
        if (previous.doomed || previous.leaves) continue;
        const bool all = std::all_of(previous.next.begin(), previous.next.end(),
                                     [&](auto n) { return n < 0 || at(n).doomed; });
        if (!all) continue;
        previous.doomed = true;
        work.push_back(p);
      }
    }
  }

  std::optional<Guard> look_back(Address branch) const {
    for (const CodePart& part : parts_) {
      const std::uint64_t into = branch.value - part.start.value;
      if (into >= part.bytes.size()) continue;
      const auto jump = x86::decode(part.bytes.subspan(static_cast<std::size_t>(into)), branch);
      const auto path = find_static_path(part.bytes, part.start, branch, false);
      if (!jump.ok() || !path.ok()) return std::nullopt;
      const auto condition = condition_of(*jump);
      if (!condition) return std::nullopt;
      return test_of(branch, *condition, path->instructions);
    }
    return std::nullopt;
  }

  std::span<const CodePart> parts_;
  Address entry_;
  std::vector<Node> nodes_;
  std::vector<std::optional<Address>> targets_;  ///< parallel to nodes_
  std::vector<Address> ends_;                    ///< parallel to nodes_
  std::vector<std::vector<std::size_t>> before_;
  std::unordered_map<std::uint64_t, std::size_t> index_;
};

}  // namespace

const char* to_string(Relation relation) {
  switch (relation) {
    case Relation::equality:
      return "equality";
    case Relation::unsigned_order:
      return "unsigned order";
    case Relation::signed_order:
      return "signed order";
    case Relation::sign:
      return "sign";
    case Relation::other:
      break;
  }
  return "other";
}

Result<GuardSearch> find_guards(std::span<const CodePart> parts, Address entry, Address failing) {
  return Search(parts, entry).run(failing);
}

Result<std::optional<TargetLoad>> find_target_load(const CodePart& part, Address call) {
  CULPRIT_ASSIGN(const StaticPath path, find_static_path(part.bytes, part.start, call, true));
  std::span<const x86::Instruction> left = path.instructions;
  std::optional<std::uint8_t> reg;  // that holds the target; none: it is the call's own operand
  std::optional<TargetLoad> none;
  for (; !left.empty(); left = left.first(left.size() - 1)) {
    const x86::Instruction& step = left.back();
    const bool is_call = step.address == call;
    if (is_call && step.flow != x86::Flow::indirect_call) return none;
    const bool other_call =
        !is_call && (step.flow == x86::Flow::call || step.flow == x86::Flow::indirect_call);
    if (other_call && !is_callee_saved(*reg)) return none;
    if (other_call) continue;
    if (!is_call && !writes_register(step, *reg)) continue;
    if (!is_call && step.category != x86::Category::move) return none;
    for (const x86::MemOperand& m : step.memory) {
      if (m.read && m.base && *m.base != Gpr::rsp)
        return std::optional(TargetLoad{step.address, *m.base});
      if (m.read) return none;
    }
    std::optional<std::uint8_t> from;
    for (const x86::RegisterBytes& r : step.reads) {
      if (r.cls == x86::RegisterClass::gpr && r.number != static_cast<std::uint8_t>(Gpr::rsp))
        from = r.number;
    }
    if (!from) return none;
    reg = from;
  }
  return none;
}

}  // namespace culprit::provenance
