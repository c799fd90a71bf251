// Each rule on the shape that it is for, on shapes that lack one of its premises, and the rules'
// order.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "report/suspect_words.h"
#include "verdict/judge.h"
#include "verdict/rules.h"
#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::Confidence;
using report::HopKind;
using report::RegionKind;
using report::Report;
using report::SourceKind;
using report::StopReason;
using testing::chain;
using testing::frame;
using testing::hop;
using testing::object;
using testing::place;

using Evidence = std::vector<std::uint32_t>;

BugClass judged(Report r) {
  judge(r);
  return r.verdict.bug_class;
}

bool says(const Report& r, const std::string& part) {
  return r.verdict.explanation.find(part) != std::string::npos;
}

// ------------------------------------------------------------------------------ null

Report null_chain(std::vector<report::Hop> hops) {
  Report r = chain(std::move(hops));
  r.suspect->value = 0;
  r.crash.fault_address = Address{8};
  return r;
}

TEST(ValueRules, ANullThatWasUsed) {
  Report r = null_chain({hop(HopKind::store, "reset")});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_TRUE(says(r, "reader used a null pointer (fault address 0x8)"));
  EXPECT_TRUE(says(r, "put there by reset (reset.c:7)"));
  r.hops[1].confidence = Confidence::unknown;
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.confidence, Confidence::unknown);

  r = null_chain({});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.evidence, (Evidence{0}));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "reader");

  r = null_chain({hop(HopKind::store, "reset")});
  r.suspect->value = 16;
  EXPECT_FALSE(null_dereference(r));
  r = null_chain({hop(HopKind::store, "reset")});
  r.crash.fault_address.reset();
  EXPECT_FALSE(null_dereference(r)) << "nothing was accessed";
  r.suspect.reset();
  EXPECT_FALSE(null_dereference(r));
}

TEST(ValueRules, ANullOfAnAllocatorIsAFailedAllocation) {
  report::Hop failed = hop(HopKind::origin, "_int_malloc");
  Report r = null_chain({hop(HopKind::store, "open_file"), failed});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_from_failed_allocation);
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "open_file") << "who did not check";
  // Further out in the backtrace, as the language shows it.
  failed = hop(HopKind::origin, "take");
  failed.backtrace = {frame("take"), frame("_Znwm", "operator new(unsigned long)")};
  r = null_chain({hop(HopKind::store, "open_file"), failed});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_from_failed_allocation);
  // A name that only begins like one.
  failed.backtrace = {frame("take"), frame("malloc_stats_of_program")};
  r = null_chain({hop(HopKind::store, "open_file"), failed});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference);
  // Far out it is the caller of the caller's: a hook, say.
  failed.backtrace.assign(6, frame("take"));
  failed.backtrace.push_back(frame("malloc"));
  r = null_chain({hop(HopKind::store, "open_file"), failed});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference);
}

TEST(ValueRules, ANullThatAFunctionReturnedIsAFailedLookup) {
  report::Hop born = hop(HopKind::origin, "find");
  born.backtrace = {frame("find"), frame("user"), frame("main")};
  Report r = null_chain({hop(HopKind::register_slice, "user"), born});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_from_failed_lookup);
  EXPECT_TRUE(says(r, "find (find.c:7) returned it"));

  r = null_chain({hop(HopKind::register_slice, "find"), born});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference) << "the same function";
  r = null_chain({hop(HopKind::register_slice, "other"), born});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference) << "not called by the user";
  born.kind = HopKind::store;
  r = null_chain({hop(HopKind::register_slice, "user"), born});
  ASSERT_TRUE(null_dereference(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::null_dereference) << "stored, not born there";
}

TEST(ValueRules, ANullOfAnotherThreadIsARace) {
  report::Hop store = hop(HopKind::store, "clear");
  store.position.thread = ThreadId{101};
  Report r = null_chain({store});
  ASSERT_TRUE(raced(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::data_race);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_TRUE(says(r, "Thread 101"));
  EXPECT_EQ(judged(null_chain({store})), BugClass::data_race) << "before a mere null";
  report::Hop inherited = store;
  inherited.position.process = ProcessId{101};
  EXPECT_NE(judged(null_chain({inherited})), BugClass::data_race) << "another process's memory";

  r = null_chain({store});
  r.suspect->value = 5;
  EXPECT_FALSE(raced(r));
  store.position.thread = ThreadId{100};
  r = null_chain({store});
  EXPECT_FALSE(raced(r)) << "the same thread";
  store.position.thread = ThreadId{0};
  r = null_chain({store});
  EXPECT_FALSE(raced(r)) << "a thread that is not known";
  store.position.thread = ThreadId{101};
  store.kind = HopKind::kernel_write;
  r = null_chain({store});
  EXPECT_FALSE(raced(r));
}

// ------------------------------------------------------------------------------ from outside

TEST(ValueRules, BytesThatASignalHandlerWrote) {
  report::Hop store = hop(HopKind::store, "on_alarm");
  store.value_after = 0x99;
  store.backtrace = {frame("on_alarm"), frame("__restore_rt"), frame("work")};
  Report r = chain({store});
  ASSERT_TRUE(from_signal_handler(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::signal_handler_write);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1}));
  EXPECT_TRUE(says(r, "on_alarm (on_alarm.c:7) ran in a signal handler when it stored 0x99"));
  store.backtrace = {frame("on_alarm")};
  store.backtrace[0].stack = report::StackKind::signal;
  r = chain({store});
  EXPECT_TRUE(from_signal_handler(r));
  store.backtrace[0].stack = report::StackKind::native;
  r = chain({store});
  EXPECT_FALSE(from_signal_handler(r));
  store.backtrace = {frame("__restore_rt")};
  store.kind = HopKind::load;
  r = chain({store});
  EXPECT_FALSE(from_signal_handler(r)) << "a handler that only read";
}

TEST(ValueRules, BytesThatTheKernelOrAFileBrought) {
  report::Hop input = hop(HopKind::kernel_write, "read");
  input.summary = "read(3, 0x5000, 64) = 64";
  input.backtrace = {frame("fill_buffer")};
  input.backtrace[0].line = 12;
  Report r = chain({input});
  ASSERT_TRUE(from_kernel(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_input);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1}));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_TRUE(says(r, "read(3, 0x5000, 64) = 64"));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "fill_buffer");
  EXPECT_EQ(r.verdict.cause->line, 12U);

  report::Hop mapped = hop(HopKind::remap, "mmap");
  mapped.source = report::Source{};
  mapped.source->kind = SourceKind::file;
  r = chain({mapped});
  EXPECT_TRUE(from_kernel(r));
  EXPECT_EQ(judged(chain({mapped})), BugClass::bad_input);
  mapped.source->kind = SourceKind::zero;
  r = chain({mapped});
  EXPECT_FALSE(from_kernel(r));
  ASSERT_TRUE(replaced(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::replaced_page);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1}));
  mapped.source.reset();
  r = chain({mapped});
  EXPECT_FALSE(from_kernel(r));
  r = chain({input, hop(HopKind::store, "f")});
  EXPECT_FALSE(from_kernel(r)) << "not where the chain ends";
  EXPECT_FALSE(replaced(r));
}

TEST(ValueRules, AStalePageIsToldFromAFreshOne) {
  report::Hop moved = hop(HopKind::remap, "mremap");
  moved.value_before = 2;
  moved.value_after = 102;
  report::Hop stored = hop(HopKind::store, "main");
  stored.main_line = false;
  stored.parent = 1;
  stored.value_after = 2;
  report::Report r = chain({moved, stored, hop(HopKind::store, "older")});
  ASSERT_TRUE(stale_page(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::replaced_page);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2, 3}));
  EXPECT_NE(r.verdict.explanation.find("stored there was 0x2, by main"), std::string::npos);
  EXPECT_NE(r.verdict.explanation.find("made by older"), std::string::npos);
  moved.value_before = 102;
  r = chain({moved});
  EXPECT_FALSE(stale_page(r)) << "the bytes were the same";
  moved.value_before.reset();
  r = chain({moved});
  EXPECT_FALSE(stale_page(r)) << "nothing was there before";
  moved.syscall = report::Syscall{};
  moved.syscall->name = "mremap";
  r = chain({moved});
  EXPECT_TRUE(stale_page(r)) << "but mremap brings the bytes along";
  moved.kind = HopKind::foreign_write;
  moved.syscall->name = "process_vm_writev";
  r = chain({moved});
  EXPECT_TRUE(stale_page(r));
  moved.main_line = false;
  r = chain({moved});
  EXPECT_FALSE(stale_page(r));
}

TEST(ValueRules, AChangeThatNothingMade) {
  report::Hop stored = hop(HopKind::store, "main");
  stored.main_line = false;
  stored.value_after = 2;
  report::Report r = chain({stored});
  EXPECT_FALSE(unexplained(r));
  r.verdict.stopped_because = report::StopReason::unexplained_change;
  r.verdict.stopped_detail = "all 3 writes were seen";
  EXPECT_EQ(judged(r), BugClass::kernel_or_hardware_suspect);
  ASSERT_TRUE(unexplained(r));
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_NE(r.verdict.explanation.find("all 3 writes were seen"), std::string::npos);
  EXPECT_NE(r.verdict.explanation.find("last store there, of 0x2"), std::string::npos);
}

TEST(ValueRules, AnotherProcess) {
  report::Hop input = hop(HopKind::kernel_write, "__read");
  input.summary = "the kernel wrote it";
  input.syscall = report::Syscall{};
  input.backtrace = {frame("collect")};
  report::Hop sent = hop(HopKind::channel, "__write");
  sent.summary = "process 7 wrote it into a pipe";
  Report r = chain({input, sent, hop(HopKind::origin, "work")});
  ASSERT_TRUE(from_other_process(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_input);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2, 3}));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_TRUE(says(r, "process 7 wrote it into a pipe"));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "collect");
  EXPECT_EQ(judged(chain({input, sent})), BugClass::bad_input);
  r = chain({sent});
  EXPECT_FALSE(from_other_process(r)) << "nobody received it";
  r = chain({input});
  EXPECT_FALSE(from_other_process(r));
}

TEST(ValueRules, ALookupThatFoundNothing) {
  report::Hop read = hop(HopKind::load, "f");
  read.backtrace = {
      frame("_ZNK1M4findEi", "std::_Tree<int, std::pair<int const, T> >::_M_find(int const&)"),
      frame("user"), frame("main")};
  const Report r = null_chain({hop(HopKind::store, "user"), read, hop(HopKind::store, "make")});
  EXPECT_EQ(judged(r), BugClass::null_from_failed_lookup);
  report::Hop other = read;
  const auto with = [&](std::vector<report::Frame> frames) {
    other.backtrace = std::move(frames);
    return judged(null_chain({hop(HopKind::store, "user"), other, hop(HopKind::store, "make")}));
  };
  EXPECT_EQ(with({frame("helper"), frame("user"), frame("find")}), BugClass::null_dereference)
      << "the user was called by a lookup";
  EXPECT_EQ(with({frame("_Zx", "find_all<int>(int)"), frame("user")}),
            BugClass::null_from_failed_lookup);
  EXPECT_EQ(with({frame("refined"), frame("finder"), frame("user")}), BugClass::null_dereference);
  EXPECT_EQ(with({frame("find"), frame("main")}), BugClass::null_dereference) << "not for the user";
  other.kind = HopKind::store;
  EXPECT_EQ(with({frame("find"), frame("user")}), BugClass::null_dereference)
      << "kept, not returned";
}

TEST(ValueRules, AMemberOfANullIsANull) {
  report::Hop null = hop(HopKind::store, "f");
  null.value_after = 0;
  Report r = null_chain({hop(HopKind::store, "g"), null});
  r.suspect->value = 0x28;
  r.crash.fault_address = Address{0x30};
  EXPECT_TRUE(null_dereference(r));
  r.hops[2].value_after = 0x28;
  EXPECT_FALSE(null_dereference(r)) << "nothing on the way was null";
  r.hops[2].value_after = 0;
  r.suspect->value = 0x2800;
  EXPECT_FALSE(null_dereference(r));
}

TEST(ValueRules, TheEndOfTheEnvironmentIsAVariableThatIsNotSet) {
  report::Hop image = hop(HopKind::initial_image, "");
  image.source = report::Source{};
  image.source->kind = SourceKind::argument;
  image.source->description = report::kEndOfEnvironment;
  const Report r = null_chain({hop(HopKind::store, "load"), image});
  EXPECT_EQ(judged(r), BugClass::null_from_failed_lookup);
}

TEST(ValueRules, ArgumentsAndTheEnvironment) {
  report::Hop image = hop(HopKind::initial_image, "");
  image.summary = "argv[2]";
  image.source = report::Source{};
  image.source->kind = SourceKind::argument;
  Report r = chain({hop(HopKind::store, "parse"), image});
  ASSERT_TRUE(from_command_line(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_argument);
  EXPECT_EQ(r.verdict.evidence, (Evidence{2}));
  EXPECT_TRUE(says(r, "argv[2]"));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "parse");
  EXPECT_EQ(judged(chain({hop(HopKind::store, "parse"), image})), BugClass::bad_argument);

  image.source->kind = SourceKind::file;
  r = chain({image});
  EXPECT_FALSE(from_command_line(r)) << "the data segment";
  image.source.reset();
  r = chain({image});
  EXPECT_FALSE(from_command_line(r));
  image.source = report::Source{};
  image.source->kind = SourceKind::argument;
  image.kind = HopKind::origin;
  r = chain({image});
  EXPECT_FALSE(from_command_line(r));
}

// ------------------------------------------------------------------------------ numbers

Report index_chain(std::uint64_t value, StopReason why = StopReason::constant) {
  Report r = chain({hop(HopKind::store, "compute")});
  r.suspect->description = "the index of the address";
  r.suspect->value = value;
  r.verdict.stopped_because = why;
  return r;
}

TEST(ValueRules, AnIndexThatLeadsAstray) {
  Report r = index_chain(5'000'000);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::index_out_of_range);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_TRUE(says(r, "its index 5000000 is not"));
  EXPECT_TRUE(says(r, "made by compute (compute.c:7)"));

  r = index_chain(5'000'000, StopReason::arithmetic);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::index_out_of_range) << "64 bits seldom wrap";
  r = index_chain(5'000'000, StopReason::arithmetic);
  r.hops.back().source.emplace();
  r.hops.back().location.emplace();
  r.hops.back().location->size = 4;
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::integer_overflow) << "computed as an int";

  r = index_chain(~0ULL - 2, StopReason::arithmetic);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::sign_error) << "also where it was computed";
  EXPECT_TRUE(says(r, "its index -3 is not"));
  r = index_chain(0xffff'fffd);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::sign_error) << "an int in a register of its own";
  EXPECT_TRUE(says(r, "its index -3 is not"));
  r = index_chain(0x7fff'ffff);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_constant) << "a mark for nothing";
  r = index_chain(0x7fff'ffff, StopReason::start_of_recording);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::index_out_of_range);
  r = index_chain(0x1'8000'0000);
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::index_out_of_range);

  r = index_chain(0xf100, StopReason::arithmetic);
  r.hops.resize(1);
  r.hops.push_back(hop(HopKind::register_slice, "checksum"));
  r.hops.push_back(hop(HopKind::store, "add"));
  r.hops[1].main_line = r.hops[2].main_line = false;
  r.hops[1].value_after = ~0ULL - 7;
  r.hops[1].source.emplace().description = "the bound of the loop";
  r.hops[2].location = place(RegionKind::heap, 0x5000, 4);
  r.hops[2].value_after = 0xffff'fff8;
  report::number_hops(r.hops);
  r.hops[1].parent = 0;
  r.hops[2].parent = 1;
  ASSERT_TRUE(bad_index(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::sign_error);
  EXPECT_TRUE(says(r, "its bound was -8"));
  EXPECT_EQ(r.verdict.cause->function, "add");

  r = index_chain(7);
  r.hops.resize(1);
  ASSERT_TRUE(bad_index(r));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "reader");
  r.suspect->description = "the base register";
  EXPECT_FALSE(bad_index(r));
  r.suspect.reset();
  EXPECT_FALSE(bad_index(r));
}

report::Hop number_store(const std::string& type) {
  report::Hop out = hop(HopKind::store, "fill");
  out.location = object(RegionKind::heap, 0x5000, 16);
  out.location->owner->variable = "event";
  out.location->owner->type = type;
  return out;
}

TEST(ValueRules, ANumberThatWasUsedAsAPointer) {
  for (const char* type : {"int", "double", "const unsigned int", "volatile long", "f64"}) {
    Report r = chain({number_store(type)});
    ASSERT_TRUE(confused_types(r)) << type;
    EXPECT_EQ(r.verdict.bug_class, BugClass::type_confusion);
    EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
    EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  }
  // The member's type counts, not that of the whole.
  report::Hop member = number_store("union value");
  member.location->owner->member = "number";
  member.location->owner->member_type = "double";
  Report r = chain({member});
  ASSERT_TRUE(confused_types(r));
  EXPECT_TRUE(says(r, "0x123456780 was used as a pointer"));
  EXPECT_TRUE(says(r, "stored it as a number (double) into event.number"));
  member.location->owner->type = "int";
  member.location->owner->member_type = "char *";
  r = chain({member});
  EXPECT_FALSE(confused_types(r));

  for (const char* type : {"char *", "uintptr_t", "unsigned long", "uint64_t", "void *", ""}) {
    r = chain({number_store(type)});
    EXPECT_FALSE(confused_types(r)) << type << " may hold a pointer";
  }
  report::Hop local = number_store("int");
  local.location->region = RegionKind::stack;
  r = chain({local});
  EXPECT_FALSE(confused_types(r)) << "a compiler's temporary";
  report::Hop part = number_store("int");
  part.bytes = report::ValueBytes{0, 4};
  r = chain({part});
  EXPECT_FALSE(confused_types(r)) << "only a part of the value";
  report::Hop aside = number_store("int");
  aside.main_line = false;
  r = chain({aside});
  EXPECT_FALSE(confused_types(r));
  r = chain({number_store("int")});
  r.crash.fault_address.reset();
  EXPECT_FALSE(confused_types(r)) << "nothing was accessed";
}

TEST(ValueRules, WhatMallocKeepsBeforeABlockIsNoValueOfTheProgram) {
  report::Hop size = hop(HopKind::store, "_int_malloc");
  size.location = object(RegionKind::heap, 0x5000, 48);
  size.location->owner->variable = "*victim";
  size.location->owner->member = "mchunk_size";
  size.value_after = 0x151;
  Report r = chain({size});
  ASSERT_TRUE(read_block_header(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::index_out_of_range);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.cause->function, "reader");
  EXPECT_EQ(judged(chain({size})), BugClass::index_out_of_range);
  size.location->owner->member = "fd";
  r = chain({size});
  EXPECT_FALSE(read_block_header(r)) << "a word of a block that is free";
  size.location->owner->member = "mchunk_size";
  size.writer.function = "resize_table";
  r = chain({size});
  EXPECT_FALSE(read_block_header(r)) << "a program's own member of that name";
}

TEST(ValueRules, AConstantIsTheCodesOwn) {
  Report r = chain({hop(HopKind::store, "init")});
  r.verdict.stopped_because = StopReason::constant;
  ASSERT_TRUE(constant(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_constant);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1}));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_TRUE(says(r, "init (init.c:7) stored the constant itself"));
  r.hops.resize(1);
  ASSERT_TRUE(constant(r));
  EXPECT_EQ(r.verdict.evidence, (Evidence{0}));
  EXPECT_TRUE(says(r, "reader (reader.c:7) used the constant itself"));
  r.hops.clear();
  EXPECT_FALSE(constant(r));
  r = chain({hop(HopKind::store, "init")});
  EXPECT_FALSE(constant(r)) << "stopped for another reason";
}

TEST(ValueRules, AConstantOfTheProgramsFileIsItsCopiersOwn) {
  report::Hop image = hop(HopKind::initial_image, "");
  image.location = report::Location{};
  image.location->region = RegionKind::code;
  image.location->description = "p .rodata";
  Report r = chain({hop(HopKind::store, "fill"), image});
  r.verdict.stopped_because = StopReason::initial_image;
  ASSERT_TRUE(constant(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::bad_constant);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2}));
  EXPECT_TRUE(says(r, "fill (fill.c:7) copied a constant of the program's file (p .rodata)"));
  EXPECT_EQ(r.verdict.cause->function, "fill");
  r.hops.back().location->region = RegionKind::heap;
  EXPECT_FALSE(constant(r)) << "not of the file";
  r = chain({image});
  r.verdict.stopped_because = StopReason::initial_image;
  EXPECT_FALSE(constant(r)) << "nobody copied it";
}

TEST(ValueRules, AnOpenEndSaysWhereAndWhy) {
  Report r = chain({hop(HopKind::store, "f"), hop(HopKind::block_copy, "g")});
  r.verdict.stopped_detail = "no pass saw the writer";
  ASSERT_TRUE(open_end(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::unknown);
  EXPECT_EQ(r.verdict.confidence, Confidence::unknown);
  EXPECT_EQ(r.verdict.evidence, (Evidence{2}));
  EXPECT_TRUE(says(r, "last traced to g (g.c:7)"));
  EXPECT_TRUE(says(r, "no pass saw the writer"));
  Report none;
  ASSERT_TRUE(open_end(none)) << "the last rule always fits";
  EXPECT_TRUE(none.verdict.evidence.empty());
}

// ------------------------------------------------------------------------------ all of them

TEST(ValueRules, NoneButTheLastSpeaksOfAnEmptyReport) {
  for (const auto rule :
       {from_signal_handler, from_kernel, from_other_process, refused_by_check, from_command_line,
        replaced, bad_index, raced, null_dereference, confused_types, constant}) {
    Report r;
    EXPECT_FALSE(rule(r));
    EXPECT_EQ(r, Report{}) << "a rule that does not apply leaves no trace";
    r = chain({hop(HopKind::store, "f"), hop(HopKind::origin, "g")});
    const Report before = r;
    EXPECT_FALSE(rule(r));
    EXPECT_EQ(r, before);
  }
}

TEST(Judge, WhoseMemoryItWasSaysMoreThanWhatTheValueIs) {
  const auto with = [](
                        std::vector<report::Hop> hops,
                        const std::function<void(Report&)>& change = [](Report&) {}) {
    Report r = null_chain(std::move(hops));
    change(r);
    return judged(std::move(r));
  };
  // A null that was read from a block that had been freed.
  report::Hop freed = hop(HopKind::release, "drop");
  freed.location = object(RegionKind::heap, 0x5000, 48);
  EXPECT_EQ(with({freed}), BugClass::use_after_free);
  // A null in memory that was never written.
  report::Hop stale = hop(HopKind::stale_bytes, "make");
  stale.location = object(RegionKind::heap, 0x5000, 64);
  EXPECT_EQ(with({stale}), BugClass::uninitialised_heap);
  stale.location->region = RegionKind::stack;
  EXPECT_EQ(with({stale, freed}), BugClass::uninitialised_stack) << "the first rule of all";
  // A null that another thread's overflow stored.
  report::Hop store = hop(HopKind::store, "fill");
  store.position.thread = ThreadId{101};
  store.location = place(RegionKind::heap, 0x5048);
  report::Hop handed_out = hop(HopKind::allocation, "make");
  handed_out.location = object(RegionKind::heap, 0x5000, 64);
  EXPECT_EQ(with({store, handed_out}), BugClass::heap_overflow);
  // A null that a signal handler of another thread stored.
  report::Hop handler = hop(HopKind::store, "on_alarm");
  handler.position.thread = ThreadId{101};
  handler.backtrace = {frame("__restore_rt")};
  EXPECT_EQ(with({handler}), BugClass::signal_handler_write);
  // A null that was read from a file, and one from a page that was replaced.
  EXPECT_EQ(with({hop(HopKind::kernel_write, "read")}), BugClass::bad_input);
  EXPECT_EQ(with({hop(HopKind::remap, "mmap")}), BugClass::replaced_page);
  // An index of zero is an index; a null that an int was is a null; both before "a constant".
  const auto is_constant = [](Report& r) { r.verdict.stopped_because = StopReason::constant; };
  EXPECT_EQ(with({hop(HopKind::store, "f")},
                 [](Report& r) { r.suspect->description = "the index of the address"; }),
            BugClass::index_out_of_range);
  EXPECT_EQ(with({number_store("int")}, is_constant), BugClass::null_dereference);
  EXPECT_EQ(with({number_store("int")},
                 [&](Report& r) {
                   is_constant(r);
                   r.suspect->value = 77;
                 }),
            BugClass::type_confusion);
  EXPECT_EQ(with({hop(HopKind::store, "f")},
                 [&](Report& r) {
                   is_constant(r);
                   r.suspect->value = 77;
                 }),
            BugClass::bad_constant);
  EXPECT_EQ(with({hop(HopKind::store, "f")}, [](Report& r) { r.suspect->value = 77; }),
            BugClass::unknown);
}

}  // namespace
}  // namespace culprit::verdict
