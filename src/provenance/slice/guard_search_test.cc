#include "provenance/slice/guard_search.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

#include "x86/instruction.h"
#include "x86/testing/snippet.h"

namespace culprit::provenance {
namespace {

constexpr Address kStart{0x40'1000};

// The address of the k-th instruction of the code.
Address nth(std::span<const std::byte> code, int k, Address start = kStart) {
  Address here = start;
  for (std::size_t at = 0; at < code.size() && k > 0; --k) {
    const auto o = x86::outline(code.subspan(at), here);
    if (!o.ok()) break;
    at += o->length;
    here = here + o->length;
  }
  return here;
}

GuardSearch search(std::span<const std::byte> code, int failing) {
  const CodePart part{kStart, code};
  auto found = find_guards(std::span(&part, 1), kStart, nth(code, failing));
  EXPECT_TRUE(found.ok());
  return found.ok() ? *std::move(found) : GuardSearch{};
}

SNIPPET(compare_and_call,
        "cmp rsi, rax\n jae 1f\n mov rax, [rdx+rsi*8]\n ret\n 1: sub rsp, 8\n lea rdi, [rip]\n"
        "call 1b\n")

TEST(GuardSearch, FindsTheCompareOfTheBranchThatLeadsToTheCall) {
  const GuardSearch found = search(compare_and_call(), 6);
  ASSERT_EQ(found.guards.size(), 1U);
  EXPECT_EQ(found.guards[0], (Guard{nth(compare_and_call(), 1), nth(compare_and_call(), 0),
                                    Relation::unsigned_order}));
  EXPECT_FALSE(found.always);
}

// Unoptimised gcc: the comparison becomes a boolean, a long, and a boolean again; then a second
// condition whose two sides come together again before the call.
SNIPPET(boolean_again,
        "call 9f\n cmp [rbp-16], rax\n setae al\n movzx eax, al\n test rax, rax\n setne al\n test "
        "al, al\n"
        "je 3f\n call 9f\n test al, al\n je 1f\n mov eax, 1\n jmp 2f\n 1: mov eax, 0\n"
        "2: test al, al\n call 9f\n 3: leave\n ret\n 9: ret\n")

TEST(GuardSearch, GoesThroughBooleansAndPastBranchesThatDecideNothing) {
  const auto code = boolean_again();
  const GuardSearch found = search(code, 15);
  ASSERT_EQ(found.guards.size(), 1U);
  EXPECT_EQ(found.guards[0], (Guard{nth(code, 7), nth(code, 1), Relation::unsigned_order}));
}

SNIPPET(inverted, "cmp eax, ecx\n setl al\n xor al, -1\n test al, 1\n jne 1f\n ret\n 1: call 1b\n")

TEST(GuardSearch, GoesThroughAnInversion) {
  const GuardSearch found = search(inverted(), 6);
  ASSERT_EQ(found.guards.size(), 1U);
  EXPECT_EQ(found.guards[0].test, kStart);
  EXPECT_EQ(found.guards[0].relation, Relation::signed_order);
}

// A boolean that a call returned: what it was made of is not in this function.
SNIPPET(result_of_call, "call 2f\n test al, al\n je 1f\n ret\n 1: call 1b\n 2: ret\n")

TEST(GuardSearch, StopsAtTheResultOfACall) {
  const GuardSearch found = search(result_of_call(), 4);
  ASSERT_EQ(found.guards.size(), 1U);
  EXPECT_EQ(found.guards[0].test, nth(result_of_call(), 1));
  EXPECT_EQ(found.guards[0].relation, Relation::equality);
}

SNIPPET(two_checks, "test rdi, rdi\n je 1f\n cmp rsi, 16\n ja 1f\n ret\n 1: push rax\n call 1b\n")

TEST(GuardSearch, NamesEachCheckThatLeadsToOneFailure) {
  const GuardSearch found = search(two_checks(), 6);
  ASSERT_EQ(found.guards.size(), 2U);
  EXPECT_EQ(found.guards[0].test, nth(two_checks(), 0));
  EXPECT_EQ(found.guards[1].test, nth(two_checks(), 2));
}

SNIPPET(unconditional, "push rbp\n lea rdi, [rip]\n call abs\n")

TEST(GuardSearch, SaysThatTheFunctionAlwaysFails) {
  const GuardSearch found = search(unconditional(), 2);
  EXPECT_TRUE(found.guards.empty());
  EXPECT_TRUE(found.always);
}

SNIPPET(trap, "test edi, edi\n js 1f\n ret\n 1: ud2\n")

TEST(GuardSearch, TakesATrapForAFailure) {
  const GuardSearch found = search(trap(), 3);
  ASSERT_EQ(found.guards.size(), 1U);
  EXPECT_EQ(found.guards[0].relation, Relation::sign);
}

// The jump to a cold part: its distance is patched in, since the parts lie apart.
TEST(GuardSearch, FollowsAJumpIntoAColdPart) {
  const std::array<std::byte, 6> hot = {std::byte{0x48}, std::byte{0x85},
                                        std::byte{0xff},                   // test rdi, rdi
                                        std::byte{0x74}, std::byte{0x3b},  // je +0x3b
                                        std::byte{0xc3}};
  const std::array<std::byte, 6> cold = {std::byte{0x50}, std::byte{0xe8}, std::byte{0},
                                         std::byte{0},    std::byte{0},    std::byte{0}};
  const Address cold_start = kStart + 0x40;
  const std::array<CodePart, 2> parts = {CodePart{cold_start, cold}, CodePart{kStart, hot}};
  const auto found = find_guards(parts, kStart, cold_start + 1);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->guards.size(), 1U);
  EXPECT_EQ(found->guards[0].test, kStart);
}

SNIPPET(virtual_calls,
        "mov rax, [rdi]\n call [rax+16]\n"
        "mov rax, [rbx]\n add rax, 16\n mov r12, [rax]\n call 1f\n mov rdx, r12\n call rdx\n"
        "mov rdx, [rax]\n call 1f\n call rdx\n call [rip]\n 1: ret\n")

TEST(TargetLoad, IsTheCallItselfOrTheLoadThatItsRegisterComesFrom) {
  const auto code = virtual_calls();
  const CodePart part{kStart, code};
  const auto load = [&](int call) { return find_target_load(part, nth(code, call)); };
  ASSERT_TRUE(load(1).ok() && *load(1));
  EXPECT_EQ((*load(1))->at, nth(code, 1));
  EXPECT_EQ((*load(1))->base, Gpr::rax);
  ASSERT_TRUE(load(7).ok() && *load(7)) << "a register that calls leave alone";
  EXPECT_EQ((*load(7))->at, nth(code, 4));
  EXPECT_EQ((*load(7))->base, Gpr::rax);
  ASSERT_TRUE(load(10).ok());
  EXPECT_FALSE(*load(10)) << "rdx does not live across a call";
  ASSERT_TRUE(load(11).ok());
  EXPECT_FALSE(*load(11)) << "a fixed place is no object's table";
  ASSERT_TRUE(load(5).ok());
  EXPECT_FALSE(*load(5)) << "a direct call";
  EXPECT_FALSE(find_target_load(part, kStart + 1).ok());
}

TEST(GuardSearch, RefusesAnAddressThatIsNoInstruction) {
  const CodePart part{kStart, compare_and_call()};
  EXPECT_FALSE(find_guards(std::span(&part, 1), kStart, kStart + 1).ok());
  EXPECT_FALSE(find_guards({}, kStart, kStart).ok());
}

TEST(GuardSearch, TakesAnyBytes) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::byte> code(random() % 200);
    for (std::byte& b : code) b = static_cast<std::byte>(random());
    const CodePart part{kStart, code};
    const auto found = find_guards(std::span(&part, 1), kStart,
                                   kStart + static_cast<std::int64_t>(random() % 200));
    if (!found.ok()) continue;
    for (const Guard& guard : found->guards) {
      EXPECT_NE(guard.test, guard.branch);
      EXPECT_TRUE((ByteRange{kStart, code.size()}.contains(guard.test)));
    }
    (void)find_target_load(part, kStart + static_cast<std::int64_t>(random() % 200));
  }
}

}  // namespace
}  // namespace culprit::provenance
