#include "x86/instruction.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::x86 {
namespace {

constexpr Address kAt{0x40'1000};

Instruction first(std::span<const std::byte> code) {
  auto result = decode(code, kAt);
  EXPECT_TRUE(result.ok());
  return result.ok() ? *result : Instruction{};
}

bool has(const std::vector<RegisterBytes>& list, RegisterBytes r) {
  return std::find(list.begin(), list.end(), r) != list.end();
}

SNIPPET(store, "mov qword ptr [r12-0x8], r13")
SNIPPET(narrow, "mov eax, ecx")
SNIPPET(high, "mov ah, cl")
SNIPPET(relative, "mov rax, [rip+0x100]")
SNIPPET(tls, "mov rax, fs:[0x28]")
SNIPPET(push_memory, "push qword ptr [rsp+8]")
SNIPPET(pop_memory, "pop qword ptr [rsp+8]")
SNIPPET(call_near, ".byte 0xe8, 0, 1, 0, 0")
SNIPPET(call_register, "call rax")
SNIPPET(jump_slot, "jmp [rip+0x10]")
SNIPPET(jump_table, "jmp [rcx+rax*8]")
SNIPPET(jump_table_r12, "jmp [rcx+r12*8]")
SNIPPET(jump_stack, "jmp [rsp+8]")
SNIPPET(branch, ".byte 0x75, 0x1e")
SNIPPET(ret_plain, "ret")
SNIPPET(trap, "ud2")
SNIPPET(lea_only, "lea rax, [rbx+rcx*2]")
SNIPPET(wide_nop, "nop dword ptr [rax+rax]")
SNIPPET(rep_move, "rep movsq")
SNIPPET(gather, "vpgatherdd ymm0, [rax+ymm1*4], ymm2")
SNIPPET(masked, "vmovdqu64 zmm0{k1}, [rsi]")
SNIPPET(xchg_memory, "xchg [rax], rbx")
SNIPPET(bit_set, "lock bts [rbx], rcx")
SNIPPET(sys, "syscall")
SNIPPET(translate, "xlatb")

TEST(Instruction, OperandsWithWidthsAndFormulas) {
  const Instruction i = first(store());
  EXPECT_EQ(text(i), "mov qword ptr [r12-0x08], r13");
  EXPECT_EQ(i.category, Category::move);
  ASSERT_EQ(i.memory.size(), 1U);
  EXPECT_EQ(i.memory[0].base, Gpr::r12);
  EXPECT_EQ(i.memory[0].disp, -8);
  EXPECT_EQ(i.memory[0].size, 8U);
  EXPECT_TRUE(i.memory[0].written);
  EXPECT_FALSE(i.memory[0].read);
  EXPECT_TRUE(i.writes_memory());
  EXPECT_FALSE(i.reads_memory());
  EXPECT_TRUE(has(i.reads, whole(Gpr::r12)));
  EXPECT_TRUE(has(i.reads, whole(Gpr::r13)));
  EXPECT_TRUE(i.writes.empty());
}

TEST(Instruction, NarrowResultsWriteWhatTheyChange) {
  EXPECT_TRUE(has(first(narrow()).writes, whole(Gpr::rax)));
  EXPECT_TRUE(has(first(narrow()).reads, RegisterBytes{RegisterClass::gpr, 1, 0, 4}));
  EXPECT_EQ(first(high()).writes,
            std::vector<RegisterBytes>{(RegisterBytes{RegisterClass::gpr, 0, 1, 1})});
}

TEST(Instruction, RelativeAndSegmentAddresses) {
  const Instruction r = first(relative());
  ASSERT_EQ(r.memory.size(), 1U);
  EXPECT_TRUE(r.memory[0].rip_relative);
  EXPECT_EQ(effective_address(r.memory[0], Registers{}), r.end() + 0x100);
  Registers regs;
  regs.fs_base = 0x7000;
  EXPECT_EQ(effective_address(first(tls()).memory.at(0), regs), Address{0x7028});
  regs[Gpr::rbx] = 0x100;
  regs[Gpr::rax] = 0xff05;
  EXPECT_EQ(effective_address(first(translate()).memory.at(0), regs), Address{0x105});
}

TEST(Instruction, StackOperandsAreInTermsOfTheRegistersBefore) {
  Registers r;
  r[Gpr::rsp] = 0x1000;
  const Instruction push = first(push_memory());
  ASSERT_EQ(push.memory.size(), 2U);
  EXPECT_EQ(effective_address(push.memory[0], r), Address{0x1008});
  EXPECT_EQ(effective_address(push.memory[1], r), Address{0xff8});
  EXPECT_TRUE(push.memory[1].written);
  const Instruction pop = first(pop_memory());
  ASSERT_EQ(pop.memory.size(), 2U);
  EXPECT_EQ(effective_address(pop.memory[0], r), Address{0x1010});  // after rsp went up
  EXPECT_EQ(effective_address(pop.memory[1], r), Address{0x1000});
  const Instruction call = first(call_near());
  ASSERT_EQ(call.memory.size(), 1U);
  EXPECT_EQ(effective_address(call.memory[0], r), Address{0xff8});
}

TEST(Instruction, ControlFlow) {
  EXPECT_EQ(first(call_near()).flow, Flow::call);
  EXPECT_EQ(first(call_near()).target, kAt + 0x105);
  EXPECT_EQ(first(call_register()).flow, Flow::indirect_call);
  EXPECT_EQ(first(jump_slot()).flow, Flow::indirect_jump);
  EXPECT_EQ(first(branch()).flow, Flow::conditional);
  EXPECT_EQ(first(branch()).target, kAt + 0x20);
  EXPECT_EQ(first(ret_plain()).flow, Flow::ret);
  EXPECT_EQ(first(trap()).flow, Flow::stop);
  EXPECT_EQ(first(store()).flow, Flow::fallthrough);
  EXPECT_EQ(first(sys()).category, Category::system_call);
  EXPECT_FALSE(outline(jump_slot(), kAt)->table_jump);
  EXPECT_FALSE(outline(jump_stack(), kAt)->table_jump);
  EXPECT_TRUE(outline(jump_table(), kAt)->table_jump);
  EXPECT_TRUE(outline(jump_table_r12(), kAt)->table_jump);
  EXPECT_FALSE(outline(call_register(), kAt)->table_jump);
}

TEST(Instruction, AddressOnlyOperandsAreNoAccess) {
  EXPECT_TRUE(first(lea_only()).memory.empty());
  EXPECT_TRUE(has(first(lea_only()).reads, whole(Gpr::rcx)));
  EXPECT_EQ(first(lea_only()).category, Category::address);
  EXPECT_TRUE(first(wide_nop()).memory.empty());
}

TEST(Instruction, SpecialAccesses) {
  const Instruction rep = first(rep_move());
  EXPECT_TRUE(rep.repeated);
  EXPECT_EQ(rep.category, Category::string);
  ASSERT_EQ(rep.memory.size(), 2U);
  EXPECT_TRUE(rep.memory[0].repeated);
  EXPECT_EQ(rep.memory[0].size, 8U);
  EXPECT_TRUE(has(rep.writes, whole(Gpr::rcx)));
  EXPECT_TRUE(first(gather()).memory.at(0).no_single_address);
  EXPECT_TRUE(first(masked()).memory.at(0).conditional);
  EXPECT_TRUE(first(xchg_memory()).locked);
  EXPECT_EQ(first(xchg_memory()).category, Category::atomic);
  EXPECT_TRUE(first(bit_set()).locked);
  EXPECT_TRUE(first(bit_set()).memory.at(0).bit_offset.has_value());
}

TEST(Instruction, RefusesWhatIsNoInstruction) {
  EXPECT_EQ(decode({}, kAt).error().code, ErrorCode::bad_input);
  // Cut off, and an opcode that 64-bit mode does not have (push es).
  EXPECT_FALSE(decode(store().first(3), kAt).ok());
  const std::byte none[] = {std::byte{0x06}};
  EXPECT_FALSE(decode(none, kAt).ok());
  EXPECT_FALSE(outline(none, kAt).ok());
  const testing::CodeReader code(kAt, store());
  EXPECT_TRUE(decode_at(code, kAt).ok());
  EXPECT_FALSE(decode_at(code, kAt - 1).ok());
  // The code ends in the middle of an instruction.
  EXPECT_FALSE(decode_at(testing::CodeReader(kAt, store().first(4)), kAt).ok());
  EXPECT_EQ(text(Instruction{}), "(bad)");
}

}  // namespace
}  // namespace culprit::x86
