#include "provenance/last_writer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "provenance/testing/scripted_replay.h"
#include "x86/testing/snippet.h"

namespace culprit::provenance {
namespace {

using testing::bare_image;
using testing::Event;
using testing::kProcess;
using testing::kThread;
using testing::ScriptedReplay;

constexpr Address kCode{0x40'1000};
constexpr Address kEntry{0x40'2000};
constexpr Address kSlot{0x7000'1000};
constexpr Address kCfa{0x7fff'0000};
constexpr std::uint64_t kBad = 0xdead'beef'0000;

// (Without a symbol nobody knows where instructions begin: no tail of these stores to the slot.)
SNIPPET(stores, "mov [r8], rax\n mov [r8], rcx\n nop")
constexpr std::uint64_t kStoreSize = 3;

/// `value` is stored to the slot by the first instruction of `stores`, or by the second one.
Event store(std::uint64_t value, bool second = false) {
  Event event;
  event.address = kSlot;
  event.value = value;
  event.registers.rip = kCode.value + (second ? 2 : 1) * kStoreSize;
  event.registers[Gpr::r8] = kSlot.value;
  event.registers[second ? Gpr::rcx : Gpr::rax] = value;
  event.registers[Gpr::rsp] = kCfa.value - 64;
  return event;
}

/// The owner's function is entered, with the stack of the activation that ends at `cfa`.
Event entry(Address cfa = kCfa) {
  Event event;
  event.kind = replay::ProbeKind::execute;
  event.address = kEntry;
  event.registers.rip = kEntry.value;
  event.registers[Gpr::rsp] = cfa.value - 8;
  return event;
}

struct Search {
  ScriptedReplay replay;
  std::optional<Activation> owner;
  report::Stats stats;
  replay::Mark before;  ///< the end of the trace

  explicit Search(std::vector<Event> events) {
    replay.load(kCode, stores());
    replay.events = std::move(events);
  }
  Result<LastWriter> find() {
    const Slot slot{kSlot, 8, kBad};
    return find_last_writer(replay, bare_image(), slot, before, owner, true,
                            std::chrono::milliseconds{1000}, stats);
  }
  LastWriter found() {
    auto result = find();
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? *std::move(result) : LastWriter{};
  }
};

TEST(LastWriter, IsTheNewestWriteOfTheValue) {
  Search search({store(5), store(kBad), store(9), store(kBad, true), store(7)});
  const LastWriter last = search.found();
  ASSERT_TRUE(last.writer);
  EXPECT_EQ(last.writer->hit.ordinal, 2U);
  EXPECT_EQ(last.writer->hit.position.sequence, 4U);
  EXPECT_EQ(last.matches, 2U);
  EXPECT_EQ(last.writes, 5U) << "of any value";
  ASSERT_TRUE(last.writer->writer);
  EXPECT_EQ(last.writer->writer->instruction.address, kCode + kStoreSize);
  EXPECT_EQ(last.writer->repeats, 0U) << "the other one was another instruction";
  // The mark names that write in any pass: not live, nothing kept.
  const replay::Mark& mark = last.writer->moment.mark;
  EXPECT_EQ(mark.kind, replay::Mark::Kind::probe_hit);
  EXPECT_EQ(mark.ordinal, 2U);
  EXPECT_FALSE(mark.probe.live);
  EXPECT_EQ(mark.probe.keep_last, 0U);
  ASSERT_TRUE(mark.probe.filter);
  EXPECT_EQ(mark.probe.filter->value, kBad);
  EXPECT_EQ(mark.probe.process, kProcess);
  EXPECT_FALSE(last.older_than_owner) << "nobody asked";
  EXPECT_FALSE(last.older_than_block) << "there is no book";
  ASSERT_EQ(search.replay.passes.size(), 1U);
  EXPECT_FALSE(search.replay.passes[0].heap) << "the process has no allocator";
  EXPECT_EQ(search.stats.passes, 1U);
  EXPECT_EQ(search.stats.hits, 5U);
}

TEST(LastWriter, OfAValueThatWasNeverWrittenIsNone) {
  Search search({store(5), store(6)});
  const LastWriter last = search.found();
  EXPECT_FALSE(last.writer);
  EXPECT_EQ(last.matches, 0U);
  EXPECT_EQ(last.writes, 2U);
  Search empty({});
  EXPECT_FALSE(empty.found().writer);
}

TEST(LastWriter, OtherProcessesAndLaterWritesDoNotCount) {
  Event copy = store(kBad, true);
  copy.process = ProcessId{77};
  copy.thread = ThreadId{77};
  Search search({store(kBad), copy, entry(), store(kBad, true)});
  search.before.kind = replay::Mark::Kind::probe_hit;
  search.before.probe.kind = replay::ProbeKind::execute;
  search.before.probe.address = kEntry;
  search.before.ordinal = 1;
  const LastWriter last = search.found();
  ASSERT_TRUE(last.writer);
  EXPECT_EQ(last.writer->hit.position.sequence, 1U);
  EXPECT_EQ(last.matches, 1U);
}

TEST(LastWriter, TheKernelHasNoInstruction) {
  Event input = store(kBad);
  input.kernel = replay::Hit::Kernel{};
  input.registers.rip = kCode.value + 2 * kStoreSize;
  Search search({store(kBad), input});
  const LastWriter last = search.found();
  ASSERT_TRUE(last.writer);
  EXPECT_TRUE(last.writer->hit.kernel);
  EXPECT_FALSE(last.writer->writer);
}

// ------------------------------------------------------------------------------ hot slots

TEST(LastWriter, AHotSlotTakesThreePasses) {
  std::vector<Event> events;
  for (int i = 0; i < 29; ++i) events.push_back(store(kBad));
  events.push_back(store(kBad, true));
  events.push_back(store(3));
  Search search(events);
  const LastWriter last = search.found();
  ASSERT_EQ(search.replay.passes.size(), 3U);
  EXPECT_EQ(search.stats.passes, 3U);
  // The first gave up, the second stopped nowhere, the third only at its end: the last write.
  EXPECT_EQ(search.replay.live_stops, 25U);
  EXPECT_FALSE(search.replay.passes[1].probes.at(0).live);
  EXPECT_GT(search.replay.passes[1].probes.at(0).keep_last, 0U);
  const replay::PassSpec& third = search.replay.passes[2];
  EXPECT_TRUE(third.probes.empty());
  EXPECT_EQ(third.end.kind, replay::Mark::Kind::probe_hit);
  EXPECT_EQ(third.end.ordinal, 30U);
  ASSERT_TRUE(last.writer);
  EXPECT_EQ(last.matches, 30U);
  EXPECT_EQ(last.writes, 31U);
  EXPECT_EQ(last.writer->hit.ordinal, 30U);
  ASSERT_TRUE(last.writer->writer);
  EXPECT_EQ(last.writer->writer->instruction.address, kCode + kStoreSize);
  EXPECT_EQ(last.writer->moment.mark.ordinal, 30U);
}

TEST(LastWriter, TwoDozenWritesAreNotHot) {
  Search search(std::vector<Event>(24, store(kBad)));
  const LastWriter last = search.found();
  EXPECT_EQ(search.replay.passes.size(), 1U);
  ASSERT_TRUE(last.writer);
  EXPECT_EQ(last.writer->hit.ordinal, 24U);
  EXPECT_EQ(last.writer->repeats, 23U);
}

TEST(LastWriter, RepeatsAreCountedSinceTheLastSystemCall) {
  std::vector<Event> events(300, store(kBad));
  for (std::size_t i = 250; i < 300; ++i) events[i].syscalls = 1;
  events[260].registers[Gpr::rsp] -= 128;  // called from elsewhere
  events[270].thread = ThreadId{11};
  Search search(events);
  LastWriter last = search.found();
  ASSERT_TRUE(last.writer);
  EXPECT_EQ(last.writer->repeats, 47U) << "50 but the last, that stack and that thread";
  // More than are kept may belong to them: nobody can tell.
  Search endless(std::vector<Event>(300, store(kBad)));
  last = endless.found();
  ASSERT_TRUE(last.writer);
  EXPECT_EQ(last.writer->hit.ordinal, 300U);
  EXPECT_FALSE(last.writer->repeats);
}

TEST(LastWriter, AHotSlotIsOlderThanItsOwnerAsWell) {
  std::vector<Event> events(40, store(kBad));
  events.push_back(entry());
  Search search(events);
  search.owner = Activation{kEntry, kCfa, kThread};
  search.replay.heap = [](Address, std::uint64_t) {
    replay::HeapBlocks blocks;
    blocks.complete = true;
    blocks.holding.resize(1);
    blocks.holding[0].range = ByteRange{kSlot, 64};
    blocks.holding[0].allocated.position.sequence = 41;
    return Result<replay::HeapBlocks>(blocks);
  };
  const LastWriter last = search.found();
  EXPECT_EQ(search.replay.passes.size(), 3U);
  EXPECT_EQ(last.older_than_owner, true);
  EXPECT_EQ(last.older_than_block, true);
  ASSERT_TRUE(last.writer);
}

// ------------------------------------------------------------------------------ lives

TEST(LastWriter, IsOlderThanTheOwnerThatWasEnteredAfterIt) {
  const Activation owner{kEntry, kCfa, kThread};
  Search stale({store(kBad), entry()});
  stale.owner = owner;
  LastWriter last = stale.found();
  EXPECT_EQ(last.older_than_owner, true);
  EXPECT_EQ(last.entry_ordinal, 1U);
  ASSERT_TRUE(last.entered);
  EXPECT_EQ(last.entered->sequence, 2U);

  Search fresh({entry(), store(kBad)});
  fresh.owner = owner;
  EXPECT_EQ(fresh.found().older_than_owner, false);

  // The newest entry of that activation counts, others of a recursion do not.
  Search again({entry(), store(kBad), entry()});
  again.owner = owner;
  last = again.found();
  EXPECT_EQ(last.older_than_owner, true);
  EXPECT_EQ(last.entry_ordinal, 2U);
  Search recursion({entry(), store(kBad), entry(kCfa - 256)});
  recursion.owner = owner;
  last = recursion.found();
  EXPECT_EQ(last.older_than_owner, false);
  EXPECT_EQ(last.entry_ordinal, 1U);
  Event other = entry();
  other.thread = ThreadId{11};
  Search elsewhere({entry(), store(kBad), other});
  elsewhere.owner = owner;
  EXPECT_EQ(elsewhere.found().older_than_owner, false) << "another thread's";

  Search never_written({entry(), store(5)});
  never_written.owner = owner;
  EXPECT_EQ(never_written.found().older_than_owner, true);
  Search never_entered({store(kBad), entry(kCfa - 256)});
  never_entered.owner = owner;
  last = never_entered.found();
  EXPECT_FALSE(last.older_than_owner) << "nobody can tell";
  EXPECT_FALSE(last.entered);
}

TEST(LastWriter, IsOlderThanTheBlockThatWasAllocatedAfterIt) {
  const auto with_block = [](std::vector<Event> events, std::uint64_t allocated, bool complete) {
    Search search(std::move(events));
    search.replay.heap = [=](Address address, std::uint64_t) {
      replay::HeapBlocks blocks;
      blocks.complete = complete;
      if (address == kSlot) {
        // The newest first; the older owner of the memory does not count.
        blocks.holding.resize(2);
        for (auto& block : blocks.holding) block.range = ByteRange{kSlot, 64};
        blocks.holding[0].allocated.position.sequence = allocated;
        blocks.holding[1].allocated.position.sequence = 0;
        blocks.holding[1].released.emplace();
      }
      return Result<replay::HeapBlocks>(blocks);
    };
    return search.found();
  };
  const std::vector<Event> writes = {store(4), store(kBad), store(4)};
  LastWriter last = with_block(writes, 3, true);
  EXPECT_EQ(last.older_than_block, true);
  ASSERT_TRUE(last.blocks);
  EXPECT_EQ(last.blocks->holding.size(), 2U);
  EXPECT_EQ(with_block(writes, 1, true).older_than_block, false);
  EXPECT_FALSE(with_block(writes, 3, false).older_than_block) << "the book has gaps";
  EXPECT_EQ(with_block({store(4)}, 1, true).older_than_block, true) << "never written";

  Search nowhere(writes);
  nowhere.replay.heap = [](Address, std::uint64_t) {
    replay::HeapBlocks blocks;
    blocks.complete = true;
    return Result<replay::HeapBlocks>(blocks);
  };
  last = nowhere.found();
  EXPECT_TRUE(last.blocks);
  EXPECT_FALSE(last.older_than_block) << "no block ever held the slot";
}

TEST(LastWriter, TheBlocksAtTheWriteAreThoseOfThatMoment) {
  Search search({store(kBad), store(1), store(2)});
  search.replay.heap = [](Address, std::uint64_t sequence) {
    replay::HeapBlocks blocks;
    blocks.complete = true;
    blocks.holding.resize(1);
    blocks.holding[0].range = ByteRange{kSlot, 100 + sequence};
    return Result<replay::HeapBlocks>(blocks);
  };
  const LastWriter last = search.found();
  ASSERT_TRUE(last.writer && last.writer->blocks && last.blocks);
  EXPECT_EQ(last.writer->blocks->holding.at(0).range.size, 101U);
  EXPECT_EQ(last.blocks->holding.at(0).range.size, 103U) << "at the end";
  EXPECT_EQ(last.writer->location.region, report::RegionKind::heap);
}

// ------------------------------------------------------------------------------ what it was meant
// for

SNIPPET(indexed_store, "mov [r8 + r9 * 8 + 16], rax\n nop")
constexpr std::uint64_t kIndexedStoreSize = 5;

TEST(LastWriter, WhatTheOperandNamesIsSeenAtTheStoreAndWhereTheSlotWasRead) {
  Event indexed = store(kBad);
  indexed.registers.rip = kCode.value + kIndexedStoreSize;
  indexed.registers[Gpr::r9] = 4;
  indexed.registers[Gpr::r8] = kSlot.value - 32 - 16;
  Search search({indexed, store(1)});
  search.replay.load(kCode, indexed_store());
  search.replay.heap = [](Address at, std::uint64_t sequence) {
    replay::HeapBlocks blocks;
    blocks.complete = true;
    blocks.holding.resize(1);
    // The block was another one at the time of the store.
    blocks.holding[0].range = ByteRange{at, 64 + sequence};
    return Result<replay::HeapBlocks>(blocks);
  };
  const Moment reader;
  const Slot slot{kSlot, 8, kBad};
  auto result = find_last_writer(search.replay, bare_image(), slot, {}, std::nullopt, true,
                                 std::chrono::milliseconds{1000}, search.stats, &reader);
  ASSERT_TRUE(result.ok() && result->writer);
  const WriterHit& writer = *result->writer;
  ASSERT_TRUE(writer.named && writer.named->meant.object);
  EXPECT_EQ(writer.named->pointer, kSlot - 32);
  EXPECT_EQ(writer.named->meant.object->range, (ByteRange{kSlot - 32, 65}));
  ASSERT_EQ(writer.seen_by_reader.size(), 2U);
  EXPECT_EQ(writer.seen_by_reader[0].pointer, kSlot - 32);
  EXPECT_EQ(writer.seen_by_reader[1].pointer, kSlot - 48);
  for (const SeenObject& seen : writer.seen_by_reader) {
    ASSERT_TRUE(seen.meant.object);
    EXPECT_EQ(seen.meant.object->range, (ByteRange{seen.pointer, 66}));
  }
  EXPECT_EQ(search.replay.passes.size(), 1U);

  // Nobody read it there, or there is no index.
  result = search.find();
  ASSERT_TRUE(result.ok() && result->writer && result->writer->named);
  EXPECT_TRUE(result->writer->seen_by_reader.empty());
  Search plain({store(kBad)});
  result = find_last_writer(plain.replay, bare_image(), slot, {}, std::nullopt, true,
                            std::chrono::milliseconds{1000}, plain.stats, &reader);
  ASSERT_TRUE(result.ok() && result->writer && result->writer->named);
  EXPECT_EQ(result->writer->named->pointer, kSlot);
  EXPECT_TRUE(result->writer->seen_by_reader.empty());
}

// ------------------------------------------------------------------------------ failures

TEST(LastWriter, WithoutADebugRegisterForTheOwnerTheWriterIsFoundAllTheSame) {
  Search search({entry(), store(kBad)});
  search.owner = Activation{kEntry, kCfa, kThread};
  search.replay.failing[1] = Error{ErrorCode::usage, "four debug registers"};
  const LastWriter last = search.found();
  ASSERT_TRUE(last.writer);
  EXPECT_FALSE(last.older_than_owner);
  EXPECT_EQ(search.replay.passes.size(), 2U);
  EXPECT_EQ(search.replay.passes[1].probes.size(), 1U);
  EXPECT_EQ(search.stats.passes, 1U) << "no pass was made of the first";
}

TEST(LastWriter, APassThatEndsEarlyIsNoAnswer) {
  Search first({store(kBad), store(1)});
  first.replay.ends_behind[1] = 1;
  auto result = first.find();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::replay_failed);
  EXPECT_EQ(first.stats.passes, 1U) << "it was made all the same";

  Search counting(std::vector<Event>(40, store(kBad)));
  counting.replay.ends_behind[2] = 30;
  result = counting.find();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::replay_failed);

  // The third pass alone: the write is known, but nobody could look at it.
  Search third(std::vector<Event>(40, store(kBad)));
  third.replay.ends_behind[3] = 30;
  const LastWriter last = third.found();
  EXPECT_EQ(last.matches, 40U);
  EXPECT_FALSE(last.writer);
}

TEST(LastWriter, AFailureOfTheReplayIsHandedOn) {
  for (const std::size_t pass : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    Search search(std::vector<Event>(40, store(kBad)));
    search.replay.failing[pass] = Error{ErrorCode::timeout, "too slow"};
    const auto result = search.find();
    ASSERT_FALSE(result.ok()) << "pass " << pass;
    EXPECT_EQ(result.error().code, ErrorCode::timeout);
    EXPECT_EQ(search.replay.passes.size(), pass);
  }
}

}  // namespace
}  // namespace culprit::provenance
