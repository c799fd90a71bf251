#include "provenance/slice/static_slice.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <random>

#include "x86/testing/instruction_templates.h"
#include "x86/testing/snippet.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

using x86::RegisterBytes;
using x86::RegisterClass;
using x86::whole;

constexpr Address kStart{0x40'1000};

// The address of the k-th instruction of the code (from 0); negative counts from the end.
Address nth(std::span<const std::byte> code, int k) {
  std::vector<Address> all;
  for (std::size_t at = 0; at < code.size();) {
    const Address here = kStart + static_cast<std::int64_t>(at);
    const auto o = x86::outline(code.subspan(at), here);
    if (!o.ok()) break;
    all.push_back(here);
    at += o->length;
  }
  return all.at(static_cast<std::size_t>(k < 0 ? k + static_cast<int>(all.size()) : k));
}

Registers some_registers() {
  Registers r;
  for (std::size_t i = 0; i < 16; ++i) r.gpr[i] = 0x7f00'0000'0000 + 0x10'0000 * i;
  r.fs_base = 0x7fff'0000;
  return r;
}

// Some registers as the code must have left them.
Registers with(std::initializer_list<std::pair<Gpr, std::uint64_t>> values) {
  Registers r = some_registers();
  for (const auto& [reg, value] : values) r[reg] = value;
  return r;
}

// What feeds `asked` just before instruction k.
StaticSlice before(std::span<const std::byte> code, int k,
                   std::variant<RegisterBytes, ByteRange, StoredBytes> asked,
                   Registers registers = some_registers(), std::uint16_t known = 0xffff,
                   CallConvention convention = CallConvention::system_v) {
  StaticQuery query;
  query.code = code;
  query.function = kStart;
  query.instruction = nth(code, k);
  query.after = false;
  query.asked = asked;
  query.registers = registers;
  query.known = known;
  query.convention = convention;
  auto result = slice_static(query);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : StaticSlice{};
}

StaticSlice stored(std::span<const std::byte> code, int k, Registers registers = some_registers(),
                   std::uint32_t size = 8) {
  StaticQuery query;
  query.code = code;
  query.function = kStart;
  query.instruction = nth(code, k);
  query.asked = StoredBytes{0, 0, size};
  query.registers = registers;
  auto result = slice_static(query);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : StaticSlice{};
}

SNIPPET(load_then_store, "mov rax, [rdi+0x10]\n mov [rsi], rax\n ret")

TEST(StaticSlice, AStoreComesFromTheLoadBeforeIt) {
  const auto slice = stored(load_then_store(), 1);
  ASSERT_EQ(slice.pieces.size(), 1U);
  const StaticPiece& p = slice.pieces[0];
  EXPECT_EQ(p.end, StaticEnd::load);
  EXPECT_EQ(p.pc, nth(load_then_store(), 0));
  EXPECT_EQ(p.address, Address{some_registers()[Gpr::rdi] + 0x10});
  EXPECT_EQ(p.certainty, Certainty::proved);
  EXPECT_EQ(p.size, 8U);
  ASSERT_EQ(p.path.size(), 2U);
  EXPECT_EQ(p.path[0].pc, nth(load_then_store(), 1));
  EXPECT_EQ(p.path[0].to, Place(ByteRange{Address{some_registers()[Gpr::rsi]}, 8}));
  EXPECT_EQ(p.path[1].from, Place(ByteRange{*p.address, 8}));
}

SNIPPET(undone_steps,
        "mov rax, [rdi+8]\n add rdi, 0x20\n lea rdi, [rdi-4]\n inc rdi\n push rbx\n"
        "mov rdx, rdi\n xchg rdx, rcx\n xor edi, edi\n sub rcx, 3\n nop")

TEST(StaticSlice, AnAddressIsRecoveredThroughStepsThatCanBeUndone) {
  const auto slice = before(undone_steps(), -1, whole(Gpr::rax), with({{Gpr::rdi, 0}}));
  ASSERT_EQ(slice.pieces.size(), 1U);
  // rdi itself is gone, but rcx holds it, moved by +0x20 -4 +1 -3.
  EXPECT_EQ(slice.pieces[0].address, Address{some_registers()[Gpr::rcx] + 3 - 1 + 4 - 0x20 + 8});
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::proved);
}

SNIPPET(two_operand_step,
        "mov rax, [rdi]\n add rdi, rsi\n lea rdx, [rdi+rsi*4+1]\n xor edi, edi\n nop")

TEST(StaticSlice, AnAddressIsRecoveredThroughASumWithAKnownRegister) {
  const Registers r = some_registers();
  const auto slice = before(two_operand_step(), -1, whole(Gpr::rax), with({{Gpr::rdi, 0}}));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].address, Address{r[Gpr::rdx] - 1 - r[Gpr::rsi] * 4 - r[Gpr::rsi]});
}

SNIPPET(lost_address, "mov rax, [rdi]\n mov rdi, [rdi+8]\n nop")

TEST(StaticSlice, ALostAddressIsSaidToBeLostAndItsInstructionNamed) {
  const auto slice = before(lost_address(), -1, whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_FALSE(slice.pieces[0].address.has_value());
  EXPECT_EQ(slice.pieces[0].pc, nth(lost_address(), 0));
  EXPECT_EQ(slice.pieces[0].operand->base, Gpr::rdi);
}

TEST(StaticSlice, UnknownRegistersAtTheEndGiveNoAddress) {
  const auto slice = before(load_then_store(), 1, whole(Gpr::rax), some_registers(),
                            static_cast<std::uint16_t>(~(1U << 7)));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_FALSE(slice.pieces[0].address.has_value());
}

SNIPPET(
    spilled,
    "mov [rsp+8], rdi\n mov [rsp+0x10], rsi\n mov eax, 5\n push rax\n mov rdx, [rsp+0x10]\n nop")

TEST(StaticSlice, AStackSlotIsFollowedToItsStore) {
  // The push moved rsp: [rsp+0x10] after it is [rsp+8] before.
  const auto slice = before(spilled(), -1, whole(Gpr::rdx), with({{Gpr::rax, 5}}));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::argument);
  EXPECT_EQ(slice.pieces[0].place, Place(whole(Gpr::rdi)));
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::proved);
  // Without any known register the formulas alone are enough.
  const auto symbolic = before(spilled(), -1, whole(Gpr::rdx), some_registers(), 0);
  ASSERT_EQ(symbolic.pieces.size(), 1U);
  EXPECT_EQ(symbolic.pieces[0].place, Place(whole(Gpr::rdi)));
}

SNIPPET(
    alias,
    "mov [rsp+8], rdi\n mov rcx, [rsi]\n mov [rcx], rax\n xor ecx, ecx\n mov rdx, [rsp+8]\n nop")

TEST(StaticSlice, APossibleAliasEndsTheSearchAtTheLoad) {
  const auto slice = before(alias(), -1, whole(Gpr::rdx), with({{Gpr::rcx, 0}}));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].address, Address{some_registers()[Gpr::rsp] + 8});
  EXPECT_NE(slice.pieces[0].note.find("may be to the same address"), std::string::npos);
}

SNIPPET(partial_store, "mov [rsp+8], rdi\n mov word ptr [rsp+0xa], 0x1234\n mov rdx, [rsp+8]\n nop")

TEST(StaticSlice, PartsOfAWordGoDifferentWays) {
  const auto slice = before(partial_store(), -1, whole(Gpr::rdx));
  ASSERT_EQ(slice.pieces.size(), 3U);
  EXPECT_EQ(slice.pieces[0].place, Place(RegisterBytes{RegisterClass::gpr, 7, 0, 2}));
  EXPECT_EQ(slice.pieces[1].end, StaticEnd::immediate);
  EXPECT_EQ(slice.pieces[1].constant, 0x1234U);
  EXPECT_EQ(slice.pieces[1].offset, 2U);
  EXPECT_EQ(slice.pieces[2].place, Place(RegisterBytes{RegisterClass::gpr, 7, 4, 4}));
}

SNIPPET(widened, "movzx eax, byte ptr [rdi]\n nop")

TEST(StaticSlice, ZeroExtensionIsAConstantPart) {
  const auto slice = before(widened(), -1, whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 2U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].size, 1U);
  EXPECT_EQ(slice.pieces[1].end, StaticEnd::zero);
  EXPECT_EQ(slice.pieces[1].size, 7U);
}

SNIPPET(
    computed,
    "mov rax, [rdi]\n and rax, -8\n lea rdx, [rax+rcx*8+0x10]\n imul r8, rdx\n mov r9d, 7\n nop")

TEST(StaticSlice, ComputationsNameTheirInputs) {
  auto slice = before(computed(), -1, whole(Gpr::rdx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::address);
  ASSERT_EQ(slice.pieces[0].inputs.size(), 2U);
  EXPECT_EQ(slice.pieces[0].inputs[0], x86::FlowPlace(whole(Gpr::rax)));
  EXPECT_EQ(slice.pieces[0].constant, 0x10U);
  slice = before(computed(), -1, whole(Gpr::r8));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::arithmetic);
  slice = before(computed(), -1, whole(Gpr::r9));
  ASSERT_EQ(slice.pieces.size(), 2U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::immediate);
  EXPECT_EQ(slice.pieces[0].constant, 7U);
  EXPECT_EQ(slice.pieces[1].end, StaticEnd::zero);
  // Seven of the eight bytes survive the mask.
  slice = before(computed(), 2, whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 2U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::arithmetic);
  EXPECT_EQ(slice.pieces[1].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[1].size, 7U);
  EXPECT_EQ(slice.pieces[1].address, Address{some_registers()[Gpr::rdi] + 1});
}

SNIPPET(branches,
        "mov rax, [rdi]\n test rsi, rsi\n je 1f\n mov rdx, rax\n nop\n"
        "1: mov rcx, rax\n nop\n jmp 2f\n nop\n 2: mov r8, rcx\n nop")

TEST(StaticSlice, WalksPastBranchesNotTakenButNotPastJoins) {
  // Not taken: only one way leads to the instruction after je.
  auto slice = before(branches(), 4, whole(Gpr::rdx), with({{Gpr::rax, 7}, {Gpr::rdx, 7}}));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::proved);
  // Label 1 is reached in two ways.
  slice = before(branches(), 6, whole(Gpr::rcx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::live_in);
  EXPECT_EQ(slice.pieces[0].pc, nth(branches(), 5));
  EXPECT_EQ(slice.pieces[0].place, Place(whole(Gpr::rax)));
}

SNIPPET(single_jump, "mov rax, [rdi]\n jmp 1f\n 2: nop\n ret\n 1: mov rcx, rax\n nop\n ret")

TEST(StaticSlice, WalksBackOverTheOnlyJump) {
  const auto slice = before(single_jump(), 5, whole(Gpr::rcx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
}

SNIPPET(endless, "ret\n 1: nop\n jmp 1b\n 2: nop\n jmp 2b")

TEST(StaticSlice, ALoopWithoutEntryEnds) {
  const auto slice = before(endless(), 4, whole(Gpr::rcx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::live_in);
}

SNIPPET(over_call,
        "mov rbx, [rdi]\n mov r12, rsi\n mov rdx, [rdi+8]\n .byte 0xe8, 0xfb, 0x0f, 0, 0\n mov rcx, rbx\n mov r8, "
        "rax\n nop")

TEST(StaticSlice, CallsClobberByConvention) {
  auto slice = before(over_call(), -1, whole(Gpr::rcx));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::likely);
  EXPECT_FALSE(slice.pieces[0].address.has_value());
  slice = before(over_call(), -1, whole(Gpr::r8));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::call_result);
  EXPECT_EQ(slice.pieces[0].pc, nth(over_call(), 3));
  EXPECT_EQ(slice.pieces[0].place, Place(whole(Gpr::rax)));
  slice = before(over_call(), -1, whole(Gpr::rdi));
  EXPECT_EQ(slice.pieces.at(0).end, StaticEnd::call_clobbered);
  // Go preserves nothing but the stack, the frame pointer and g.
  slice = before(over_call(), -1, whole(Gpr::rcx), some_registers(), 0xffff,
                 CallConvention::go_internal);
  EXPECT_EQ(slice.pieces.at(0).end, StaticEnd::call_result);
  slice = before(over_call(), -1, whole(Gpr::r12), some_registers(), 0xffff,
                 CallConvention::go_internal);
  EXPECT_EQ(slice.pieces.at(0).end, StaticEnd::call_clobbered);
}

TEST(StaticSlice, AKnownFunctionKeepsWhatItIsKnownToKeep) {
  StaticQuery query;
  const auto code = over_call();
  query.code = code;
  query.function = kStart;
  query.instruction = nth(code, -1);
  query.after = false;
  query.asked = whole(Gpr::rcx);
  query.registers = some_registers();
  query.registers[Gpr::rcx] = query.registers[Gpr::rbx];  // as the code leaves them
  query.registers[Gpr::r8] = query.registers[Gpr::rax];
  query.convention = CallConvention::go_internal;
  Address asked_target;
  query.kept_by = [&](Address target) -> std::uint16_t {
    asked_target = target;
    return 1U << static_cast<unsigned>(Gpr::rdi) | 1U << static_cast<unsigned>(Gpr::rbx);
  };
  const auto kept = slice_static(query);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(kept->pieces.at(0).end, StaticEnd::load);
  EXPECT_EQ(kept->pieces.at(0).address, Address{some_registers()[Gpr::rdi]});
  EXPECT_EQ(kept->pieces.at(0).certainty, Certainty::proved);
  EXPECT_NE(asked_target, Address{});
  query.asked = whole(Gpr::r12);
  const auto other = slice_static(query);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->pieces.at(0).end, StaticEnd::call_clobbered);
}

SNIPPET(memory_over_call, "mov [rsp+8], rdi\n .byte 0xe8, 0xfb, 0x0f, 0, 0\n mov rax, [rsp+8]\n nop")

TEST(StaticSlice, MemoryIsNotFollowedPastACall) {
  const auto slice = before(memory_over_call(), -1, whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].address, Address{some_registers()[Gpr::rsp] + 8});
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::proved);
}

SNIPPET(jump_table,
        "mov rax, [rdi]\n lea rcx, [rip]\n cmp rsi, 5\n ja 1f\n jmp [rcx+rsi*8]\n 1: mov rdx, "
        "rax\n nop")

TEST(StaticSlice, JumpTablesMakeEverythingLikely) {
  const auto slice = before(jump_table(), -1, whole(Gpr::rdx));
  EXPECT_TRUE(slice.indirect_jumps);
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::likely);
  EXPECT_FALSE(slice.pieces[0].note.empty());
}

SNIPPET(tail_call,
        "mov rax, [rdi]\n test rsi, rsi\n je 1f\n jmp [rip+0x100]\n 1: mov rdx, rax\n nop")

TEST(StaticSlice, ATailCallThroughASlotIsNoJumpTable) {
  const auto slice = before(tail_call(), -1, whole(Gpr::rdx), with({{Gpr::rax, 7}, {Gpr::rdx, 7}}));
  EXPECT_FALSE(slice.indirect_jumps);
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].certainty, Certainty::proved);
}

SNIPPET(vectors,
        "movdqu xmm0, [rdi]\n movups xmm1, [rdi+0x10]\n punpcklqdq xmm0, xmm1\n movups [rsi], "
        "xmm0\n nop")

TEST(StaticSlice, VectorsAreFollowedByTheByte) {
  const Registers r = some_registers();
  const auto slice = stored(vectors(), 3, r, 16);
  ASSERT_EQ(slice.pieces.size(), 2U);
  EXPECT_EQ(slice.pieces[0].address, Address{r[Gpr::rdi]});
  EXPECT_EQ(slice.pieces[0].size, 8U);
  EXPECT_EQ(slice.pieces[1].address, Address{r[Gpr::rdi] + 0x10});
  EXPECT_EQ(slice.pieces[1].offset, 8U);
}

SNIPPET(exchange, "mov rax, [rdi]\n lock cmpxchg [rsi], rdx\n nop")

TEST(StaticSlice, ACompareExchangeIsDecidedByTheFlagsAfterIt) {
  Registers r = some_registers();
  r.rflags = 0x246;  // ZF: stored
  auto slice = stored(exchange(), 1, r);
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::argument);
  EXPECT_EQ(slice.pieces[0].place, Place(whole(Gpr::rdx)));
  // As part of the way back to a later moment it stays open.
  slice = before(exchange(), -1, ByteRange{Address{r[Gpr::rsi]}, 8}, r);
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::select);
}

SNIPPET(string_store, "mov rsi, rdx\n rep movsq\n nop")

TEST(StaticSlice, ARepIsSlicedForTheElementJustWritten) {
  Registers r = some_registers();
  r[Gpr::rcx] = 3;
  const auto slice = stored(string_store(), 1, r);
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice.pieces[0].address, Address{r[Gpr::rsi] - 8});
  ASSERT_FALSE(slice.pieces[0].path.empty());
  EXPECT_EQ(slice.pieces[0].path[0].to, Place(ByteRange{Address{r[Gpr::rdi] - 8}, 8}));
}

SNIPPET(own_address, "mov rax, [rax]\n nop")

TEST(StaticSlice, ARegisterThatOverwritesItsOwnAddress) {
  const auto slice = before(own_address(), -1, whole(Gpr::rax));
  ASSERT_EQ(slice.pieces.size(), 1U);
  EXPECT_EQ(slice.pieces[0].end, StaticEnd::load);
  EXPECT_FALSE(slice.pieces[0].address.has_value());
}

SNIPPET(contradiction, "mov rbx, rdi\n mov rcx, rdi\n mov rax, [rdx]\n nop")

TEST(StaticSlice, RegistersThatContradictTheCodeMakeItLikelyOnly) {
  const auto slice = before(contradiction(), -1, whole(Gpr::rax));
  EXPECT_EQ(slice.pieces.at(0).certainty, Certainty::likely);
  EXPECT_NE(slice.pieces.at(0).note.find("contradict"), std::string::npos);
}

TEST(StaticSlice, RefusesWhatItCannotAnswer) {
  StaticQuery query;
  query.code = load_then_store();
  query.function = kStart;
  query.asked = whole(Gpr::rax);
  query.instruction = kStart + 1;  // inside an instruction
  EXPECT_EQ(slice_static(query).error().code, ErrorCode::bad_input);
  query.instruction = kStart - 1;
  EXPECT_FALSE(slice_static(query).ok());
  query.instruction = kStart;
  query.asked = ByteRange{kStart, 65};
  EXPECT_FALSE(slice_static(query).ok());
  query.asked = StoredBytes{0, 0, 8};  // the load stores nothing
  EXPECT_FALSE(slice_static(query).ok());
  query.instruction = nth(load_then_store(), 1);
  query.asked = StoredBytes{0, 4, 8};
  EXPECT_FALSE(slice_static(query).ok());
  query.asked = StoredBytes{7, 0, 8};
  EXPECT_FALSE(slice_static(query).ok());
  query.asked = RegisterBytes{RegisterClass::gpr, 0, 7, 2};
  EXPECT_FALSE(slice_static(query).ok());
  query.code = {};
  query.asked = whole(Gpr::rax);
  EXPECT_FALSE(slice_static(query).ok());
}

// --- the Go runtime ------------------------------------------------------------------------------

std::vector<std::byte> golden(const std::string& name) {
  std::ifstream file(std::string(CULPRIT_SOURCE_DIR) + "/src/provenance/slice/testdata/" + name);
  std::vector<std::byte> result;
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    for (std::size_t i = 0; i + 1 < line.size(); i += 2)
      result.push_back(
          static_cast<std::byte>(std::strtoul(line.substr(i, 2).c_str(), nullptr, 16)));
  }
  return result;
}

TEST(StaticSlice, GoWriteBarrierStoresWhatItLoadsFromTheSlot) {
  const auto code = golden("go1.19.8-runtime.gcWriteBarrier.hex");
  ASSERT_EQ(code.size(), 227U);
  StaticQuery query;
  query.code = code;
  query.function = Address{0x457ac0};
  query.instruction = Address{0x457b05};  // mov [r12-8], r13
  query.asked = StoredBytes{0, 0, 8};
  query.registers = some_registers();
  query.registers[Gpr::rdi] = 0xc000'0123'4560;
  query.registers[Gpr::rbp] = query.registers[Gpr::rsp] + 0x70;
  query.convention = CallConvention::go_internal;
  auto slice = slice_static(query);
  ASSERT_TRUE(slice.ok()) << slice.error().message;
  ASSERT_EQ(slice->pieces.size(), 1U);
  EXPECT_EQ(slice->pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice->pieces[0].pc, Address{0x457b02});  // mov r13, [rdi]
  EXPECT_EQ(slice->pieces[0].address, Address{0xc000'0123'4560});
  EXPECT_EQ(slice->pieces[0].certainty, Certainty::proved);
  // The pair's other half is the new value, the function's argument in rax.
  query.instruction = Address{0x457afd};
  slice = slice_static(query);
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(slice->pieces.at(0).end, StaticEnd::argument);
  EXPECT_EQ(slice->pieces.at(0).place, Place(whole(Gpr::rax)));
}

TEST(StaticSlice, GoCopystackStoresTheSpilledOldStack) {
  const auto code = golden("go1.19.8-runtime.copystack.hex");
  StaticQuery query;
  query.code = code;
  query.function = Address{0x446aa0};
  query.instruction = Address{0x446bb8};  // mov [rsp+0x88], rcx
  query.asked = StoredBytes{0, 0, 8};
  query.registers = some_registers();
  query.convention = CallConvention::go_internal;
  const auto slice = slice_static(query);
  ASSERT_TRUE(slice.ok()) << slice.error().message;
  ASSERT_EQ(slice->pieces.size(), 1U);
  EXPECT_EQ(slice->pieces[0].end, StaticEnd::load);
  EXPECT_EQ(slice->pieces[0].pc, Address{0x446bb3});  // mov rcx, [rsp+0x78], after a call
  EXPECT_EQ(slice->pieces[0].address, Address{query.registers[Gpr::rsp] + 0x78});
  EXPECT_EQ(slice->pieces[0].certainty, Certainty::proved);
  // And where that slot was filled: gp.stack.lo, whose gp is the function's argument.
  query.instruction = Address{0x446af9};  // mov [rsp+0x78], rdx
  const auto spill = slice_static(query);
  ASSERT_TRUE(spill.ok());
  EXPECT_EQ(spill->pieces.at(0).end, StaticEnd::load);
  EXPECT_EQ(spill->pieces.at(0).pc, Address{0x446ad8});  // mov rdx, [rax]
  EXPECT_EQ(spill->pieces.at(0).address, Address{query.registers[Gpr::rax]});
}

// --- against real executions ---------------------------------------------------------------------

using x86::testing::kCode;
using x86::testing::kData;
using x86::testing::Snapshot;

std::optional<std::vector<std::byte>> bytes_at(const Snapshot& s, const Place& place) {
  return std::visit([&s](const auto& p) { return s.bytes(p); }, place);
}

// What a piece claims must be what the run held; returns whether anything was compared.
bool holds(const std::vector<Snapshot>& log, std::size_t moment, const StaticPiece& piece,
           const std::vector<std::byte>& value) {
  // The last execution of the instruction before the moment.
  std::size_t at = moment;
  while (at > 0 && log[at].registers.pc() != piece.pc) --at;
  switch (piece.end) {
    case StaticEnd::load: {
      if (!piece.address) return false;
      const auto then = bytes_at(log[at], ByteRange{*piece.address, piece.size});
      if (!then) return false;
      EXPECT_EQ(*then, value);
      return true;
    }
    case StaticEnd::argument:
    case StaticEnd::live_in: {
      const auto then = bytes_at(log[at], *piece.place);
      if (!then) return false;
      EXPECT_EQ(*then, value);
      return true;
    }
    case StaticEnd::immediate:
    case StaticEnd::zero:
      for (std::size_t i = 0; i < value.size(); ++i) {
        EXPECT_EQ(value[i], i < 8 ? static_cast<std::byte>(piece.constant.value_or(0) >> (8 * i))
                                  : std::byte{0});
      }
      return true;
    case StaticEnd::memory_at_end: {
      if (!piece.address) return false;
      const auto then = bytes_at(log[at], ByteRange{*piece.address, piece.size});
      // The stop is before the instruction that may have written it.
      const auto after = bytes_at(log[at + 1], ByteRange{*piece.address, piece.size});
      if (then || after) {
        EXPECT_TRUE(then == value || after == value);
      }
      return then.has_value();
    }
    default:
      return false;
  }
}

TEST(StaticSlice, RealExecutionsHoldWhatTheSliceProves) {
  const auto all = x86::testing::templates();
  std::size_t compared = 0;
  std::size_t loads = 0;
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    std::mt19937_64 random(seed * 104729);
    std::vector<std::byte> program;
    for (int i = 0; i < 80; ++i) {
      const auto& t = all[random() % all.size()];
      program.insert(program.end(), t.code.begin(), t.code.end());
    }
    x86::testing::RunSpec spec;
    spec.code = program;
    spec.stop = kCode + static_cast<std::int64_t>(program.size());
    spec.seed = seed;
    const auto log = x86::testing::run_stepped(spec);
    if (!log.ok() && log.error().message.find("PTRACE") != std::string::npos)
      GTEST_SKIP() << log.error().message;
    ASSERT_TRUE(log.ok()) << log.error().message;
    for (int k = 0; k < 60; ++k) {
      const std::size_t moment = 1 + random() % (log->size() - 2);
      StaticQuery query;
      query.code = program;
      query.function = kCode;
      query.registers = (*log)[moment].registers;
      // Before the next instruction, or after the one just executed: the same moment.
      query.after = random() % 2 == 0;
      query.instruction = (*log)[query.after ? moment - 1 : moment].registers.pc();
      Place asked = whole(static_cast<Gpr>(random() % 16));
      if (random() % 3 == 0)
        asked =
            RegisterBytes{RegisterClass::vector, static_cast<std::uint8_t>(random() % 4), 0, 16};
      if (random() % 3 == 0)
        asked = ByteRange{kData + static_cast<std::int64_t>(0x3d0 + random() % 0xa0), 8};
      if (const auto* r = std::get_if<RegisterBytes>(&asked)) {
        query.asked = *r;
      } else {
        query.asked = std::get<ByteRange>(asked);
      }
      SCOPED_TRACE("seed " + std::to_string(seed) + " moment " + std::to_string(moment) +
                   " asked " + to_string(asked));
      const auto slice = slice_static(query);
      ASSERT_TRUE(slice.ok()) << slice.error().message;
      const auto value = bytes_at((*log)[moment], asked);
      ASSERT_TRUE(value.has_value());
      std::uint32_t next = 0;
      for (const StaticPiece& piece : slice->pieces) {
        SCOPED_TRACE(std::string(to_string(piece.end)) + " at " + to_hex(piece.pc));
        EXPECT_EQ(piece.offset, next);
        next = piece.offset + piece.size;
        if (piece.certainty != Certainty::proved) continue;
        const std::vector<std::byte> part(value->begin() + piece.offset,
                                          value->begin() + piece.offset + piece.size);
        if (holds(*log, moment, piece, part)) ++compared;
        if (piece.end == StaticEnd::load && piece.address) ++loads;
      }
      EXPECT_EQ(next, value->size());
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(compared, 300U);
  EXPECT_GT(loads, 100U);
}

}  // namespace
}  // namespace culprit::provenance
