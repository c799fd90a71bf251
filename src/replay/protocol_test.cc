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

wire::HeapSpec sample_heap() {
  return {
      {{wire::HeapRole::allocate, 0x401000, 0xfa1e0ff3}, {wire::HeapRole::release, 0x402000, 1}},
      50'000};
}

wire::HeapCall sample_heap_call(std::uint64_t ordinal) {
  wire::HeapCall call;
  call.position = {7, 6, 5, 4};
  call.ordinal = ordinal;
  call.function = 1;
  call.registers[Gpr::rdi] = ~0ULL;
  call.stack = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  return call;
}

wire::HeapBlocks sample_heap_blocks() {
  wire::HeapBlocks blocks;
  blocks.holding.push_back({0x5000, 16, sample_heap_call(3), sample_heap_call(4)});
  blocks.holding.push_back({0x5000, 0, sample_heap_call(1), std::nullopt});
  blocks.below = wire::HeapBlock{0x4000, 8, sample_heap_call(5), std::nullopt};
  blocks.stray = {sample_heap_call(9), sample_heap_call(8)};
  blocks.current = sample_heap_call(10);
  blocks.calls = 1ULL << 40;
  blocks.complete = true;
  return blocks;
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
  expect_round_trip(sample_heap_blocks());
  expect_round_trip(wire::HeapBlocks{});
  expect_round_trip(wire::FindHeapBlocks{~0ULL});
  wire::Spec with_heap = sample_spec();
  with_heap.heap = sample_heap();
  expect_round_trip(with_heap);
  wire::Spec with_activation = sample_spec();
  with_activation.activation = wire::ActivationSpec{{{1, ~0ULL}, {0, 8}}, 1ULL << 40, 5, 6};
  expect_round_trip(with_activation);
}

TEST(Protocol, WhatIsKnownOfTheHeapArrivesInItsPlace) {
  std::vector<std::uint8_t> frame;
  wire::append_frame(frame, sample_heap_blocks());
  const auto blocks = wire::parse_payload<wire::HeapBlocks>(payload_of(frame));
  ASSERT_TRUE(blocks);
  ASSERT_EQ(blocks->holding.size(), 2U);
  EXPECT_EQ(blocks->holding[0].start, 0x5000U);
  EXPECT_EQ(blocks->holding[0].size, 16U);
  EXPECT_EQ(blocks->holding[0].allocated.ordinal, 3U);
  ASSERT_TRUE(blocks->holding[0].released);
  EXPECT_EQ(blocks->holding[0].released->ordinal, 4U);
  EXPECT_EQ(blocks->holding[0].released->position.thread, 7);
  EXPECT_EQ(blocks->holding[0].released->stack.size(), 9U);
  EXPECT_FALSE(blocks->holding[1].released);
  ASSERT_TRUE(blocks->below);
  EXPECT_EQ(blocks->below->start, 0x4000U);
  EXPECT_FALSE(blocks->above);
  ASSERT_EQ(blocks->stray.size(), 2U);
  EXPECT_EQ(blocks->stray[0].ordinal, 9U);
  ASSERT_TRUE(blocks->current);
  EXPECT_EQ(blocks->current->registers[Gpr::rdi], ~0ULL);
  EXPECT_EQ(blocks->calls, 1ULL << 40);
  EXPECT_TRUE(blocks->complete);

  wire::Spec spec = sample_spec();
  spec.heap = sample_heap();
  frame.clear();
  wire::append_frame(frame, spec);
  const auto sent = wire::parse_payload<wire::Spec>(payload_of(frame));
  ASSERT_TRUE(sent && sent->heap);
  ASSERT_EQ(sent->heap->functions.size(), 2U);
  EXPECT_EQ(sent->heap->functions[0].code, 0xfa1e0ff3U);
  EXPECT_EQ(sent->heap->functions[1].role, wire::HeapRole::release);
  EXPECT_EQ(sent->heap->functions[1].address, 0x402000U);
  EXPECT_EQ(sent->heap->max_calls, 50'000U);
}

TEST(Protocol, MoreOfTheHeapThanIsAllowedIsRefused) {
  const auto taken = [](const auto& message) {
    std::vector<std::uint8_t> frame;
    wire::append_frame(frame, message);
    return wire::parse_payload<std::decay_t<decltype(message)>>(payload_of(frame)).has_value();
  };
  wire::HeapBlocks blocks;
  blocks.holding.resize(wire::kMaxHeapBlocks);
  blocks.stray.resize(wire::kMaxHeapBlocks);
  blocks.holding[0].allocated.stack.resize(wire::kMaxHeapStack);
  EXPECT_TRUE(taken(blocks));
  blocks.holding.resize(wire::kMaxHeapBlocks + 1);
  EXPECT_FALSE(taken(blocks));
  blocks.holding.resize(1);
  blocks.stray.resize(wire::kMaxHeapBlocks + 1);
  EXPECT_FALSE(taken(blocks));
  blocks.stray.clear();
  blocks.holding[0].allocated.stack.resize(wire::kMaxHeapStack + 1);
  EXPECT_FALSE(taken(blocks));
  // The largest answer has room in a frame.
  wire::HeapCall call = sample_heap_call(1);
  call.stack.resize(wire::kMaxHeapStack);
  blocks.holding.assign(wire::kMaxHeapBlocks, {1, 2, call, call});
  blocks.stray.assign(wire::kMaxHeapBlocks, call);
  blocks.below = blocks.above = blocks.holding[0];
  blocks.current = call;
  std::vector<std::uint8_t> frame;
  wire::append_frame(frame, blocks);
  wire::FrameView view;
  EXPECT_EQ(wire::next_frame(frame, view), wire::FrameState::complete);
  EXPECT_TRUE(wire::parse_payload<wire::HeapBlocks>(view.payload));

  wire::Spec spec = sample_spec();
  spec.heap.emplace();
  spec.heap->functions.resize(wire::kMaxHeapFunctions);
  EXPECT_TRUE(taken(spec));
  spec.heap->functions.resize(wire::kMaxHeapFunctions + 1);
  EXPECT_FALSE(taken(spec));
  spec.heap->functions.resize(1);
  spec.heap->functions[0].role =
      static_cast<wire::HeapRole>(static_cast<int>(wire::HeapRole::release) + 1);
  EXPECT_FALSE(taken(spec)) << "an enumerator out of range";
  // Counts that promise more than there is.
  EXPECT_FALSE(wire::parse_payload<wire::HeapBlocks>(std::vector<std::uint8_t>{16, 0, 0, 0}));
  EXPECT_FALSE(
      wire::parse_payload<wire::HeapBlocks>(std::vector<std::uint8_t>{0xff, 0xff, 0xff, 0xff, 0}));
  EXPECT_FALSE(wire::parse_payload<wire::FindHeapBlocks>(std::vector<std::uint8_t>(7)));
}

TEST(Protocol, DamagedHeapMessagesNeverGoWrong) {
  std::mt19937_64 random(5);
  wire::Spec spec = sample_spec();
  spec.heap = sample_heap();
  std::vector<std::uint8_t> orders, answer;
  wire::append_frame(orders, spec);
  wire::append_frame(answer, sample_heap_blocks());
  int taken = 0;
  const auto same_again = [&](const auto& parsed, std::size_t size) {
    if (!parsed) return;
    std::vector<std::uint8_t> again;
    wire::append_frame(again, *parsed);
    EXPECT_EQ(again.size(), size);
    ++taken;
  };
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> bytes = round % 2 == 0 ? orders : answer;
    for (int flips = 0; flips < 2; ++flips) {
      bytes[5 + random() % (bytes.size() - 5)] = static_cast<std::uint8_t>(random());
    }
    same_again(wire::parse_payload<wire::Spec>(payload_of(bytes)), bytes.size());
    same_again(wire::parse_payload<wire::HeapBlocks>(payload_of(bytes)), bytes.size());
  }
  EXPECT_GT(taken, 0) << "most flips change a value only";
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
