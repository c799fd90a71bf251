// Window slices of programs that really ran, single-stepped in a child: what the slice claims must
// be what memory and registers held.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "provenance/slice/window_slice.h"
#include "x86/testing/instruction_templates.h"
#include "x86/testing/stepped_program.h"

namespace culprit::provenance {
namespace {

using x86::RegisterBytes;
using x86::RegisterClass;
using x86::testing::kCode;
using x86::testing::kData;
using x86::testing::kStack;
using x86::testing::Snapshot;

using Log = std::vector<Snapshot>;
using Bytes = std::vector<std::byte>;

std::optional<Bytes> bytes_at(const Snapshot& s, const Place& place) {
  return std::visit([&s](const auto& p) { return s.bytes(p); }, place);
}

std::vector<Registers> registers_of(const Log& log, std::size_t count) {
  std::vector<Registers> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(log[i].registers);
  return result;
}

// How often each kind of origin was met, so that no check can pass by never happening.
struct Tally {
  std::size_t memory = 0;
  std::size_t constant = 0;
  std::size_t transformation = 0;
  std::size_t start = 0;
  std::size_t chained = 0;
};

// The checks that hold for any slice of any execution.
class SliceCheck {
 public:
  SliceCheck(const Log& log, std::size_t steps, const Place& asked, const WindowSlice& slice)
      : log_(log), steps_(steps), asked_(asked), slice_(slice) {}

  void run(Tally& tally) const {
    check_cover();
    for (const WindowPiece& piece : slice_.pieces) check(piece, tally);
    for (const Transformation& t : slice_.transformations) {
      ASSERT_LT(t.step, steps_);
      EXPECT_EQ(t.pc, log_[t.step].registers.pc());
    }
  }

 private:
  // The value that the piece's group had: the asked bytes, or an input.
  std::optional<Bytes> group_value(const WindowPiece& piece) const {
    if (!piece.parent) return bytes_at(log_[steps_], asked_);
    const Transformation& t = slice_.transformations[*piece.parent];
    return bytes_at(log_[t.step], t.inputs[piece.input]);
  }

  void check_cover() const {
    std::uint64_t next = 0;
    for (const WindowPiece& piece : slice_.pieces) {
      if (piece.parent) continue;
      EXPECT_EQ(piece.offset, next);
      next = piece.offset + piece.size;
    }
    const std::uint64_t size = std::holds_alternative<ByteRange>(asked_)
                                   ? std::get<ByteRange>(asked_).size
                                   : std::get<RegisterBytes>(asked_).size;
    EXPECT_EQ(next, size);
  }

  void check(const WindowPiece& piece, Tally& tally) const {
    const Origin& origin = piece.origin;
    SCOPED_TRACE(std::string(to_string(origin.kind)) + " at step " + std::to_string(origin.step));
    auto whole = group_value(piece);
    if (!whole) return;
    if (piece.added != 0) subtract(*whole, static_cast<std::uint64_t>(piece.added));
    ASSERT_LE(piece.offset + piece.size, whole->size());
    const Bytes value(whole->begin() + piece.offset, whole->begin() + piece.offset + piece.size);
    if (piece.parent) ++tally.chained;
    switch (origin.kind) {
      case OriginKind::memory: {
        ++tally.memory;
        ASSERT_TRUE(origin.place && std::holds_alternative<ByteRange>(*origin.place));
        const auto then = bytes_at(log_[origin.step], *origin.place);
        if (!then) break;
        EXPECT_EQ(*then, value);
        // Not stored in the window before that.
        EXPECT_EQ(bytes_at(log_[0], *origin.place), then);
        // The path ends with the load, unless the asked bytes or the input are in memory
        // themselves.
        if (piece.path.empty()) {
          const std::size_t own =
              piece.parent ? slice_.transformations[*piece.parent].step : steps_;
          EXPECT_EQ(origin.step, own);
        } else {
          const auto& from = piece.path.back().from;
          ASSERT_TRUE(from && std::holds_alternative<ByteRange>(*from));
          EXPECT_TRUE(std::get<ByteRange>(*from).overlaps(std::get<ByteRange>(*origin.place)));
        }
        break;
      }
      case OriginKind::immediate:
        ++tally.constant;
        ASSERT_TRUE(origin.constant.has_value());
        EXPECT_EQ(to_bytes(*origin.constant, piece.size), value);
        break;
      case OriginKind::zero:
        ++tally.constant;
        EXPECT_EQ(Bytes(piece.size), value);
        break;
      case OriginKind::window_start: {
        ++tally.start;
        const auto then = bytes_at(log_[0], *origin.place);
        if (then) {
          EXPECT_EQ(*then, value);
        }
        break;
      }
      case OriginKind::transformation: {
        ++tally.transformation;
        ASSERT_TRUE(origin.transformation.has_value());
        const Transformation& t = slice_.transformations[*origin.transformation];
        // The bytes were made there: just after it, they hold the value.
        ASSERT_FALSE(piece.path.empty());
        ASSERT_TRUE(piece.path.back().to.has_value());
        const auto then = bytes_at(log_[t.step + 1], *piece.path.back().to);
        if (then && then->size() == value.size()) {
          EXPECT_EQ(*then, value);
        }
        break;
      }
      default:
        ADD_FAILURE() << "not expected here";
    }
    if (!piece.value.empty() && piece.value.size() == value.size()) {
      EXPECT_EQ(piece.value, value);
    }
    for (const PathStep& step : piece.path) {
      ASSERT_LT(step.index, steps_);
      EXPECT_EQ(step.pc, log_[step.index].registers.pc());
    }
  }

  static void subtract(Bytes& value, std::uint64_t delta) {
    std::uint64_t number = 0;
    for (std::size_t i = value.size(); i-- > 0;)
      number = (number << 8) | std::to_integer<std::uint64_t>(value[i]);
    value = to_bytes(number - delta, value.size());
  }
  static Bytes to_bytes(std::uint64_t number, std::size_t size) {
    Bytes result;
    for (std::size_t i = 0; i < size; ++i)
      result.push_back(static_cast<std::byte>(i < 8 ? number >> (8 * i) : 0));
    return result;
  }

  const Log& log_;
  std::size_t steps_;
  const Place& asked_;
  const WindowSlice& slice_;
};

TEST(WindowSliceHardware, RandomProgramsHoldWhatTheSliceClaims) {
  const auto all = x86::testing::templates();
  Tally tally;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed * 7919);
    Bytes program;
    for (int i = 0; i < 150; ++i) {
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
    const x86::testing::CodeReader code(kCode, program);
    for (int k = 0; k < 60; ++k) {
      // The window may end anywhere, also inside a rep.
      const std::size_t steps = 1 + random() % (log->size() - 1);
      const auto registers = registers_of(*log, steps);
      WindowQuery query;
      query.steps = registers;
      query.final_registers = (*log)[steps].registers;
      query.code = &code;
      switch (random() % 4) {
        case 0:
          query.asked = x86::whole(static_cast<Gpr>(random() % 16));
          break;
        case 1:
          query.asked =
              RegisterBytes{RegisterClass::vector, static_cast<std::uint8_t>(random() % 4),
                            static_cast<std::uint8_t>(random() % 16),
                            static_cast<std::uint8_t>(1 + random() % 16)};
          break;
        case 2:
          query.asked = ByteRange{kData + static_cast<std::int64_t>(0x360 + random() % 0x160),
                                  1 + random() % 24};
          break;
        default:
          query.asked = ByteRange{kStack + static_cast<std::int64_t>(0x3c0 + random() % 0x40), 8};
          break;
      }
      SCOPED_TRACE("seed " + std::to_string(seed) + " steps " + std::to_string(steps) + " asked " +
                   to_string(query.asked));
      const auto slice = slice_window(query);
      ASSERT_TRUE(slice.ok()) << slice.error().message;
      SliceCheck(*log, steps, query.asked, *slice).run(tally);
      EXPECT_FALSE(slice->main_line().empty());
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(tally.memory, 500U);
  EXPECT_GT(tally.constant, 100U);
  EXPECT_GT(tally.transformation, 300U);
  EXPECT_GT(tally.start, 300U);
  EXPECT_GT(tally.chained, 300U);
}

// A rep logged as its first and last iteration only must give the same answer.
TEST(WindowSliceHardware, CollapsedStringRunsGiveTheSameBytes) {
  const auto all = x86::testing::templates();
  std::size_t collapsed = 0;
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    std::mt19937_64 random(seed);
    Bytes program;
    for (int i = 0; i < 150; ++i) {
      const auto& t = all[random() % all.size()];
      const bool has_rep = std::any_of(t.code.begin(), t.code.end(),
                                       [](std::byte b) { return b == std::byte{0xf3}; });
      if (!has_rep && random() % 3 != 0) continue;
      program.insert(program.end(), t.code.begin(), t.code.end());
    }
    x86::testing::RunSpec spec;
    spec.code = program;
    spec.stop = kCode + static_cast<std::int64_t>(program.size());
    spec.seed = seed;
    const auto full = x86::testing::run_stepped(spec);
    if (!full.ok() && full.error().message.find("PTRACE") != std::string::npos)
      GTEST_SKIP() << full.error().message;
    ASSERT_TRUE(full.ok()) << full.error().message;
    Log log;
    for (std::size_t i = 0; i < full->size(); ++i) {
      const bool inside = i > 0 && i + 1 < full->size() &&
                          (*full)[i - 1].registers.rip == (*full)[i].registers.rip &&
                          (*full)[i + 1].registers.rip == (*full)[i].registers.rip;
      if (inside && seed % 2 == 0) {
        ++collapsed;
        continue;
      }
      // Odd seeds: one entry for the whole run.
      if (seed % 2 == 1 && i > 0 && (*full)[i - 1].registers.rip == (*full)[i].registers.rip) {
        ++collapsed;
        continue;
      }
      log.push_back((*full)[i]);
    }
    const x86::testing::CodeReader code(kCode, program);
    const std::size_t steps = log.size() - 1;
    const auto registers = registers_of(log, steps);
    Tally tally;
    for (std::int64_t at = 0x300; at < 0x500; at += 8) {
      WindowQuery query;
      query.steps = registers;
      query.final_registers = log[steps].registers;
      query.code = &code;
      query.asked = ByteRange{kData + at, 8};
      SCOPED_TRACE("seed " + std::to_string(seed) + " asked " + to_string(query.asked));
      const auto slice = slice_window(query);
      ASSERT_TRUE(slice.ok());
      SliceCheck(log, steps, query.asked, *slice).run(tally);
      if (HasFailure()) return;
    }
    for (unsigned r = 0; r < 16; ++r) {
      WindowQuery query;
      query.steps = registers;
      query.final_registers = log[steps].registers;
      query.code = &code;
      query.asked = x86::whole(static_cast<Gpr>(r));
      SCOPED_TRACE("seed " + std::to_string(seed) + " asked " + to_string(query.asked));
      const auto slice = slice_window(query);
      ASSERT_TRUE(slice.ok());
      SliceCheck(log, steps, query.asked, *slice).run(tally);
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(collapsed, 100U);
}

// --- compiled C ----------------------------------------------------------------------------------

using CopyFunction = void (*)(void*, const void*, long);

struct Variant {
  const char* name;
  bool needs_avx2;
  std::vector<std::pair<const char*, CopyFunction>> copies;
  CopyFunction xor_swap;
  CopyFunction untag;
  CopyFunction offset;
};

#define COPY_FUNCTIONS(X, V)                                                                  \
  X(V, struct3)                                                                               \
  X(V, struct16)                                                                              \
  X(V, struct24) X(V, struct40) X(V, struct72) X(V, struct136) X(V, through_call) X(V, fetch) \
      X(V, memcpy) X(V, memmove) X(V, memcpy32) X(V, byte_loop) X(V, word_loop) X(V, reverse) \
          X(V, swap_pairs) X(V, select) X(V, spill) X(V, sort) X(V, recursion) X(V, exchange) \
              X(V, compare_exchange)
#define OTHER_FUNCTIONS(X, V) X(V, xor_swap) X(V, untag) X(V, offset)
#define DECLARE(V, f) void V##_##f(void*, const void*, long);
#define ENTRY(V, f) {#f, V##_##f},
#define VARIANT(V, avx2) \
  Variant { #V, avx2, {COPY_FUNCTIONS(ENTRY, V) }, V##_xor_swap, V##_untag, V##_offset }

extern "C" {
COPY_FUNCTIONS(DECLARE, O0)
OTHER_FUNCTIONS(DECLARE, O0)
COPY_FUNCTIONS(DECLARE, O1) OTHER_FUNCTIONS(DECLARE, O1) COPY_FUNCTIONS(DECLARE, O2)
    OTHER_FUNCTIONS(DECLARE, O2) COPY_FUNCTIONS(DECLARE, O3) OTHER_FUNCTIONS(DECLARE, O3)
        COPY_FUNCTIONS(DECLARE, Os) OTHER_FUNCTIONS(DECLARE, Os) COPY_FUNCTIONS(DECLARE, O3avx2)
            OTHER_FUNCTIONS(DECLARE, O3avx2)
}

std::vector<Variant> variants() {
  std::vector<Variant> result = {VARIANT(O0, false), VARIANT(O1, false), VARIANT(O2, false),
                                 VARIANT(O3, false), VARIANT(Os, false)};
  if (__builtin_cpu_supports("avx2") != 0) result.push_back(VARIANT(O3avx2, true));
  return result;
}

constexpr Address kDestination = kData + 0x800;
constexpr Address kSource = kData + 0x203;  // not aligned
constexpr long kLength = 104;

// Calls the function in the child, on this process's own code.
Result<Log> run_function(CopyFunction function, Address destination, Address source, long n) {
  static const Bytes stub = {std::byte{0xff}, std::byte{0xd0}};  // call rax
  x86::testing::RunSpec spec;
  spec.code = stub;
  spec.stop = kCode + 2;
  spec.seed = 4711;
  spec.own_tls = true;
  spec.setup = {{Gpr::rax, reinterpret_cast<std::uint64_t>(function)},
                {Gpr::rdi, destination.value},
                {Gpr::rsi, source.value},
                {Gpr::rdx, static_cast<std::uint64_t>(n)}};
  return x86::testing::run_stepped(spec);
}

// The stub lies only in the child, the function in both.
class ChildCode : public MemoryReader {
 public:
  std::size_t read(Address address, std::span<std::byte> out) const override {
    static const Bytes stub = {std::byte{0xff}, std::byte{0xd0}};
    if (address == kCode) {
      std::copy_n(stub.begin(), std::min(out.size(), stub.size()), out.begin());
      return std::min(out.size(), stub.size());
    }
    return own_.read(address, out);
  }

 private:
  x86::testing::OwnMemory own_;
};

Result<WindowSlice> slice_end(const Log& log, const Place& asked) {
  static const ChildCode code;
  const auto registers = registers_of(log, log.size() - 1);
  WindowQuery query;
  query.steps = registers;
  query.final_registers = log.back().registers;
  query.code = &code;
  query.asked = asked;
  return slice_window(query);
}

TEST(WindowSliceHardware, CompiledCopiesComeFromTheirSource) {
  for (const Variant& variant : variants()) {
    for (const auto& [name, function] : variant.copies) {
      SCOPED_TRACE(std::string(variant.name) + " " + name);
      const auto log = run_function(function, kDestination, kSource, kLength);
      if (!log.ok() && log.error().message.find("PTRACE") != std::string::npos)
        GTEST_SKIP() << log.error().message;
      ASSERT_TRUE(log.ok()) << log.error().message;
      Tally tally;
      std::size_t changed = 0;
      for (std::int64_t at = 0; at < kLength; at += 8) {
        const Place asked = ByteRange{kDestination + at, 8};
        if (bytes_at(log->front(), asked) == bytes_at(log->back(), asked)) continue;
        ++changed;
        SCOPED_TRACE(to_string(asked));
        const auto slice = slice_end(*log, asked);
        ASSERT_TRUE(slice.ok());
        SliceCheck(*log, log->size() - 1, asked, *slice).run(tally);
        for (const WindowPiece& piece : slice->pieces) {
          if (piece.parent) continue;
          ASSERT_EQ(piece.origin.kind, OriginKind::memory);
          const auto& place = std::get<ByteRange>(*piece.origin.place);
          const bool untouched =
              ByteRange{kDestination, 1024}.contains(place) && piece.path.empty();
          EXPECT_TRUE(untouched || (ByteRange{kSource, 144}.contains(place)))
              << to_string(*piece.origin.place);
          EXPECT_EQ(piece.certainty, Certainty::proved);
        }
        // A word that was moved as a whole is one piece.
        const std::string copy = name;
        if (copy != "struct3") {
          EXPECT_EQ(slice->pieces.size(), 1U);
        }
      }
      EXPECT_GE(changed, std::string(name) == "struct3" ? 1U : 2U);
      if (HasFailure()) return;
    }
  }
}

TEST(WindowSliceHardware, CompiledArithmeticNamesItsInputs) {
  for (const Variant& variant : variants()) {
    SCOPED_TRACE(variant.name);
    const auto swapped = run_function(variant.xor_swap, kDestination, kSource, 0);
    if (!swapped.ok() && swapped.error().message.find("PTRACE") != std::string::npos)
      GTEST_SKIP() << swapped.error().message;
    ASSERT_TRUE(swapped.ok()) << swapped.error().message;
    const Place destination = ByteRange{kDestination, 8};
    auto slice = slice_end(*swapped, destination);
    ASSERT_TRUE(slice.ok());
    Tally tally;
    SliceCheck(*swapped, swapped->size() - 1, destination, *slice).run(tally);
    EXPECT_FALSE(slice->transformations.empty());
    // Both words feed the result.
    for (const Address input : {kDestination, kSource}) {
      EXPECT_TRUE(std::any_of(slice->pieces.begin(), slice->pieces.end(), [&](const auto& p) {
        return p.parent && p.origin.kind == OriginKind::memory &&
               *p.origin.place == Place{ByteRange{input, 8}};
      })) << to_hex(input);
    }

    // Clearing a tag keeps seven of the eight bytes.
    const auto untagged = run_function(variant.untag, kDestination, kSource, 0);
    ASSERT_TRUE(untagged.ok());
    slice = slice_end(*untagged, destination);
    ASSERT_TRUE(slice.ok());
    SliceCheck(*untagged, untagged->size() - 1, destination, *slice).run(tally);
    ASSERT_GE(slice->pieces.size(), 3U);
    EXPECT_EQ(slice->pieces[0].origin.kind, OriginKind::transformation);
    EXPECT_EQ(slice->pieces[1].origin.kind, OriginKind::memory);
    EXPECT_EQ(slice->pieces[1].size, 7U);
    EXPECT_EQ(*slice->pieces[1].origin.place, Place(ByteRange{kSource + 1, 7}));

    // A pointer moved on: the main line goes on to the pointer it was made from.
    const auto moved = run_function(variant.offset, kDestination, kSource, 24);
    ASSERT_TRUE(moved.ok());
    slice = slice_end(*moved, destination);
    ASSERT_TRUE(slice.ok());
    SliceCheck(*moved, moved->size() - 1, destination, *slice).run(tally);
    const auto line = slice->main_line();
    ASSERT_GE(line.size(), 1U);
    EXPECT_EQ(slice->pieces[line[0]].origin.kind, OriginKind::transformation);
  }
}

}  // namespace
}  // namespace culprit::provenance
