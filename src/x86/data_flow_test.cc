// What the processor at hand cannot show (no registers given, AVX-512, the kernel's part), and the
// exact shape of the edges. That edges are true is checked in data_flow_hardware_test.cc.
#include "x86/data_flow.h"

#include <gtest/gtest.h>

#include "x86/testing/snippet.h"

namespace culprit::x86 {
namespace {

DataFlow flow_of(std::span<const std::byte> code, const Registers* before = nullptr,
                 const Registers* after = nullptr) {
  const auto i = decode(code, Address{0x40'1000});
  EXPECT_TRUE(i.ok());
  return i.ok() ? data_flow(*i, before, after) : DataFlow{};
}

const DataFlowEdge* edge_to(const DataFlow& flow, const FlowPlace& place) {
  for (const auto& e : flow.edges) {
    if (e.destination == place) return &e;
  }
  return nullptr;
}

RegisterBytes vec(unsigned n, unsigned offset, unsigned size) {
  return {RegisterClass::vector, static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(offset),
          static_cast<std::uint8_t>(size)};
}

SNIPPET(zero_extending, "mov eax, ecx")
SNIPPET(cond_move, "cmovne rax, rcx")
SNIPPET(cond_move32, "cmovne eax, ecx")
SNIPPET(cond_exchange, "lock cmpxchg [rdi], rcx")
SNIPPET(rep_store, "rep stosq")
SNIPPET(rep_move, "rep movsb")
SNIPPET(zmm_load, "vmovdqu64 zmm17, [rsi]")
SNIPPET(zmm_masked, "vmovdqu64 zmm1{k1}{z}, [rsi]")
SNIPPET(ymm_load, "vmovdqu ymm3, [rsi]")
SNIPPET(kmove, "kmovq k1, rax")
SNIPPET(kzero, "kxorw k2, k2, k2")
SNIPPET(zmm_zero, "vpxord zmm5, zmm5, zmm5")
SNIPPET(broadcast_register, "vpbroadcastq zmm1, rax")
SNIPPET(broadcast_memory, "vpaddq zmm1, zmm2, qword ptr [rax]{1to8}")
SNIPPET(sys, "syscall")
SNIPPET(sys32, "int 0x80")
SNIPPET(timestamp, "rdtsc")
SNIPPET(global, "lea rax, [rip+0x100]")
SNIPPET(lea_copy, "lea rax, [rbx]")
SNIPPET(lea_two, "lea rax, [rbx+rcx*4+0x10]")
SNIPPET(add_imm, "add rbx, 0x10")
SNIPPET(sub_imm, "sub rbx, 0x10")
SNIPPET(add_memory, "add [rdi], rcx")
SNIPPET(sub_self, "sub rax, rax")
SNIPPET(vpxor_self, "vpxor xmm1, xmm2, xmm2")
SNIPPET(call_near, ".byte 0xe8, 0, 1, 0, 0")
SNIPPET(move_selector, "mov fs, eax")
SNIPPET(direct_store, "movdir64b rax, [rbx]")
SNIPPET(vzero, "vzeroupper")
SNIPPET(enter_nested, "enter 16, 2")
SNIPPET(scatter, "vpscatterdd [rax+zmm1*4]{k1}, zmm2")
SNIPPET(compare, "cmp rax, [rbx]")

TEST(DataFlow, ThirtyTwoBitResultsAreZeroExtended) {
  const DataFlow f = flow_of(zero_extending());
  const auto* low = edge_to(f, RegisterBytes{RegisterClass::gpr, 0, 0, 4});
  const auto* high = edge_to(f, RegisterBytes{RegisterClass::gpr, 0, 4, 4});
  ASSERT_NE(low, nullptr);
  ASSERT_NE(high, nullptr);
  EXPECT_EQ(low->kind, FlowKind::copy);
  EXPECT_EQ(high->kind, FlowKind::zero);
}

TEST(DataFlow, ConditionalMovesNeedTheFlags) {
  DataFlow f = flow_of(cond_move());
  ASSERT_EQ(f.edges.size(), 1U);
  EXPECT_TRUE(f.depends_on_registers);
  EXPECT_EQ(f.edges[0].kind, FlowKind::select);
  EXPECT_EQ(f.edges[0].sources.size(), 2U);
  Registers before;
  before.rflags = 0;
  f = flow_of(cond_move(), &before);
  ASSERT_EQ(f.edges.size(), 1U);
  EXPECT_EQ(f.edges[0].kind, FlowKind::copy);
  before.rflags = 0x40;  // ZF
  EXPECT_TRUE(flow_of(cond_move(), &before).edges.empty());
  // The 32-bit form clears the upper half even so.
  f = flow_of(cond_move32(), &before);
  ASSERT_EQ(f.edges.size(), 1U);
  EXPECT_EQ(f.edges[0].kind, FlowKind::zero);
}

TEST(DataFlow, CompareExchangeNeedsTheFlagsAfterIt) {
  const FlowPlace target = MemoryBytes{0, 0, 8};
  const DataFlow open = flow_of(cond_exchange());
  ASSERT_NE(edge_to(open, target), nullptr);
  EXPECT_EQ(edge_to(open, target)->kind, FlowKind::select);
  EXPECT_EQ(edge_to(open, whole(Gpr::rax))->kind, FlowKind::select);
  Registers after;
  after.rflags = 0x40;
  const DataFlow taken = flow_of(cond_exchange(), nullptr, &after);
  EXPECT_EQ(edge_to(taken, target)->kind, FlowKind::copy);
  EXPECT_EQ(edge_to(taken, whole(Gpr::rax)), nullptr);
  after.rflags = 0;
  const DataFlow refused = flow_of(cond_exchange(), nullptr, &after);
  EXPECT_EQ(edge_to(refused, target), nullptr);
  EXPECT_EQ(edge_to(refused, whole(Gpr::rax))->sources.at(0), target);
}

TEST(DataFlow, ARepIsOneIterationOrUnknown) {
  Registers before;
  before[Gpr::rcx] = 3;
  DataFlow f = flow_of(rep_store(), &before);
  ASSERT_NE(edge_to(f, MemoryBytes{0, 0, 8}), nullptr);
  EXPECT_EQ(edge_to(f, MemoryBytes{0, 0, 8})->kind, FlowKind::copy);
  EXPECT_EQ(edge_to(f, whole(Gpr::rdi))->constant, 8U);
  before.rflags = 0x400;  // DF
  EXPECT_EQ(edge_to(flow_of(rep_store(), &before), whole(Gpr::rdi))->constant,
            std::uint64_t{0} - 8);
  before[Gpr::rcx] = 0;
  EXPECT_TRUE(flow_of(rep_store(), &before).edges.empty());
  f = flow_of(rep_move());
  ASSERT_NE(edge_to(f, MemoryBytes{0, 0, 0}), nullptr);
  EXPECT_EQ(edge_to(f, MemoryBytes{0, 0, 0})->kind, FlowKind::unknown);
  EXPECT_FALSE(f.modelled);
}

TEST(DataFlow, WideVectors) {
  const auto* load = edge_to(flow_of(zmm_load()), vec(17, 0, 64));
  EXPECT_NE(load, nullptr);
  const DataFlow ymm = flow_of(ymm_load());
  ASSERT_NE(edge_to(ymm, vec(3, 0, 32)), nullptr);
  EXPECT_EQ(edge_to(ymm, vec(3, 0, 32))->kind, FlowKind::copy);
  ASSERT_NE(edge_to(ymm, vec(3, 32, 32)), nullptr);
  EXPECT_EQ(edge_to(ymm, vec(3, 32, 32))->kind, FlowKind::zero);
  for (const auto& e : flow_of(zmm_masked()).edges) EXPECT_NE(e.kind, FlowKind::copy);
  EXPECT_EQ(edge_to(flow_of(kmove()), RegisterBytes{RegisterClass::mask, 1, 0, 8})->kind,
            FlowKind::copy);
  for (const auto& e : flow_of(kzero()).edges) EXPECT_EQ(e.kind, FlowKind::zero);
  EXPECT_EQ(edge_to(flow_of(zmm_zero()), vec(5, 0, 64))->kind, FlowKind::zero);
  const DataFlow broadcast = flow_of(broadcast_register());
  EXPECT_EQ(broadcast.edges.size(), 8U);
  for (const auto& e : broadcast.edges)
    EXPECT_EQ(e.sources, std::vector<FlowPlace>{whole(Gpr::rax)});
  EXPECT_EQ(edge_to(flow_of(broadcast_memory()), vec(1, 0, 64))->kind, FlowKind::arithmetic);
  EXPECT_EQ(edge_to(flow_of(vzero()), vec(9, 16, 48))->kind, FlowKind::zero);
  EXPECT_EQ(edge_to(flow_of(vpxor_self()), vec(1, 0, 16))->kind, FlowKind::zero);
}

TEST(DataFlow, TheKernelsPart) {
  const DataFlow f = flow_of(sys());
  EXPECT_EQ(edge_to(f, whole(Gpr::rax))->kind, FlowKind::system_call);
  EXPECT_EQ(edge_to(f, whole(Gpr::rax))->sources.size(), 7U);
  EXPECT_EQ(edge_to(f, whole(Gpr::rcx))->kind, FlowKind::immediate);
  EXPECT_EQ(edge_to(f, whole(Gpr::rcx))->constant, 0x40'1002U);
  EXPECT_NE(edge_to(f, whole(Gpr::r11)), nullptr);
  EXPECT_EQ(edge_to(flow_of(sys32()), whole(Gpr::rax))->kind, FlowKind::system_call);
  const DataFlow tsc = flow_of(timestamp());
  EXPECT_FALSE(tsc.modelled);
}

TEST(DataFlow, Addresses) {
  const DataFlow g = flow_of(global());
  ASSERT_EQ(g.edges.size(), 1U);
  EXPECT_EQ(g.edges[0].kind, FlowKind::address);
  EXPECT_TRUE(g.edges[0].sources.empty());
  EXPECT_EQ(g.edges[0].constant, 0x40'1107U);
  EXPECT_EQ(flow_of(lea_copy()).edges.at(0).kind, FlowKind::copy);
  const DataFlow two = flow_of(lea_two());
  EXPECT_EQ(two.edges.at(0).kind, FlowKind::address);
  EXPECT_EQ(two.edges.at(0).linear_scale, 4);
  EXPECT_EQ(two.edges.at(0).sources, (std::vector<FlowPlace>{whole(Gpr::rbx), whole(Gpr::rcx)}));
  EXPECT_EQ(edge_to(flow_of(add_imm()), whole(Gpr::rbx))->constant, 0x10U);
  EXPECT_EQ(edge_to(flow_of(sub_imm()), whole(Gpr::rbx))->constant, std::uint64_t{0} - 0x10);
  EXPECT_EQ(edge_to(flow_of(sub_self()), whole(Gpr::rax))->kind, FlowKind::zero);
  const DataFlow memory = flow_of(add_memory());
  ASSERT_NE(edge_to(memory, MemoryBytes{0, 0, 8}), nullptr);
  EXPECT_EQ(edge_to(memory, MemoryBytes{0, 0, 8})->kind, FlowKind::arithmetic);
  EXPECT_EQ(edge_to(memory, MemoryBytes{0, 0, 8})->sources.size(), 2U);
}

TEST(DataFlow, OddOnes) {
  EXPECT_EQ(edge_to(flow_of(call_near()), MemoryBytes{0, 0, 8})->constant, 0x40'1005U);
  EXPECT_EQ(
      edge_to(flow_of(move_selector()), RegisterBytes{RegisterClass::segment_base, 0, 0, 8})->kind,
      FlowKind::arithmetic);
  EXPECT_EQ(edge_to(flow_of(direct_store()), MemoryBytes{1, 0, 64})->sources.at(0),
            FlowPlace(MemoryBytes{0, 0, 64}));
  EXPECT_FALSE(flow_of(enter_nested()).modelled);
  ASSERT_EQ(flow_of(compare()).edges.size(), 1U);
  EXPECT_EQ(flow_of(compare()).edges[0].destination,
            FlowPlace(RegisterBytes{RegisterClass::flags, 0, 0, 8}));
  bool writes = false;
  for (const auto& e : flow_of(scatter()).edges)
    writes = writes || std::holds_alternative<MemoryBytes>(e.destination);
  EXPECT_TRUE(writes);
}

TEST(DataFlow, AnEmptyInstructionHasNoFlow) {
  const DataFlow f = data_flow(Instruction{}, nullptr);
  EXPECT_TRUE(f.edges.empty());
  EXPECT_FALSE(f.modelled);
}

}  // namespace
}  // namespace culprit::x86
