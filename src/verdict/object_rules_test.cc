// Each rule on the shape that it is for, and on shapes that lack one of its premises.
#include <gtest/gtest.h>

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
using testing::chain;
using testing::frame;
using testing::hop;
using testing::object;
using testing::place;

using Evidence = std::vector<std::uint32_t>;

/// The class that judge() finds.
BugClass judged(Report r) {
  judge(r);
  return r.verdict.bug_class;
}

bool says(const Report& r, const std::string& part) {
  return r.verdict.explanation.find(part) != std::string::npos;
}

report::Hop stale_heap() {
  report::Hop out = hop(HopKind::stale_bytes, "make_session");
  out.location = object(RegionKind::heap, 0x5000, 64);
  out.location->owner->offset = 24;
  out.value_after = 0xabcdef;
  return out;
}

// ------------------------------------------------------------------------------ uninitialised

TEST(ObjectRules, StaleBytesOnTheStackAreAnUninitialisedVariable) {
  report::Hop stale = hop(HopKind::stale_bytes, "f");
  stale.location = object(RegionKind::stack, 0x7000, 8);
  stale.location->owner->variable = "request";
  stale.location->owner->function = "f";
  Report r = chain({stale});
  ASSERT_TRUE(uninitialised_stack(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::uninitialised_stack);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1})) << "who read it, and that it was stale";
  EXPECT_EQ(r.verdict.confidence, Confidence::proved);
  EXPECT_NE(r.verdict.title.find("variable request"), std::string::npos);
  EXPECT_EQ(judged(chain({stale})), BugClass::uninitialised_stack);

  report::Hop heap = stale;
  heap.location->region = RegionKind::heap;
  r = chain({heap});
  EXPECT_FALSE(uninitialised_stack(r)) << "the heap has a rule of its own";
  report::Hop nobodys = stale;
  nobodys.location->owner.reset();
  r = chain({nobodys});
  EXPECT_FALSE(uninitialised_stack(r));
  report::Hop nowhere = stale;
  nowhere.location.reset();
  r = chain({nowhere});
  EXPECT_FALSE(uninitialised_stack(r));
  report::Hop aside = stale;
  aside.main_line = false;
  r = chain({aside});
  EXPECT_FALSE(uninitialised_stack(r)) << "on a side branch";
  r = chain({hop(HopKind::store, "f")});
  EXPECT_FALSE(uninitialised_stack(r));
}

TEST(ObjectRules, StaleBytesOfABlockAreUninitialisedHeap) {
  Report r = chain({stale_heap()});
  ASSERT_TRUE(uninitialised_heap(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::uninitialised_heap);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1}));
  EXPECT_NE(r.verdict.title.find("offset 24 of a block of 64 bytes"), std::string::npos);
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "make_session") << "who allocated it";
  EXPECT_FALSE(says(r, "earlier owner"));

  r = chain({stale_heap(), hop(HopKind::store, "earlier")});
  ASSERT_TRUE(uninitialised_heap(r));
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2}));
  EXPECT_TRUE(says(r, "earlier (earlier.c:7) stored 0xabcdef there"));
  EXPECT_EQ(judged(chain({stale_heap(), hop(HopKind::store, "earlier")})),
            BugClass::uninitialised_heap);

  report::Hop unsure = stale_heap();
  unsure.confidence = Confidence::unknown;
  r = chain({unsure});
  ASSERT_TRUE(uninitialised_heap(r));
  EXPECT_EQ(r.verdict.confidence, Confidence::unknown);

  report::Hop stack = stale_heap();
  stack.location->region = RegionKind::stack;
  r = chain({stack});
  EXPECT_FALSE(uninitialised_heap(r));
  report::Hop nobodys = stale_heap();
  nobodys.location->owner.reset();
  r = chain({nobodys});
  EXPECT_FALSE(uninitialised_heap(r));
}

// ------------------------------------------------------------------------------ ended lives

report::Hop store_into_dead_frame() {
  report::Hop out = hop(HopKind::store, "callee");
  out.location = object(RegionKind::stack, 0x7000, 8);
  out.location->owner->life.died = report::LifeEvent{};
  return out;
}

TEST(ObjectRules, AFrameThatHadEnded) {
  Report r = chain({store_into_dead_frame()});
  ASSERT_TRUE(dangling_stack_pointer(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_return);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1}));

  report::Hop other = store_into_dead_frame();
  other.position.thread = ThreadId{101};
  r = chain({other});
  ASSERT_TRUE(dangling_stack_pointer(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::dead_thread_stack);
  report::Hop unknown_thread = store_into_dead_frame();
  unknown_thread.position.thread = ThreadId{0};
  r = chain({unknown_thread});
  ASSERT_TRUE(dangling_stack_pointer(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_return) << "0 is not known, not another one";

  report::Hop living = store_into_dead_frame();
  living.location->owner->life.died.reset();
  r = chain({living});
  EXPECT_FALSE(dangling_stack_pointer(r));
  report::Hop copied = store_into_dead_frame();
  copied.kind = HopKind::block_copy;
  r = chain({copied});
  EXPECT_FALSE(dangling_stack_pointer(r));
  r = chain({store_into_dead_frame(), hop(HopKind::origin, "main")});
  EXPECT_FALSE(dangling_stack_pointer(r)) << "the chain went on behind it";
}

report::Hop released(const std::string& how = "free(0x5000)") {
  report::Hop out = hop(HopKind::release, "drop");
  out.location = object(RegionKind::heap, 0x5000, 48);
  out.location->owner->life.died = report::LifeEvent{};
  out.location->owner->life.died->description = how;
  return out;
}

TEST(ObjectRules, ABlockThatWasUsedAfterItsRelease) {
  Report r = chain({released()});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_free);
  EXPECT_EQ(r.verdict.confidence, Confidence::proved);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_TRUE(says(r, "The block of 48 bytes at 0x5000 was given up by drop (drop.c:7)"));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "drop");

  // A stale pointer's store into the next owner's block.
  report::Hop store = hop(HopKind::store, "late");
  store.value_after = 0x77;
  r = chain({store, released()});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_free);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2}));
  EXPECT_TRUE(says(r, "while late (late.c:7) stored 0x77 there"));

  report::Hop nowhere = released();
  nowhere.location.reset();
  r = chain({nowhere});
  EXPECT_FALSE(released_before(r));
  report::Hop handed_out = released();
  handed_out.kind = HopKind::allocation;
  r = chain({handed_out});
  EXPECT_FALSE(released_before(r));
  r = chain({released(), hop(HopKind::origin, "main")});
  EXPECT_FALSE(released_before(r));
}

TEST(ObjectRules, TheKindOfReleaseTellsTheClass) {
  // To be freed again when the program stopped itself.
  Report r = chain({released()});
  r.crash.signal_name = "SIGABRT";
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::double_free);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely) << "which of the two is wrong is not seen";
  EXPECT_TRUE(says(r, "freed again"));
  // An abort for another reason: something was found in between.
  r = chain({hop(HopKind::load, "check"), released()});
  r.crash.signal_name = "SIGABRT";
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_free);

  r = chain({released("realloc(0x5000, 96)")});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_realloc);

  report::Hop grown = released();
  grown.backtrace = {frame("free"), frame("_ZdlPv", "operator delete(void*)"),
                     frame("x", "void std::vector<int>::_M_realloc_insert<int>(int&&)")};
  r = chain({grown});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::iterator_invalidated);
  // An element that its owner deletes is not the container's storage.
  grown.backtrace = {frame("free"), frame("d", "std::default_delete<int>::operator()(int*) const"),
                     frame("x", "void std::vector<int>::_M_erase(int*)")};
  r = chain({grown});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_free);
  // A container of the program's own, by its name; not where the file is unknown.
  report::Frame own = frame("y", "Table::grow(int)");
  own.file = "/home/user/table.cc";
  grown.backtrace = {frame("free"), own};
  r = chain({grown});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::iterator_invalidated);
  grown.backtrace = {frame("free"), frame("y", "Pool::reserve(int)")};
  r = chain({grown});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_free);

  report::Hop coroutine = released();
  coroutine.backtrace = {frame("free"), frame("_Z4taskv.destroy", "task() [clone .destroy]")};
  r = chain({coroutine});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::coroutine_use_after_destroy);

  report::Hop shared = released();
  shared.backtrace = {frame("free"), frame("z", "std::_Sp_counted_base<>::_M_release()")};
  r = chain({shared});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_free);
  EXPECT_EQ(r.verdict.confidence, Confidence::likely) << "whose reference it was is not seen";
  shared.confidence = Confidence::unknown;
  r = chain({shared});
  ASSERT_TRUE(released_before(r));
  EXPECT_EQ(r.verdict.confidence, Confidence::unknown);
}

TEST(ObjectRules, MemoryThatWasUnmapped) {
  report::Hop change = hop(HopKind::remap, "close_map");
  change.summary = "munmap(0x5000, 4096)";
  change.location = place(RegionKind::unmapped);
  Report r = chain({change});
  ASSERT_TRUE(unmapped(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::use_after_unmap);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_TRUE(says(r, "munmap(0x5000, 4096) took the memory away"));
  EXPECT_EQ(judged(chain({change})), BugClass::use_after_unmap);

  report::Hop replaced_page = change;
  replaced_page.location->region = RegionKind::heap;
  r = chain({replaced_page});
  EXPECT_FALSE(unmapped(r));
  EXPECT_EQ(judged(chain({replaced_page})), BugClass::replaced_page);
  report::Hop nowhere = change;
  nowhere.location.reset();
  r = chain({nowhere});
  EXPECT_FALSE(unmapped(r));
  report::Hop stored = change;
  stored.kind = HopKind::store;
  r = chain({stored});
  EXPECT_FALSE(unmapped(r));
}

// ------------------------------------------------------------------------------ out of bounds

/// `size` bytes stored at `at`, through a pointer into 64 bytes at 0x5000.
Report stored_at(std::uint64_t at, RegionKind region, std::uint64_t size = 8) {
  report::Hop store = hop(HopKind::store, "fill");
  store.location = place(RegionKind::heap, at, size);
  report::Hop handed_out = hop(HopKind::allocation, "make");
  handed_out.location = object(region, 0x5000, 64);
  return chain({store, handed_out});
}

TEST(ObjectRules, AStoreBesideItsObject) {
  Report r = stored_at(0x5048, RegionKind::heap);
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::heap_overflow);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2}));
  EXPECT_EQ(r.verdict.confidence, Confidence::proved);
  EXPECT_TRUE(says(r, "the store went 8 bytes behind the end of it"));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "fill") << "who stored, not who allocated";

  r = stored_at(0x4ff0, RegionKind::heap);
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::heap_underflow);
  EXPECT_TRUE(says(r, "the store went 8 bytes below the start of it"));
  // A store that reaches into the object from below is not a negative distance away.
  r = stored_at(0x4ffc, RegionKind::heap);
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::heap_underflow);
  EXPECT_TRUE(says(r, "the store went 0 bytes below the start of it"));

  for (const RegionKind stack : {RegionKind::stack, RegionKind::runtime_stack}) {
    r = stored_at(0x5040, stack);
    ASSERT_TRUE(out_of_bounds(r));
    EXPECT_EQ(r.verdict.bug_class, BugClass::stack_buffer_overflow);
  }
  r = stored_at(0x5040, RegionKind::global);
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::global_overflow);
}

TEST(ObjectRules, AStoreInsideItsObjectIsInBounds) {
  Report r = stored_at(0x5000, RegionKind::heap);
  EXPECT_FALSE(out_of_bounds(r));
  r = stored_at(0x503f, RegionKind::heap, 1);
  EXPECT_FALSE(out_of_bounds(r)) << "the last byte";
  // A premise is missing: the object's size, its place, that it was a store, where that went.
  r = stored_at(0x5048, RegionKind::heap);
  r.hops[2].location->owner->object_size.reset();
  EXPECT_FALSE(out_of_bounds(r));
  r = stored_at(0x5048, RegionKind::heap);
  r.hops[2].location.reset();
  EXPECT_FALSE(out_of_bounds(r));
  r = stored_at(0x5048, RegionKind::heap);
  r.hops[1].kind = HopKind::kernel_write;
  EXPECT_FALSE(out_of_bounds(r));
  r = stored_at(0x5048, RegionKind::heap);
  r.hops[1].location.reset();
  EXPECT_FALSE(out_of_bounds(r));
  r = stored_at(0x5048, RegionKind::heap);
  r.hops[1].main_line = false;
  EXPECT_FALSE(out_of_bounds(r)) << "the store is on a side branch";
  r = stored_at(0x5048, RegionKind::heap);
  r.hops[1].confidence = Confidence::likely;
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
}

TEST(ObjectRules, TheCanaryAndTheReturnAddress) {
  for (const char* what : {"the stack protector's canary", "the address that was returned to"}) {
    Report r = chain({hop(HopKind::store, "fill")});
    r.suspect->description = what;
    ASSERT_TRUE(smashed_stack(r));
    EXPECT_EQ(r.verdict.bug_class, BugClass::stack_buffer_overflow);
    EXPECT_EQ(r.verdict.confidence, Confidence::likely);
    EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
    EXPECT_TRUE(says(r, std::string("fill (fill.c:7) wrote over ") + what));
    r = chain({hop(HopKind::kernel_write, "read")});
    r.suspect->description = what;
    EXPECT_FALSE(smashed_stack(r)) << "nothing stored it";
  }
  Report r = chain({hop(HopKind::store, "fill")});
  EXPECT_FALSE(smashed_stack(r)) << "another suspect";
  r.suspect.reset();
  EXPECT_FALSE(smashed_stack(r));
  // Where the store's own object is known, that says more.
  r = stored_at(0x5048, RegionKind::stack);
  r.suspect->description = "the stack protector's canary";
  judge(r);
  EXPECT_EQ(r.verdict.bug_class, BugClass::stack_buffer_overflow);
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2}));
}

// ------------------------------------------------------------------------------ others

Report bad_free() {
  Report r = chain({hop(HopKind::store, "keep")});
  r.crash.signal_name = "SIGABRT";
  r.suspect->description = "the pointer that was to be freed";
  return r;
}

TEST(ObjectRules, APointerThatIsNoBlock) {
  Report r = bad_free();
  ASSERT_TRUE(freed_what_is_no_block(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::invalid_free);
  EXPECT_EQ(r.verdict.evidence, (Evidence{0, 1}));
  EXPECT_EQ(r.verdict.confidence, Confidence::likely);
  EXPECT_TRUE(says(r, "The pointer was made by keep (keep.c:7)"));
  r = bad_free();
  r.hops.resize(1);
  ASSERT_TRUE(freed_what_is_no_block(r));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "reader") << "only who freed it is known";

  r = bad_free();
  r.crash.signal_name = "SIGSEGV";
  EXPECT_FALSE(freed_what_is_no_block(r));
  r = bad_free();
  r.suspect->description = "a pointer";
  EXPECT_FALSE(freed_what_is_no_block(r));
  r = bad_free();
  r.suspect.reset();
  EXPECT_FALSE(freed_what_is_no_block(r));
  // A block that is known to have been freed before is a double free.
  r = bad_free();
  r.hops[1] = released();
  report::number_hops(r.hops);
  EXPECT_EQ(judged(r), BugClass::double_free);
}

TEST(ObjectRules, AStackThatIsUsedUpNamesWhoRecurses) {
  Report r = chain({});
  r.suspect->description = "the stack pointer";
  r.crash.frames = {frame("leaf"), frame("walk"), frame("visit"),
                    frame("walk"), frame("walk"), frame("main")};
  ASSERT_TRUE(stack_exhausted(r));
  EXPECT_EQ(r.verdict.bug_class, BugClass::stack_exhaustion);
  EXPECT_TRUE(says(r, "3 of its innermost 6 frames are walk"));
  ASSERT_TRUE(r.verdict.cause);
  EXPECT_EQ(r.verdict.cause->function, "walk");
  r.crash.frames.clear();
  r.verdict.cause.reset();
  ASSERT_TRUE(stack_exhausted(r));
  EXPECT_FALSE(r.verdict.cause);
  r.suspect->description = "the base register";
  EXPECT_FALSE(stack_exhausted(r));
  r.suspect.reset();
  EXPECT_FALSE(stack_exhausted(r));
}

// ------------------------------------------------------------------------------ all of them

TEST(ObjectRules, NoHopIsCitedThatIsNotThere) {
  for (const char* what : {"the stack pointer", "the pointer that was to be freed"}) {
    Report r = chain({});
    r.crash.signal_name = "SIGABRT";
    r.suspect->description = what;
    r.hops.clear();
    judge(r);
    EXPECT_NE(r.verdict.bug_class, BugClass::unknown) << what;
    EXPECT_TRUE(r.verdict.evidence.empty()) << what;
  }
}

TEST(ObjectRules, NoneSpeaksOfAnEmptyReport) {
  for (const auto rule :
       {uninitialised_stack, uninitialised_heap, dangling_stack_pointer, released_before,
        out_of_bounds, freed_what_is_no_block, unmapped, stack_exhausted, smashed_stack}) {
    Report r;
    EXPECT_FALSE(rule(r));
    EXPECT_EQ(r, Report{}) << "a rule that does not apply leaves no trace";
    r = chain({hop(HopKind::store, "f"), hop(HopKind::origin, "g")});
    const Report before = r;
    EXPECT_FALSE(rule(r));
    EXPECT_EQ(r, before);
  }
}

TEST(ObjectRules, ALengthThatCameFromOutsideIsTold) {
  report::Hop store = hop(HopKind::store, "on_message");
  store.location = place(RegionKind::stack, 0x5028);
  report::Hop meant = hop(HopKind::allocation, "main");
  meant.location = object(RegionKind::stack, 0x5000, 0x20);
  report::Hop told = hop(HopKind::register_slice, "on_message");
  told.main_line = false;
  told.parent = 1;
  told.value_after = 48;
  told.source = report::Source{};
  told.source->description = report::kToldLength;
  report::Hop kernel = hop(HopKind::kernel_write, "recv");
  kernel.main_line = false;
  kernel.parent = 3;
  kernel.summary = "the kernel wrote 0x30 into m.length (recvfrom)";
  Report r = chain({store, meant, told, kernel});
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_TRUE(says(
      r,
      "It had been told to write 48 bytes. That length came from outside: the kernel wrote 0x30"));
  EXPECT_EQ(r.verdict.evidence, (Evidence{1, 2, 3, 4}));
  kernel = hop(HopKind::origin, "length_of");
  kernel.main_line = false;
  kernel.parent = 3;
  r = chain({store, meant, told, kernel});
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_TRUE(says(r, "That length was made by length_of (length_of.c:7)"));
  told.source->description.clear();
  r = chain({store, meant, told});
  ASSERT_TRUE(out_of_bounds(r));
  EXPECT_FALSE(says(r, "told to write"));
}

}  // namespace
}  // namespace culprit::verdict
