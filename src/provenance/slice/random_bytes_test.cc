// Any code and any log: no crash, no hang, and answers that cover what was asked.
#include <gtest/gtest.h>

#include <random>

#include "provenance/slice/static_slice.h"
#include "provenance/slice/window_slice.h"
#include "x86/testing/instruction_templates.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

using x86::RegisterBytes;
using x86::RegisterClass;

constexpr Address kStart{0x40'1000};

std::vector<std::byte> random_code(std::mt19937_64& random, std::size_t size) {
  static const auto all = x86::testing::templates();
  std::vector<std::byte> code;
  while (code.size() < size) {
    if (random() % 3 == 0) {
      code.push_back(static_cast<std::byte>(random()));
    } else {
      const auto& t = all[random() % all.size()];
      code.insert(code.end(), t.code.begin(), t.code.end());
    }
  }
  return code;
}

// Small numbers, so that places meet.
Registers random_registers(std::mt19937_64& random) {
  Registers r;
  for (auto& value : r.gpr) value = random() % 4 == 0 ? random() : random() % 256;
  r.rflags = random();
  r.fs_base = random() % 256;
  return r;
}

RegisterBytes random_register(std::mt19937_64& random) {
  const auto cls = static_cast<RegisterClass>(random() % 7);
  const std::uint8_t width = x86::register_width(cls);
  RegisterBytes r{cls, static_cast<std::uint8_t>(random() % 40), 0, 0};
  r.offset = static_cast<std::uint8_t>(random() % width);
  r.size = static_cast<std::uint8_t>(1 + random() % (width - r.offset));
  return r;
}

TEST(RandomSlices, StaticSlicesCoverWhatWasAsked) {
  std::mt19937_64 random(11);
  std::size_t answered = 0;
  for (int round = 0; round < 8000; ++round) {
    const auto code = random_code(random, 1 + random() % 600);
    StaticQuery query;
    query.code = code;
    query.function = round % 5 == 0 ? Address{std::uint64_t{0} - code.size() / 2} : kStart;
    query.instruction = query.function + static_cast<std::int64_t>(random() % code.size());
    query.registers = random_registers(random);
    query.known = static_cast<std::uint16_t>(random());
    query.after = random() % 2 == 0;
    query.convention = random() % 2 == 0 ? CallConvention::system_v : CallConvention::go_internal;
    std::uint64_t size = 0;
    switch (random() % 3) {
      case 0: {
        const auto r = random_register(random);
        query.asked = r;
        size = r.size;
        break;
      }
      case 1:
        size = random() % 66;
        query.asked = ByteRange{Address{random() % 300}, size};
        break;
      default: {
        const StoredBytes stored{random() % 3, static_cast<std::uint32_t>(random() % 10),
                                 static_cast<std::uint32_t>(random() % 20)};
        query.asked = stored;
        size = stored.size;
        break;
      }
    }
    const auto slice = slice_static(query);
    if (!slice.ok()) {
      EXPECT_EQ(slice.error().code, ErrorCode::bad_input);
      continue;
    }
    ++answered;
    std::uint64_t next = 0;
    for (const auto& piece : slice->pieces) {
      ASSERT_EQ(piece.offset, next);
      ASSERT_GT(piece.size, 0U);
      ASSERT_EQ(piece.inputs.size(), piece.input_addresses.size());
      ASSERT_TRUE(piece.end != StaticEnd::load || piece.operand.has_value());
      next += piece.size;
    }
    ASSERT_EQ(next, size);
  }
  EXPECT_GT(answered, 1000U);
}

TEST(RandomSlices, WindowSlicesCoverWhatWasAsked) {
  std::mt19937_64 random(12);
  for (int round = 0; round < 1500; ++round) {
    const auto code = random_code(random, 200);
    const x86::testing::CodeReader reader(kStart, code);
    std::vector<Registers> steps;
    Address pc = kStart;
    const std::size_t count = 1 + random() % 400;
    Registers now = random_registers(random);
    while (steps.size() < count) {
      now.rip = pc.value;
      steps.push_back(now);
      const auto o = x86::decode_at(reader, pc);
      pc = o.ok() && random() % 8 != 0 ? o->end()
                                       : kStart + static_cast<std::int64_t>(random() % code.size());
      if (random() % 3 == 0) now[static_cast<Gpr>(random() % 16)] = random() % 256;
      if (random() % 50 == 0) now = random_registers(random);
    }
    WindowQuery query;
    query.steps = steps;
    query.final_registers = now;
    query.code = &reader;
    std::uint64_t size = 0;
    if (random() % 2 == 0) {
      const auto r = random_register(random);
      query.asked = r;
      size = r.size;
    } else {
      size = random() % 300;
      query.asked = ByteRange{Address{random() % 300 - 20}, size};
      query.value.resize(random() % 300);
    }
    const auto slice = slice_window(query);
    if (!slice.ok()) {
      EXPECT_EQ(slice.error().code, ErrorCode::bad_input);
      continue;
    }
    std::uint64_t next = 0;
    for (const auto& piece : slice->pieces) {
      ASSERT_LE(piece.origin.step, steps.size());
      if (piece.parent) {
        ASSERT_LT(*piece.parent, slice->transformations.size());
        ASSERT_LT(piece.input, slice->transformations[*piece.parent].inputs.size());
        continue;
      }
      ASSERT_EQ(piece.offset, next);
      next += piece.size;
    }
    ASSERT_EQ(next, size);
    ASSERT_FALSE(slice->main_line().empty());
  }
}

}  // namespace
}  // namespace culprit::provenance
