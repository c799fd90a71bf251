#include "provenance/slice/symbolic_values.h"

#include <algorithm>

namespace culprit::provenance {
namespace {

using x86::DataFlow;
using x86::DataFlowEdge;
using x86::FlowKind;
using x86::RegisterBytes;
using x86::RegisterClass;

// Relations form chains as long as the code's own; a few rounds settle all that matters.
constexpr int kMaxRounds = 32;

const RegisterBytes* whole_gpr(const x86::FlowPlace& place) {
  const auto* r = std::get_if<RegisterBytes>(&place);
  return r != nullptr && r->cls == RegisterClass::gpr && r->size == 8 && r->number < 16 ? r
                                                                                        : nullptr;
}

}  // namespace

SymbolicAddress SymbolicAddress::plus(std::uint64_t delta) const {
  SymbolicAddress result = *this;
  result.offset += delta;
  if (result.value) *result.value += delta;
  return result;
}

std::optional<std::uint64_t> distance(const SymbolicAddress& from, const SymbolicAddress& to) {
  if (from.value && to.value) return *to.value - *from.value;
  if (!from.comparable || !to.comparable) return std::nullopt;
  if (from.base != to.base || from.index != to.index || from.scale != to.scale ||
      from.segment != to.segment)
    return std::nullopt;
  return to.offset - from.offset;
}

bool survives_call(const RegisterBytes& r, CallConvention convention) {
  if (r.cls == RegisterClass::segment_base) return true;
  if (r.cls != RegisterClass::gpr) return false;
  switch (static_cast<Gpr>(r.number)) {
    case Gpr::rsp:
    case Gpr::rbp:
    case Gpr::r14:
      return true;
    case Gpr::rbx:
    case Gpr::r12:
    case Gpr::r13:
    case Gpr::r15:
      return convention == CallConvention::system_v;
    default:
      return false;
  }
}

bool goes_past_call(const StaticPath& path, std::size_t k, bool after_last) {
  const auto flow = path.instructions[k].flow;
  if (flow != x86::Flow::call && flow != x86::Flow::indirect_call) return false;
  return k + 1 < path.instructions.size() || !after_last;
}

bool kept_by_callee(const RegisterBytes& r, const x86::Instruction& call,
                    const StaticQuery& query) {
  return query.kept_by && call.flow == x86::Flow::call && call.target &&
         r.cls == RegisterClass::gpr && r.number < 16 &&
         (query.kept_by(*call.target) >> r.number & 1U) != 0;
}

SymbolicValues::SymbolicValues(const StaticPath& path, const std::vector<DataFlow>& flows,
                               const StaticQuery& query)
    : end_(query.registers) {
  const std::size_t n = path.instructions.size();
  State state;
  for (Symbol& s : state) s = fresh();
  states_.reserve(n + 1);
  for (std::size_t k = 0; k < n; ++k) {
    if (path.instructions[k].repeated) {
      // Its flow is that of the last iteration; what the earlier ones left behind is not known.
      for (const Gpr r : {Gpr::rsi, Gpr::rdi, Gpr::rcx, Gpr::rax})
        state[static_cast<std::size_t>(r)] = fresh();
    }
    states_.push_back(state);
    if (goes_past_call(path, k, query.after)) {
      for (std::uint8_t r = 0; r < 16; ++r) {
        const x86::RegisterBytes whole = x86::whole(static_cast<Gpr>(r));
        if (!survives_call(whole, query.convention) &&
            !kept_by_callee(whole, path.instructions[k], query)) {
          state[r] = fresh();
        }
      }
    } else {
      state = after(state, flows[k]);
    }
  }
  states_.push_back(state);
  roots_.resize(next_root_);
  roots_[0] = 0;
  learn_from_end(query);
  solve();
}

SymbolicValues::State SymbolicValues::after(const State& before, const DataFlow& flow) {
  State result = before;
  std::uint32_t written = 0;
  for (const DataFlowEdge& e : flow.edges) {
    const auto* r = std::get_if<RegisterBytes>(&e.destination);
    if (r != nullptr && r->cls == RegisterClass::gpr && r->number < 16) written |= 1U << r->number;
  }
  for (std::uint8_t number = 0; number < 16; ++number) {
    if (((written >> number) & 1U) != 0) result[number] = result_of(before, flow, number);
  }
  return result;
}

Symbol SymbolicValues::result_of(const State& before, const DataFlow& flow, std::uint8_t number) {
  // A constant may be put together from parts (mov eax, imm clears the upper half).
  std::uint64_t constant = 0;
  std::uint8_t constant_bytes = 0;
  for (const DataFlowEdge& e : flow.edges) {
    const auto* r = std::get_if<RegisterBytes>(&e.destination);
    if (r == nullptr || r->cls != RegisterClass::gpr || r->number != number) continue;
    const bool is_address = e.kind == FlowKind::address && e.sources.empty();
    if (e.kind == FlowKind::zero || e.kind == FlowKind::immediate || is_address) {
      if (e.kind != FlowKind::zero && r->offset < 8)
        constant |= e.constant.value_or(0) << (8U * r->offset);
      constant_bytes = static_cast<std::uint8_t>(constant_bytes + r->size);
      continue;
    }
    if (r->size != 8 || e.sources.empty()) continue;
    const auto* from = whole_gpr(e.sources[0]);
    if (from == nullptr) continue;
    const Symbol first = before[from->number];
    if (e.kind == FlowKind::copy) return first;
    if (e.linear_scale == 0) continue;
    const std::uint64_t addend = e.constant.value_or(0);
    if (e.sources.size() == 1) return {first.root, first.offset + addend};
    const auto* second = whole_gpr(e.sources[1]);
    if (second == nullptr) continue;
    const Symbol result = fresh();
    relations_.push_back({result.root, first, before[second->number], e.linear_scale, addend});
    return result;
  }
  if (constant_bytes == 8) return {0, constant};
  return fresh();
}

bool SymbolicValues::learn(std::uint32_t root, std::uint64_t value) {
  auto& known = roots_[root];
  if (!known) {
    known = value;
    return true;
  }
  if (*known != value) contradicted_ = true;
  return false;
}

void SymbolicValues::learn_from_end(const StaticQuery& query) {
  const State& end = states_.back();
  for (unsigned r = 0; r < 16; ++r) {
    if (((unsigned{query.known} >> r) & 1U) == 0) continue;
    learn(end[r].root, query.registers.gpr[r] - end[r].offset);
  }
}

void SymbolicValues::solve() {
  bool progress = true;
  for (int round = 0; progress && round < kMaxRounds; ++round) {
    progress = false;
    for (const Relation& r : relations_) {
      const auto result = roots_[r.result];
      const auto a = value_of(r.a);
      const auto b = value_of(r.b);
      if (a && b) {
        progress = learn(r.result, *a + *b * r.scale + r.addend) || progress;
      } else if (result && b) {
        progress = learn(r.a.root, *result - *b * r.scale - r.addend - r.a.offset) || progress;
      } else if (result && a && r.scale == 1) {
        progress = learn(r.b.root, *result - *a - r.addend - r.b.offset) || progress;
      }
    }
  }
}

std::optional<std::uint64_t> SymbolicValues::value_of(const Symbol& symbol) const {
  const auto& root = roots_[symbol.root];
  if (!root) return std::nullopt;
  return *root + symbol.offset;
}

SymbolicAddress SymbolicValues::address(std::size_t moment, const x86::MemOperand& operand) const {
  SymbolicAddress result;
  result.segment = operand.segment;
  result.offset = static_cast<std::uint64_t>(operand.disp);
  result.comparable = !operand.no_single_address && operand.address_size == 8 &&
                      operand.index_size == 8 && !operand.bit_offset;
  const State& state = states_[moment];
  Registers values = end_;  // for the segment bases
  bool known = !operand.no_single_address;
  if (operand.base) {
    const Symbol s = state[static_cast<std::size_t>(*operand.base)];
    result.base = s.root;
    result.offset += s.offset;
    const auto value = value_of(s);
    known = known && value.has_value();
    values[*operand.base] = value.value_or(0);
  }
  if (operand.index) {
    const Symbol s = state[static_cast<std::size_t>(*operand.index)];
    result.offset += s.offset * operand.scale;
    const auto value = value_of(s);
    known = known && value.has_value();
    values[*operand.index] = value.value_or(0);
    if (s.root != 0) {
      result.index = s.root;
      result.scale = operand.scale;
    }
  }
  if (operand.bit_offset) {
    const auto r = static_cast<Gpr>(operand.bit_offset->number & 15U);
    const auto value = value_of(state[static_cast<std::size_t>(r)]);
    known = known && value.has_value();
    values[r] = value.value_or(0);
  }
  if (result.base == 0 && result.scale == 1) {
    std::swap(result.base, result.index);
    result.scale = 0;
  }
  if (known) {
    if (const auto value = x86::effective_address(operand, values)) result.value = value->value;
  }
  return result;
}

}  // namespace culprit::provenance
