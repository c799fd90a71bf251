// Whose doing a hop is said to be.
#include "verdict/words.h"

#include <gtest/gtest.h>

#include <string>

#include "verdict/test_chains.h"

namespace culprit::verdict {
namespace {

using report::HopKind;

report::Hop done_by(const std::string& function, const std::string& file) {
  report::Hop hop = testing::hop(HopKind::store, "f");
  hop.writer.function = function;
  hop.writer.demangled.clear();
  hop.writer.file = file;
  hop.writer.line = 7;
  report::Frame library;
  library.function = function;
  library.file = file;
  report::Frame program;
  program.function = "_Z4joinv";
  program.demangled = "join()";
  program.file = "/home/u/path.cc";
  program.line = 5;
  program.module = "/home/u/path";
  hop.backtrace = {library, program};
  return hop;
}

TEST(Words, WhatALibraryDidIsItsCallersDoing) {
  const report::Hop hop = done_by("__strcat_evex", "./string/strcpy-evex.S");
  EXPECT_EQ(writer_name(hop), "join() (path.cc:5, in __strcat_evex)");
  const report::CauseSite site = site_of_writer(hop);
  EXPECT_EQ(site.function, "join()");
  EXPECT_EQ(site.file, "/home/u/path.cc");
  EXPECT_EQ(site.line, 5U);
  EXPECT_EQ(site.module, "/home/u/path");
}

TEST(Words, LibrariesWithoutDebugInformationAreKnownByReservedNames) {
  EXPECT_EQ(site_of_writer(done_by("__memcpy_avx_unaligned", "")).function, "join()");
  EXPECT_EQ(site_of_writer(done_by("decode_frame", "")).function, "decode_frame");
}

TEST(Words, TheProgramsOwnCodeAndGosRuntimeAreNamedThemselves) {
  EXPECT_EQ(site_of_writer(done_by("copy", "/home/u/copy.c")).function, "copy");
  EXPECT_EQ(writer_name(done_by("copy", "/home/u/copy.c")), "copy (copy.c:7)");
  EXPECT_EQ(site_of_writer(done_by("runtime.copystack", "/usr/lib/go-1.19/src/runtime/stack.go"))
                .function,
            "runtime.copystack");
}

TEST(Words, AnArrayIsNamedWithoutTheIndexOfItsElement) {
  report::Location element = testing::object(report::RegionKind::stack, 0x5000, 24);
  element.owner->variable = "conn";
  element.owner->member = "buffer[0]";
  EXPECT_EQ(array_name(element), "conn.buffer");
  element.owner->member = "fd";
  EXPECT_EQ(array_name(element), "conn.fd");
  element.owner->variable = "table";
  element.owner->member = "[3]";
  EXPECT_EQ(array_name(element), "table");
}

TEST(Words, WithNobodyBehindItTheLibraryIsNamed) {
  report::Hop hop = done_by("__strcat_evex", "./string/strcpy-evex.S");
  hop.backtrace.pop_back();
  EXPECT_EQ(site_of_writer(hop).function, "__strcat_evex");
  EXPECT_EQ(writer_name(hop), "__strcat_evex (strcpy-evex.S:7)");
}

}  // namespace
}  // namespace culprit::verdict
