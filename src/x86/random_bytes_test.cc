// Any bytes at all: no crash, no hang, and the promises of the headers hold.
#include <gtest/gtest.h>

#include <random>

#include "x86/data_flow.h"
#include "x86/find_writer.h"
#include "x86/testing/stepped_program.h"

namespace culprit::x86 {
namespace {

bool inside(const FlowPlace& place, const Instruction& instruction) {
  if (const auto* r = std::get_if<RegisterBytes>(&place))
    return r->size > 0 && r->offset + r->size <= register_width(r->cls);
  const auto& m = std::get<MemoryBytes>(place);
  return m.operand < instruction.memory.size() &&
         m.offset + m.size <= instruction.memory[m.operand].size;
}

bool overlap(const FlowPlace& a, const FlowPlace& b) {
  const auto* r = std::get_if<RegisterBytes>(&a);
  const auto* s = std::get_if<RegisterBytes>(&b);
  if (r != nullptr && s != nullptr) return r->overlaps(*s);
  const auto* m = std::get_if<MemoryBytes>(&a);
  const auto* n = std::get_if<MemoryBytes>(&b);
  return m != nullptr && n != nullptr && m->operand == n->operand &&
         m->offset < n->offset + n->size && n->offset < m->offset + m->size;
}

void check_promises(const Instruction& instruction, const DataFlow& flow) {
  for (std::size_t i = 0; i < flow.edges.size(); ++i) {
    const DataFlowEdge& e = flow.edges[i];
    ASSERT_TRUE(inside(e.destination, instruction)) << text(instruction);
    for (const auto& s : e.sources) ASSERT_TRUE(inside(s, instruction)) << text(instruction);
    if (e.kind == FlowKind::copy) {
      ASSERT_EQ(e.sources.size(), 1U) << text(instruction);
      ASSERT_EQ(size_of(e.sources[0]), size_of(e.destination)) << text(instruction);
    }
    for (std::size_t k = 0; k < i; ++k)
      ASSERT_FALSE(overlap(e.destination, flow.edges[k].destination)) << text(instruction);
  }
}

TEST(RandomBytes, DecodeAndDataFlowKeepTheirPromises) {
  std::mt19937_64 random(1);
  std::size_t decoded = 0;
  // Prefixes and escapes that random bytes would hardly hit together.
  const std::vector<std::vector<unsigned>> starts = {
      {},     {0x0f}, {0x66, 0x0f}, {0xf3, 0x0f}, {0xf2, 0x0f},
      {0x48}, {0xf3}, {0x67},       {0xf0},       {0xc5},
      {0xc4}, {0x62}, {0x48, 0x0f}, {0x0f, 0x38}, {0x66, 0x0f, 0x3a},
      {0xd9}, {0x8f}, {0x66}};
  for (int round = 0; round < 300'000; ++round) {
    std::array<std::byte, 16> bytes;
    for (auto& b : bytes) b = static_cast<std::byte>(random());
    const auto& start = starts[random() % starts.size()];
    for (std::size_t i = 0; i < start.size(); ++i) bytes[i] = static_cast<std::byte>(start[i]);
    const std::size_t size = random() % 17;
    const Address at{random()};
    const auto instruction = decode(std::span(bytes).first(size), at);
    const auto brief = outline(std::span(bytes).first(size), at);
    ASSERT_EQ(instruction.ok(), brief.ok());
    if (!instruction.ok()) continue;
    ++decoded;
    ASSERT_LE(instruction->length, size);
    ASSERT_EQ(instruction->length, brief->length);
    ASSERT_EQ(instruction->flow, brief->flow);
    ASSERT_EQ(instruction->target, brief->target);
    ASSERT_FALSE(text(*instruction).empty());
    Registers before;
    for (auto& value : before.gpr) value = random();
    before.rflags = random();
    Registers after = before;
    after.rflags = random();
    check_promises(*instruction, data_flow(*instruction, nullptr));
    check_promises(*instruction, data_flow(*instruction, &before));
    check_promises(*instruction, data_flow(*instruction, &before, &after));
    if (HasFatalFailure()) return;
    for (const auto& m : instruction->memory) {
      (void)effective_address(m, before);
      ASSERT_FALSE(to_string(m).empty());
    }
    (void)registers_before(*instruction, after);
  }
  EXPECT_GT(decoded, 100'000U);
}

TEST(RandomBytes, FindWriterEndsOnAnyCode) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::byte> bytes(4096 + random() % 64);
    for (auto& b : bytes) b = static_cast<std::byte>(random());
    const Address start{round % 3 == 0 ? std::uint64_t{0} - bytes.size() : 0x40'0000};
    const testing::CodeReader code(start, bytes);
    Registers after;
    for (auto& value : after.gpr) value = start.value + random() % bytes.size();
    after.rip = start.value + random() % bytes.size();
    const auto found =
        find_writer_before(code, start, after, {Address{after.gpr[random() % 16]}, 8});
    for (const auto& w : found) ASSERT_LT(w.operand, w.instruction.memory.size());
  }
}

}  // namespace
}  // namespace culprit::x86
