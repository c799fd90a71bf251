#include "agent/protocol.h"

#include <gtest/gtest.h>

#include <random>

#include "agent/step_codec.h"

namespace culprit::agent {
namespace {

std::span<const std::uint8_t> payload_of(const std::vector<std::uint8_t>& frame) {
  return std::span(frame).subspan(5);
}

/// encode(decode(encode(m))) == encode(m), and no prefix of a payload is taken for a whole one.
template <typename M>
void expect_round_trip(const M& message) {
  std::vector<std::uint8_t> frame;
  wire::append_frame(frame, message);
  wire::FrameView view;
  ASSERT_EQ(wire::next_frame(frame, view), wire::FrameState::complete);
  EXPECT_EQ(view.size, frame.size());
  EXPECT_EQ(view.type, M::type);
  const auto decoded = wire::parse_payload<M>(view.payload);
  ASSERT_TRUE(decoded);
  std::vector<std::uint8_t> again;
  wire::append_frame(again, *decoded);
  EXPECT_EQ(again, frame);
  for (std::size_t size = 0; size < frame.size(); ++size) {
    EXPECT_EQ(wire::next_frame(std::span(frame).first(size), view), wire::FrameState::partial);
    if (size >= 5) {
      EXPECT_FALSE(wire::parse_payload<M>(payload_of(frame).first(size - 5)));
    }
  }
  frame.push_back(0);
  EXPECT_FALSE(wire::parse_payload<M>(payload_of(frame))) << "trailing bytes";
}

wire::Hit sample_hit() {
  wire::Hit hit;
  hit.probe = 3;
  hit.ordinal = 1ULL << 40;
  hit.position = {-5, 7, 8, 9};
  hit.registers.gpr[15] = ~0ULL;
  hit.registers.orig_rax = 42;
  hit.live = true;
  hit.kernel = wire::Kernel{wire::KernelCause::remap, 9, {1, 2, 3, 4, 5, 6}, -12};
  return hit;
}

wire::Spec sample_spec() {
  wire::Spec spec;
  spec.first_thread = 77;
  spec.units = {{0x1000, 8, wire::ProbeKind::write}, {0x2001, 1, wire::ProbeKind::execute}};
  spec.probes.resize(2);
  spec.probes[0].thread = 5;
  spec.probes[1].process = 6;
  spec.probes[1].kind = wire::ProbeKind::execute;
  spec.end.kind = wire::MarkKind::signal_stop;
  spec.begin = wire::Mark{};
  return spec;
}

TEST(Protocol, EachMessageSurvivesTheWire) {
  expect_round_trip(wire::Hello{wire::kVersion, 12, "build"});
  expect_round_trip(wire::TaskStarted{1, 2});
  expect_round_trip(sample_hit());
  expect_round_trip(wire::Hit{});
  expect_round_trip(wire::MapEvent{{1, 2, 3, 4}, 9, {1, 2, 3, 4, 5, 6}, -1});
  expect_round_trip(wire::StepInfo{1, 2, 3, {}});
  expect_round_trip(wire::StepChunk{2, {1, 2, 3}});
  expect_round_trip(wire::EndReached{});
  expect_round_trip(wire::Done{true, {{1, 2}}, {{3, 4}, {5, 6}}});
  expect_round_trip(wire::Failed{wire::Failed::Reason::divergence, "why"});
  expect_round_trip(wire::Memory{{1, 2, 3}});
  expect_round_trip(wire::RegistersReply{});
  expect_round_trip(wire::ThreadList{{{1, 2}, {3, 4}}});
  expect_round_trip(wire::Text{"maps"});
  expect_round_trip(wire::Refused{"no"});
  expect_round_trip(sample_spec());
  expect_round_trip(wire::Clones{{{1, 2, true, false}}});
  expect_round_trip(wire::KernelWrites{{{1, 2, 3, wire::KernelCause::signal_frame, 4, -5, 6}}});
  expect_round_trip(wire::ReadMemory{0xffff, 16});
  expect_round_trip(wire::ReadRegisters{3});
  expect_round_trip(wire::GoOn{});
}

TEST(Protocol, BadFramesAreRefused) {
  wire::FrameView view;
  const std::vector<std::uint8_t> empty = {0, 0, 0, 0};
  EXPECT_EQ(wire::next_frame(empty, view), wire::FrameState::malformed);
  const std::vector<std::uint8_t> huge = {0xff, 0xff, 0xff, 0x7f, 1};
  EXPECT_EQ(wire::next_frame(huge, view), wire::FrameState::malformed);
  // A count that promises more elements than the payload could hold must not be allocated.
  const std::vector<std::uint8_t> lying = {0xff, 0xff, 0, 0};
  EXPECT_FALSE(wire::parse_payload<wire::ThreadList>(lying));
  // A bool of 2, an enumerator out of range.
  std::vector<std::uint8_t> frame;
  wire::append_frame(frame, wire::Hit{});
  frame[frame.size() - 1] = 2;
  EXPECT_FALSE(wire::parse_payload<wire::Hit>(payload_of(frame)));
  frame.clear();
  wire::append_frame(frame, wire::Failed{});
  frame[5] = 200;
  EXPECT_FALSE(wire::parse_payload<wire::Failed>(payload_of(frame)));
}

TEST(Protocol, RandomAndDamagedBytesNeverGoWrong) {
  std::mt19937_64 random(1);
  std::vector<std::uint8_t> spec;
  wire::append_frame(spec, sample_spec());
  std::vector<std::uint8_t> hit;
  wire::append_frame(hit, sample_hit());
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> bytes = round % 3 == 0 ? spec : hit;
    if (round % 3 == 2) {
      bytes.resize(5 + random() % 300);
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    } else {
      for (int flips = 0; flips < 3; ++flips) {
        bytes[5 + random() % (bytes.size() - 5)] = static_cast<std::uint8_t>(random());
      }
    }
    wire::FrameView view;
    (void)wire::next_frame(bytes, view);
    const auto payload = payload_of(bytes);
    (void)wire::parse_payload<wire::Spec>(payload);
    (void)wire::parse_payload<wire::Done>(payload);
    (void)wire::parse_payload<wire::KernelWrites>(payload);
    (void)wire::parse_payload<wire::StepChunk>(payload);
    (void)wire::parse_payload<wire::Text>(payload);
    if (const auto parsed = wire::parse_payload<wire::Hit>(payload)) {
      std::vector<std::uint8_t> again;
      wire::append_frame(again, *parsed);
      EXPECT_EQ(again.size(), bytes.size());
    }
  }
}

TEST(StepCodec, RegistersSurvive) {
  std::mt19937_64 random(2);
  std::vector<Registers> steps;
  Registers registers;
  for (int i = 0; i < 5'000; ++i) {
    registers.rip += random() % 20 == 0 ? random() : random() % 15;
    const int changes = static_cast<int>(random() % 4);
    for (int change = 0; change < changes; ++change) {
      registers.gpr[random() % 16] = random() >> (random() % 64);
    }
    if (random() % 3 == 0) registers.rflags ^= random() & 0xad5;
    if (random() % 100 == 0) registers.fs_base = random();
    if (random() % 100 == 0) registers.orig_rax = ~registers.orig_rax;
    steps.push_back(registers);
  }
  Registers all;
  for (auto& gpr : all.gpr) gpr = ~0ULL;
  all.rip = 1ULL << 63;
  all.rflags = all.fs_base = all.gs_base = all.orig_rax = ~0ULL;
  steps.push_back(all);
  steps.push_back({});
  std::vector<std::uint8_t> bytes;
  Registers previous;
  for (const Registers& step : steps) {
    const std::size_t before = bytes.size();
    encode_step(bytes, previous, step);
    EXPECT_LE(bytes.size() - before, kMaxStepRecord);
    previous = step;
  }
  std::span<const std::uint8_t> rest(bytes);
  Registers decoded;
  for (const Registers& step : steps) {
    ASSERT_TRUE(decode_step(rest, decoded));
    ASSERT_EQ(decoded, step);
  }
  EXPECT_TRUE(rest.empty());
  EXPECT_FALSE(decode_step(rest, decoded));
}

TEST(StepCodec, TruncatedAndRandomRecordsAreRefusedOrHarmless) {
  Registers registers;
  for (std::size_t i = 0; i < 16; ++i) registers.gpr[i] = 0x0123456789abcdef * (i + 1);
  registers.rip = 0xffffffffffff;
  registers.rflags = 0x246;
  registers.fs_base = ~0ULL;
  std::vector<std::uint8_t> bytes;
  encode_step(bytes, {}, registers);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto part = std::span<const std::uint8_t>(bytes).first(size);
    Registers out;
    EXPECT_FALSE(decode_step(part, out)) << size;
  }
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> noise(random() % 200);
    for (auto& byte : noise) byte = static_cast<std::uint8_t>(random());
    std::span<const std::uint8_t> rest(noise);
    Registers out;
    while (decode_step(rest, out)) {
    }
  }
}

}  // namespace
}  // namespace culprit::agent
