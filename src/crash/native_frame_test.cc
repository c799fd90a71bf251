#include "crash/native_frame.h"

#include <gtest/gtest.h>

namespace culprit::crash {
namespace {

Frame sanitizer(std::string_view text) {
  const auto numbered = parse_sanitizer_frame(text);
  EXPECT_TRUE(numbered) << text;
  return numbered ? numbered->frame : Frame{};
}

TEST(SanitizerFrame, PlaceOrModule) {
  Frame frame = sanitizer("    #3 0x4c3a1d in a::f(int, char (&) [4]) const /src/a.cc:12:5");
  EXPECT_EQ(frame.function, "a::f(int, char (&) [4]) const");
  EXPECT_EQ(frame.file, "/src/a.cc");
  EXPECT_EQ(frame.line, 12U);
  EXPECT_EQ(frame.column, 5U);
  EXPECT_EQ(frame.pc, Address{0x4c3a1d});

  frame = sanitizer("#0 0x7f1 in free (/tmp/x y/prog+0xa5f22) (BuildId: b344)");
  EXPECT_EQ(frame.function, "free");
  EXPECT_EQ(frame.module, "/tmp/x y/prog");
  EXPECT_EQ(frame.module_offset, 0xa5f22U);

  frame = sanitizer("#6 <null> <null> (libstdc++.so.6+0xd44a2) (BuildId: 289e)");
  EXPECT_EQ(frame.function, "<null>");
  EXPECT_EQ(frame.module, "libstdc++.so.6");

  frame = sanitizer("#1 0x5562  (/tmp/prog+0x23)");
  EXPECT_EQ(frame.function, "");
  EXPECT_EQ(frame.module_offset, 0x23U);

  frame = sanitizer("#8 0x7f in clone3 misc/../sysdeps/clone3.S:81");
  EXPECT_EQ(frame.file, "misc/../sysdeps/clone3.S");
  EXPECT_EQ(frame.line, 81U);
  EXPECT_EQ(frame.column, 0U);

  frame = sanitizer("#0 0x7f in f /home/some one/my src/x.c:8:1");
  EXPECT_EQ(frame.function, "f");
  EXPECT_EQ(frame.file, "/home/some one/my src/x.c");
}

TEST(SanitizerFrame, RefusesOtherLines) {
  for (const std::string_view text :
       {"", "#", "#x 0x1 in f", "#1", "#1 ", "#99999999999999999999 0x1 in f",
        "#1 0x11111111111111111 in f", "1 0x1 in f"}) {
    EXPECT_FALSE(parse_sanitizer_frame(text)) << text;
  }
}

TEST(SanitizerFrame, KnowsWhatIsMissing) {
  EXPECT_TRUE(is_open_sanitizer_frame("#1 0x1 in std::vector<int,"));
  EXPECT_FALSE(is_open_sanitizer_frame("#1 0x1 in f /x.c:1"));
  EXPECT_FALSE(is_open_sanitizer_frame("#0 sleep <null> (prog+0x507da)"));
}

TEST(ValgrindFrame, PlaceOrModule) {
  auto frame = parse_valgrind_frame("   at 0x109175: read_at (valgrind.c:13)");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "read_at");
  EXPECT_EQ(frame->line, 13U);
  frame = parse_valgrind_frame("by 0x48: operator new[](unsigned long) (in /usr/lib/x (1).so)");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->module, "/usr/lib/x (1).so");
  EXPECT_EQ(frame->function, "operator new[](unsigned long)");
  frame = parse_valgrind_frame("by 0x4883249: (below main) (libc_start_call_main.h:58)");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "(below main)");
  frame = parse_valgrind_frame("at 0x1234: ???");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "");
  EXPECT_FALSE(parse_valgrind_frame("at the end"));
  EXPECT_FALSE(parse_valgrind_frame("at 0x12"));
}

TEST(GlibcFrame, AllForms) {
  auto frame = parse_glibc_frame("/lib/libc.so.6(cfree+0x6c)[0x7f3c0f1beaac]");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->function, "cfree");
  EXPECT_EQ(frame->pc_offset, 0x6cU);
  frame = parse_glibc_frame("/lib/libc.so.6(+0x76d76)[0x7f3c0f1b9d76]");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->module_offset, 0x76d76U);
  frame = parse_glibc_frame("./server[0x4004f9]");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->module, "./server");
  EXPECT_FALSE(parse_glibc_frame("array[0x4] = 1"));
  EXPECT_FALSE(parse_glibc_frame("x is a [0x4]"));
}

TEST(RustFrame, WithAndWithoutAddress) {
  auto numbered = parse_rust_frame("  17:     0x555e83285167 - rust::main::h7319e4b52de23fa2");
  ASSERT_TRUE(numbered);
  EXPECT_EQ(numbered->number, 17U);
  EXPECT_EQ(numbered->frame.function, "rust::main");
  numbered = parse_rust_frame("   6: rust::main");
  ASSERT_TRUE(numbered);
  EXPECT_EQ(numbered->frame.function, "rust::main");
  EXPECT_FALSE(parse_rust_frame("12:30 o'clock"));
  Frame frame;
  EXPECT_TRUE(parse_rust_place("     at ./rust.rs:25:35", frame));
  EXPECT_EQ(frame.column, 35U);
}

TEST(Place, NeedsAFileAndALine) {
  Frame frame;
  EXPECT_FALSE(parse_place("", frame));
  EXPECT_FALSE(parse_place(":1", frame));
  EXPECT_FALSE(parse_place("x.c", frame));
  EXPECT_FALSE(parse_place("x.c:99999999999", frame));
  EXPECT_TRUE(parse_place("x.c:1", frame));
  EXPECT_EQ(frame.column, 0U);
}

}  // namespace
}  // namespace culprit::crash
