#include "x86/find_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "x86/testing/snippet.h"

namespace culprit::x86 {
namespace {

constexpr Address kStart{0x40'1000};

// Code at kStart, and single words elsewhere.
class Memory : public MemoryReader {
 public:
  explicit Memory(std::span<const std::byte> code) : code_(code) {}
  std::map<std::uint64_t, std::uint64_t> words;

  std::size_t read(Address address, std::span<std::byte> out) const override {
    if (ByteRange{kStart, code_.size()}.contains(address)) {
      const auto into = static_cast<std::size_t>(address - kStart);
      const std::size_t n = std::min(out.size(), code_.size() - into);
      std::memcpy(out.data(), code_.data() + into, n);
      return n;
    }
    const auto word = words.find(address.value);
    if (word == words.end() || out.size() < 8) return 0;
    std::memcpy(out.data(), &word->second, 8);
    return 8;
  }

 private:
  std::span<const std::byte> code_;
};

Registers at(std::int64_t into) {
  Registers r;
  for (std::size_t i = 0; i < 16; ++i) r.gpr[i] = 0x7f00'0000'0000 + 0x10'0000 * i;
  r.rip = (kStart + into).value;
  return r;
}

// The offset of the k-th instruction's end.
std::int64_t end_of(std::span<const std::byte> code, int k) {
  std::size_t into = 0;
  for (; k >= 0; --k) into += outline(code.subspan(into), kStart)->length;
  return static_cast<std::int64_t>(into);
}

// The immediate holds bytes that decode as a store to [rax] just before the true end.
SNIPPET(two_stores, "mov [rdi], rax\n mov [rsi+8], rbx\n mov dword ptr [rdx], 0x90180189\n nop")

TEST(FindWriter, TheInstructionOfTheGridWins) {
  const Memory memory(two_stores());
  Registers r = at(end_of(two_stores(), 1));
  auto found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rsi] + 8}, 8});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
  EXPECT_EQ(text(found[0].instruction), "mov qword ptr [rsi+0x08], rbx");
  EXPECT_EQ(found[0].written, (ByteRange{Address{r[Gpr::rsi] + 8}, 8}));
  // One watched byte at the edge is enough; one past it is not.
  EXPECT_EQ(find_writer_before(memory, kStart, r, {Address{r[Gpr::rsi] + 15}, 1}).size(), 1U);
  EXPECT_TRUE(find_writer_before(memory, kStart, r, {Address{r[Gpr::rsi] + 16}, 1}).empty());
}

TEST(FindWriter, WithoutAFunctionStartEveryFitIsACandidate) {
  const Memory memory(two_stores());
  Registers r = at(end_of(two_stores(), 2));
  const auto found = find_writer_before(memory, std::nullopt, r, {Address{r[Gpr::rdx]}, 4});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].instruction.address, kStart + end_of(two_stores(), 1));
  EXPECT_EQ(found[0].confidence, WriterConfidence::likely);
  EXPECT_NE(std::string(found[0].note), "");
  // A start inside an instruction: the grid is off, the fallback still finds it.
  const auto off = find_writer_before(memory, kStart + 1, r, {Address{r[Gpr::rdx]}, 4});
  ASSERT_FALSE(off.empty());
  EXPECT_EQ(off[0].instruction.address, kStart + end_of(two_stores(), 1));
}

SNIPPET(
    self_changing,
    "push rax\n pop qword ptr [rcx]\n xadd [rdx], rdx\n mov [rax], rbx\n stosq\n xchg [rsi], rsi\n"
    "enter 32, 0\n movsb")

TEST(FindWriter, AddressesAreUndone) {
  const Memory memory(self_changing());
  Registers r = at(end_of(self_changing(), 0));
  auto found = find_writer_before(memory, kStart, r, {r.sp(), 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
  EXPECT_EQ(found[0].written, (ByteRange{r.sp(), 8}));

  r = at(end_of(self_changing(), 1));
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rcx]}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
  EXPECT_EQ(found[0].operand, 0U);

  // rdx was the address and is now the old value: the operand cannot be checked.
  r = at(end_of(self_changing(), 2));
  found = find_writer_before(memory, kStart, r, {Address{0x1234}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::likely);
  EXPECT_EQ(text(found[0].instruction), "xadd qword ptr [rdx], rdx");

  r = at(end_of(self_changing(), 4));
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rdi] - 8}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
  r.rflags |= 0x400;
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rdi] + 8}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);

  r = at(end_of(self_changing(), 6));
  r[Gpr::rsp] = r[Gpr::rbp] - 32;
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rbp]}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
}

SNIPPET(rep_string, "mov [rax], rcx\n rep stosq\n nop")

TEST(FindWriter, InsideARepTheWriterIsAtRip) {
  const Memory memory(rep_string());
  Registers r = at(end_of(rep_string(), 0));
  r[Gpr::rcx] = 5;
  auto found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rdi] - 8}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].instruction.address, kStart + end_of(rep_string(), 0));
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
  // The instruction before the rep, where its operand fits and the rep's does not.
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rax]}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].instruction.address, kStart);
  // After the last iteration rip is past it.
  r = at(end_of(rep_string(), 1));
  r[Gpr::rcx] = 0;
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rdi] - 8}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].instruction.address, kStart + end_of(rep_string(), 0));
  // Reported some elements late.
  found = find_writer_before(memory, kStart, r, {Address{r[Gpr::rdi] - 40}, 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].confidence, WriterConfidence::likely);
}

SNIPPET(calls, "nop\n call 1f\n nop\n call [rdi+8]\n nop\n 1: nop\n nop")

TEST(FindWriter, AReturnAddressIsWrittenByItsCall) {
  Memory memory(calls());
  Registers r = at(end_of(calls(), 4));  // in the callee
  memory.words[r[Gpr::rsp]] = (kStart + end_of(calls(), 1)).value;
  auto found = find_writer_before(memory, Address{r.rip}, r, {r.sp(), 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].instruction.flow, Flow::call);
  EXPECT_EQ(found[0].confidence, WriterConfidence::proved);
  // An indirect call is proved by the slot that it went through.
  memory.words[r[Gpr::rsp]] = (kStart + end_of(calls(), 3)).value;
  found = find_writer_before(memory, Address{r.rip}, r, {r.sp(), 8});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].instruction.flow, Flow::indirect_call);
  EXPECT_EQ(found[0].confidence, WriterConfidence::likely);
  memory.words[r[Gpr::rdi] + 8] = r.rip;
  found = find_writer_before(memory, Address{r.rip}, r, {r.sp(), 8});
  EXPECT_EQ(found.at(0).confidence, WriterConfidence::proved);
}

SNIPPET(no_store, "mov rax, [rdi]\n add rax, rbx\n nop\n nop")

TEST(FindWriter, NothingFitsWhereNothingStores) {
  const Memory memory(no_store());
  const Registers r = at(end_of(no_store(), 1));
  EXPECT_TRUE(find_writer_before(memory, kStart, r, {Address{0x1000}, 8}).empty());
  Registers lost = r;
  lost.rip = 0x10;
  EXPECT_TRUE(find_writer_before(memory, kStart, lost, {Address{0x1000}, 8}).empty());
  lost.rip = ~std::uint64_t{0};
  EXPECT_TRUE(find_writer_before(memory, kStart, lost, {Address{0x1000}, 8}).empty());
}

}  // namespace
}  // namespace culprit::x86
