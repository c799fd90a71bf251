#include "binary/location_expression.h"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <vector>

#include "llvm/BinaryFormat/Dwarf.h"

namespace culprit::binary {
namespace {

using namespace llvm::dwarf;  // NOLINT: the operations' names

std::vector<std::byte> code(std::initializer_list<int> bytes) {
  std::vector<std::byte> result;
  for (const int b : bytes) result.push_back(static_cast<std::byte>(b));
  return result;
}

class FakeMemory : public MemoryReader {
 public:
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    if (address.value < 0x1000 || address.value >= 0x1010) return 0;
    const std::uint64_t word = 0x8877665544332211;
    std::byte bytes[16];
    std::memcpy(bytes, &word, 8);
    std::memcpy(bytes + 8, &word, 8);
    const std::size_t at = static_cast<std::size_t>(address.value - 0x1000);
    const std::size_t size = std::min(out.size(), sizeof bytes - at);
    std::memcpy(out.data(), bytes + at, size);
    return size;
  }
};

class Expression : public ::testing::Test {
 protected:
  Expression() {
    registers_.set(Gpr::rbp, 0x7000);
    registers_.set(Gpr::rax, 0x1000);
    context_.registers = &registers_;
    context_.memory = &memory_;
    context_.bias = 0x10000;
    context_.cfa = Address{0x8000};
    context_.frame_base = [] { return std::optional<std::uint64_t>(0x9000); };
  }
  std::optional<std::uint64_t> value(std::initializer_list<int> bytes) const {
    const auto e = code(bytes);
    return evaluate_value(e, context_);
  }
  VariableLocation location(std::initializer_list<int> bytes, std::uint64_t size = 8) const {
    const auto e = code(bytes);
    return evaluate_location(e, size, context_);
  }

  PartialRegisters registers_;
  FakeMemory memory_;
  ExpressionContext context_;
};

TEST_F(Expression, Places) {
  EXPECT_EQ(location({DW_OP_fbreg, 0x70}).address(), Address{0x9000 - 16});
  EXPECT_EQ(location({DW_OP_call_frame_cfa}).address(), Address{0x8000});
  EXPECT_EQ(location({DW_OP_breg6, 0x78}).address(), Address{0x7000 - 8});
  EXPECT_EQ(location({DW_OP_bregx, 6, 8}).address(), Address{0x7008});
  EXPECT_EQ(location({DW_OP_addr, 0x34, 0x12, 0, 0, 0, 0, 0, 0}).address(), Address{0x11234});
  EXPECT_EQ(location({DW_OP_reg0}).pieces[0].reg, Gpr::rax);
  EXPECT_EQ(location({DW_OP_regx, 6}).pieces[0].reg, Gpr::rbp);
  EXPECT_EQ(location({DW_OP_reg17}).kind(), LocationKind::other_register);
  EXPECT_EQ(location({DW_OP_reg17}).note(), "in xmm0");
  EXPECT_EQ(location({}).kind(), LocationKind::optimized_out);
}

TEST_F(Expression, Values) {
  EXPECT_EQ(value({DW_OP_lit5, DW_OP_lit3, DW_OP_minus}), 2U);
  EXPECT_EQ(value({DW_OP_const1s, 0xFF, DW_OP_const1u, 2, DW_OP_div}), 0U);
  EXPECT_EQ(value({DW_OP_lit1, DW_OP_const1s, 0xFF, DW_OP_div}), ~std::uint64_t{0});
  EXPECT_EQ(value({DW_OP_const1s, 0xF0, DW_OP_lit2, DW_OP_shra}), static_cast<std::uint64_t>(-4));
  EXPECT_EQ(value({DW_OP_lit1, DW_OP_const1u, 200, DW_OP_shl}), 0U);
  EXPECT_EQ(value({DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_rot, DW_OP_drop}), 1U);
  EXPECT_EQ(value({DW_OP_lit1, DW_OP_lit2, DW_OP_lit3, DW_OP_rot}), 2U);
  EXPECT_EQ(value({DW_OP_lit7, DW_OP_lit8, DW_OP_over, DW_OP_pick, 2}), 7U);
  EXPECT_EQ(value({DW_OP_breg0, 0, DW_OP_deref}), 0x8877665544332211U);
  EXPECT_EQ(value({DW_OP_breg0, 1, DW_OP_deref_size, 2}), 0x3322U);
  EXPECT_EQ(value({DW_OP_lit0, DW_OP_bra, 1, 0, DW_OP_lit9, DW_OP_lit4}), 4U);
  EXPECT_EQ(value({DW_OP_lit1, DW_OP_bra, 1, 0, DW_OP_lit9, DW_OP_lit4, DW_OP_plus_uconst, 1}), 5U);
  EXPECT_EQ(value({DW_OP_reg0}), 0x1000U);
  const auto constant = location({DW_OP_lit9, DW_OP_stack_value}, 4);
  EXPECT_EQ(constant.kind(), LocationKind::value);
  EXPECT_EQ(constant.pieces[0].bytes.size(), 4U);
  EXPECT_EQ(location({DW_OP_implicit_value, 2, 0xAA, 0xBB}, 2).pieces[0].bytes.size(), 2U);
}

TEST_F(Expression, Pieces) {
  const auto split =
      location({DW_OP_reg0, DW_OP_piece, 8, DW_OP_piece, 4, DW_OP_fbreg, 0, DW_OP_piece, 4}, 16);
  ASSERT_EQ(split.pieces.size(), 3U);
  EXPECT_EQ(split.pieces[0].kind, LocationKind::gpr);
  EXPECT_EQ(split.pieces[1].kind, LocationKind::optimized_out);
  EXPECT_EQ(split.pieces[2].kind, LocationKind::memory);
  EXPECT_EQ(split.pieces[2].offset, 12U);
  EXPECT_EQ(split.address(), std::nullopt);
  const auto joined =
      location({DW_OP_fbreg, 0, DW_OP_piece, 8, DW_OP_fbreg, 8, DW_OP_piece, 8}, 16);
  EXPECT_EQ(joined.address(), Address{0x9000});
}

TEST_F(Expression, EntryValuesAndThreadLocals) {
  const std::initializer_list<int> entry{DW_OP_entry_value, 1, DW_OP_reg5, DW_OP_stack_value};
  EXPECT_EQ(location(entry).kind(), LocationKind::optimized_out);
  context_.entry_value = [](std::span<const std::byte> e) -> std::optional<std::uint64_t> {
    if (e.size() == 1 && e[0] == static_cast<std::byte>(DW_OP_reg5)) return 77;
    return std::nullopt;
  };
  EXPECT_EQ(std::to_integer<int>(location(entry).pieces[0].bytes[0]), 77);
  EXPECT_EQ(location({DW_OP_const1u, 16, DW_OP_GNU_push_tls_address}).kind(),
            LocationKind::thread_local_storage);
  context_.thread_local_address = [](std::uint64_t offset) {
    return std::optional<Address>(Address{0x5000 + offset});
  };
  EXPECT_EQ(location({DW_OP_const1u, 16, DW_OP_form_tls_address}).address(), Address{0x5010});
}

TEST_F(Expression, UnknownRegistersAndBadInputAreSaid) {
  EXPECT_EQ(location({DW_OP_breg3, 0}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({DW_OP_breg3, 0}).note(), "rbx is not known in this frame");
  EXPECT_EQ(location({DW_OP_plus}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({DW_OP_addr, 1}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({DW_OP_lit1, DW_OP_lit0, DW_OP_div}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({DW_OP_lit1, DW_OP_lit0, DW_OP_mod}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({DW_OP_lit1, DW_OP_deref}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({0xFF}).kind(), LocationKind::unknown);
  EXPECT_EQ(location({DW_OP_skip, 0xFD, 0xFF}).kind(), LocationKind::unknown);  // for ever
  EXPECT_EQ(location({DW_OP_skip, 0, 0x80}).kind(), LocationKind::unknown);     // backwards out
  EXPECT_EQ(location({DW_OP_lit0, DW_OP_dup, DW_OP_skip, 0xFC, 0xFF}).kind(),
            LocationKind::unknown);  // grows for ever
  context_.frame_base = nullptr;
  EXPECT_EQ(location({DW_OP_fbreg, 0}).note(), "the frame base is not known");
}

}  // namespace
}  // namespace culprit::binary
