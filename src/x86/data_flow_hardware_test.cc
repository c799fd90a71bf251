// The data flow model against the processor: every instruction that really ran must have written
// what the model says, from where the model says, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "x86/data_flow.h"
#include "x86/find_writer.h"
#include "x86/testing/instruction_templates.h"
#include "x86/testing/stepped_program.h"

namespace culprit::x86::testing {
namespace {

std::vector<std::byte> random_program(const std::vector<Template>& all, std::uint64_t seed,
                                      std::size_t count) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> code;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& t = all[random() % all.size()];
    code.insert(code.end(), t.code.begin(), t.code.end());
  }
  return code;
}

using Bytes = std::optional<std::vector<std::byte>>;

// The bytes of a place before or after an instruction, where they are logged.
Bytes bytes_at(const Snapshot& s, const Instruction& instruction, const FlowPlace& place,
               const Registers& before) {
  if (const auto* r = std::get_if<RegisterBytes>(&place)) return s.bytes(*r);
  const auto& m = std::get<MemoryBytes>(place);
  const auto address = effective_address(instruction.memory[m.operand], before);
  if (!address) return std::nullopt;
  return s.bytes(ByteRange{*address + m.offset, m.size});
}

std::uint64_t number(const std::vector<std::byte>& bytes) {
  std::uint64_t result = 0;
  for (std::size_t i = std::min<std::size_t>(bytes.size(), 8); i-- > 0;)
    result = (result << 8) | std::to_integer<std::uint64_t>(bytes[i]);
  return result;
}

// What one step did, compared with the model's edges.
class StepCheck {
 public:
  StepCheck(const Snapshot& before, const Snapshot& after, const Instruction& instruction)
      : before_(before), after_(after), instruction_(instruction) {}

  void run() {
    const DataFlow flow = data_flow(instruction_, &before_.registers, &after_.registers);
    SCOPED_TRACE(text(instruction_));
    for (const auto& e : flow.edges) check_edge(e);
    check_nothing_else_changed(flow);
  }

  static inline std::size_t copies = 0;

 private:
  void check_edge(const DataFlowEdge& e) {
    const Bytes result = bytes_at(after_, instruction_, e.destination, before_.registers);
    if (!result) return;
    switch (e.kind) {
      case FlowKind::copy: {
        ASSERT_EQ(e.sources.size(), 1U);
        ASSERT_EQ(size_of(e.sources[0]), size_of(e.destination));
        const Bytes source = bytes_at(before_, instruction_, e.sources[0], before_.registers);
        if (!source) return;
        EXPECT_EQ(*result, *source);
        ++copies;
        break;
      }
      case FlowKind::zero:
        EXPECT_TRUE(std::all_of(result->begin(), result->end(),
                                [](std::byte b) { return b == std::byte{0}; }));
        break;
      case FlowKind::immediate:
        ASSERT_TRUE(e.constant.has_value());
        EXPECT_EQ(number(*result),
                  *e.constant &
                      (~std::uint64_t{0} >> (64 - 8 * std::min<std::size_t>(8, result->size()))));
        break;
      case FlowKind::select:
        ADD_FAILURE() << "undecided although the registers are known";
        break;
      default:
        if (e.linear_scale != 0) check_linear(e, *result);
        if (e.kind == FlowKind::address && e.sources.empty()) {
          EXPECT_EQ(number(*result), e.constant);
        }
        break;
    }
  }

  void check_linear(const DataFlowEdge& e, const std::vector<std::byte>& result) {
    std::uint64_t expected = e.constant.value_or(0);
    for (std::size_t i = 0; i < e.sources.size(); ++i) {
      const Bytes source = bytes_at(before_, instruction_, e.sources[i], before_.registers);
      ASSERT_TRUE(source.has_value());
      ASSERT_EQ(source->size(), 8U);
      expected += number(*source) * (i == 0 ? 1 : e.linear_scale);
    }
    EXPECT_EQ(number(result), expected);
  }

  bool written(const DataFlow& flow, const RegisterBytes& byte) const {
    return std::any_of(flow.edges.begin(), flow.edges.end(), [&](const DataFlowEdge& e) {
      const auto* r = std::get_if<RegisterBytes>(&e.destination);
      return r != nullptr && r->overlaps(byte);
    });
  }

  bool written(const DataFlow& flow, Address byte) const {
    return std::any_of(flow.edges.begin(), flow.edges.end(), [&](const DataFlowEdge& e) {
      const auto* m = std::get_if<MemoryBytes>(&e.destination);
      if (m == nullptr) return false;
      const MemOperand& operand = instruction_.memory[m->operand];
      const auto address = effective_address(operand, before_.registers);
      return !address || ByteRange{*address + m->offset, m->size}.contains(byte);
    });
  }

  void check_nothing_else_changed(const DataFlow& flow) {
    for (std::uint8_t r = 0; r < 16; ++r) {
      for (std::uint8_t b = 0; b < 8; ++b) {
        const RegisterBytes byte{RegisterClass::gpr, r, b, 1};
        if (before_.bytes(byte) != after_.bytes(byte)) {
          EXPECT_TRUE(written(flow, byte)) << to_string(byte);
        }
      }
      for (std::uint8_t b = 0; b < 32; ++b) {
        const RegisterBytes byte{RegisterClass::vector, r, b, 1};
        if (before_.bytes(byte) != after_.bytes(byte)) {
          EXPECT_TRUE(written(flow, byte)) << to_string(byte);
        }
      }
    }
    // Status and direction flags; bit 16 (resume) and 8 (trap) belong to the stepping.
    constexpr std::uint64_t kFlags = 0xcd5;
    if (((before_.registers.rflags ^ after_.registers.rflags) & kFlags) != 0) {
      EXPECT_TRUE(written(flow, RegisterBytes{RegisterClass::flags, 0, 0, 8}));
    }
    check_memory(flow, kData, before_.data, after_.data);
    check_memory(flow, kStack, before_.stack, after_.stack);
  }

  void check_memory(const DataFlow& flow, Address start, const std::vector<std::byte>& old_bytes,
                    const std::vector<std::byte>& new_bytes) {
    if (old_bytes == new_bytes) return;
    for (std::size_t i = 0; i < old_bytes.size(); ++i) {
      if (old_bytes[i] == new_bytes[i]) continue;
      const Address at = start + static_cast<std::int64_t>(i);
      EXPECT_TRUE(written(flow, at)) << to_hex(at);
    }
  }

  const Snapshot& before_;
  const Snapshot& after_;
  const Instruction& instruction_;
};

// Every store must be found again from what a watchpoint hit gives: the registers after it.
void check_writer(const CodeReader& code, const Snapshot& before, const Snapshot& after,
                  const Instruction& instruction) {
  const DataFlow flow = data_flow(instruction, &before.registers, &after.registers);
  for (const auto& e : flow.edges) {
    const auto* m = std::get_if<MemoryBytes>(&e.destination);
    if (m == nullptr || instruction.flow != Flow::fallthrough) continue;
    const auto address = effective_address(instruction.memory[m->operand], before.registers);
    if (!address) continue;
    const ByteRange watched{*address + m->offset, std::min<std::uint64_t>(m->size, 8)};
    const auto found = find_writer_before(code, kCode, after.registers, watched);
    ASSERT_FALSE(found.empty()) << text(instruction);
    EXPECT_EQ(found[0].instruction.address, instruction.address) << text(instruction);
    if (found[0].confidence == WriterConfidence::proved) {
      EXPECT_TRUE(found[0].written && found[0].written->overlaps(watched)) << text(instruction);
    }
    // What registers_before() claims to know must be true.
    const auto guessed = registers_before(instruction, after.registers);
    for (unsigned r = 0; r < 16; ++r) {
      if (((unsigned{guessed.known} >> r) & 1U) != 0) {
        EXPECT_EQ(guessed.registers.gpr[r], before.registers.gpr[r]) << text(instruction);
      }
    }
  }
}

TEST(DataFlowHardware, EveryTemplateDoesWhatTheModelSays) {
  const auto all = templates();
  ASSERT_GT(all.size(), 400U);
  StepCheck::copies = 0;
  std::size_t steps = 0;
  // Each template on its own, then random mixtures.
  std::vector<std::vector<std::byte>> programs;
  std::vector<std::byte> in_order;
  for (std::size_t i = 0; i < all.size(); ++i) {
    in_order.insert(in_order.end(), all[i].code.begin(), all[i].code.end());
    if (i % 40 != 39 && i + 1 != all.size()) continue;
    programs.push_back(in_order);
    in_order.clear();
  }
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    programs.push_back(random_program(all, seed, 120));
  for (std::size_t p = 0; p < programs.size(); ++p) {
    SCOPED_TRACE("program " + std::to_string(p));
    const auto& program = programs[p];
    const CodeReader code(kCode, program);
    RunSpec spec;
    spec.code = program;
    spec.stop = kCode + static_cast<std::int64_t>(program.size());
    spec.seed = p + 100;
    const auto log = run_stepped(spec);
    if (!log.ok() && p == 0 && log.error().message.find("PTRACE") != std::string::npos)
      GTEST_SKIP() << log.error().message;
    ASSERT_TRUE(log.ok()) << log.error().message;
    for (std::size_t i = 0; i + 1 < log->size(); ++i) {
      const auto instruction = decode_at(code, (*log)[i].registers.pc());
      ASSERT_TRUE(instruction.ok());
      StepCheck((*log)[i], (*log)[i + 1], *instruction).run();
      check_writer(code, (*log)[i], (*log)[i + 1], *instruction);
      ++steps;
      if (HasFailure() && i > 50) return;
    }
  }
  // The check above is empty where nothing is claimed.
  EXPECT_GT(steps, 8000U);
  EXPECT_GT(StepCheck::copies, 5000U);
}

}  // namespace
}  // namespace culprit::x86::testing
