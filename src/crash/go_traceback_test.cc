#include "crash/go_traceback.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::crash {
namespace {

std::optional<ParsedFrame> frame_of(std::string_view text) {
  TextLines lines(text);
  return parse_frame(lines, LinePrefix());
}

TEST(StackHeader, ReadsOldAndNewForms) {
  const auto old = parse_stack_header("goroutine 18 [running, locked to thread]:");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->goroutine, 18);
  EXPECT_EQ(old->state, "running, locked to thread");
  EXPECT_EQ(old->kind, StackKind::goroutine);
  const auto recent = parse_stack_header("goroutine 1 gp=0x2daa68cc1e0 m=3 mp=0x533460 [syscall]:");
  ASSERT_TRUE(recent);
  EXPECT_EQ(recent->machine, 3);
  EXPECT_EQ(recent->state, "syscall");
  const auto idle = parse_stack_header("goroutine 2 gp=0x2daa68ccd20 m=nil [force gc (idle)]:");
  ASSERT_TRUE(idle);
  EXPECT_FALSE(idle->machine);
  EXPECT_EQ(idle->state, "force gc (idle)");
  EXPECT_EQ(parse_stack_header("goroutine 0 [idle]:")->kind, StackKind::runtime);
  EXPECT_EQ(parse_stack_header("runtime stack:")->kind, StackKind::runtime);
}

TEST(StackHeader, RefusesOtherLines) {
  EXPECT_FALSE(parse_stack_header("goroutine leak"));
  EXPECT_FALSE(parse_stack_header("goroutine 7 running"));
  EXPECT_FALSE(parse_stack_header("goroutine 99999999999999999999 [running]:"));
  EXPECT_FALSE(parse_stack_header(""));
}

TEST(ParseFrame, ReadsArgumentsOfAllKinds) {
  const auto found =
      frame_of("a.(*M[...]).f({0x1?, 0xffffffffffffffff}, _, 0x3, ...)\n\t/x/y.go:7 +0x1c5\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines, 2U);
  EXPECT_EQ(found->frame.function, "a.(*M[...]).f");
  ASSERT_EQ(found->frame.arguments.size(), 3U);
  EXPECT_EQ(found->frame.arguments[0], (Argument{1, true}));
  EXPECT_EQ(found->frame.arguments[1], (Argument{~std::uint64_t{0}, false}));
  EXPECT_TRUE(found->frame.arguments_cut);
  EXPECT_EQ(found->frame.file, "/x/y.go");
  EXPECT_EQ(found->frame.line, 7U);
  EXPECT_EQ(found->frame.pc_offset, 0x1c5U);
}

TEST(ParseFrame, KeepsPathsWithColonsSpacesAndAtSigns) {
  const auto found =
      frame_of("m.f()\n\t/a b/[email protected]/C:/x.go:12 +0x1 fp=0x10 sp=0x8 pc=0x4\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->frame.file, "/a b/[email protected]/C:/x.go");
  EXPECT_EQ(found->frame.line, 12U);
  EXPECT_EQ(found->frame.fp, Address{0x10});
  EXPECT_EQ(found->frame.sp, Address{0x8});
  EXPECT_EQ(found->frame.pc, Address{0x4});
}

TEST(ParseFrame, PutsFoldedFramesTogether) {
  const auto found = frame_of(
      "g.newStream({0x1, 0x2}, \n0x3, 0x4)\n        /x/stream.go:223 \n+0x585 fp=0x30 sp=0x20 "
      "\npc=0x10\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines, 5U);
  EXPECT_EQ(found->frame.arguments.size(), 4U);
  EXPECT_EQ(found->frame.pc_offset, 0x585U);
  EXPECT_EQ(found->frame.pc, Address{0x10});
}

TEST(ParseFrame, DoesNotTakeTheNextFramesLocation) {
  EXPECT_FALSE(frame_of("m.f(0x1)\nm.g(0x2)\n\t/x.go:1 +0x1\n"));
  const auto found = frame_of("m.f(0x1)\nother output\n\t/x.go:1 +0x1\n");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->lines, 3U);
}

TEST(ParseFrame, RefusesProse) {
  EXPECT_FALSE(frame_of("it failed (as expected)\n\t/x.go:1\n"));
  EXPECT_FALSE(frame_of("m.f(0x1)\n"));
  EXPECT_FALSE(frame_of("m.f(0x1)\n\n\t/x.go:1\n"));
  EXPECT_FALSE(frame_of("m.f(0x1)\n\tno location\n"));
  EXPECT_FALSE(frame_of("(0x1)\n\t/x.go:1\n"));
  EXPECT_FALSE(frame_of(std::string(20000, 'a') + "(0x1)\n\t/x.go:1\n"));
}

}  // namespace
}  // namespace culprit::crash
