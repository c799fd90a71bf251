#include "bundle/entry_name.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::bundle {
namespace {

TEST(EntryName, TheShapesOfABundle) {
  for (const std::string& name :
       {std::string("bundle.json"), std::string("report.json"), std::string("trace/events"),
        std::string("trace/mmap_pack_3_a b"), std::string("debug/.build-id/ab/cdef.debug"),
        std::string("debug/usr/lib/x.so"), "trace/" + std::string(255, 'x'),
        std::string("trace/..a"), std::string("trace/a..")}) {
    EXPECT_TRUE(is_entry_name(name)) << name;
  }
}

TEST(EntryName, WaysOutAreRefused) {
  std::string deep = "trace";
  for (int i = 0; i < 64; ++i) deep += "/x";
  for (const std::string& name : {std::string(""),
                                  std::string("/"),
                                  std::string("trace"),
                                  std::string("trace/"),
                                  std::string("/trace/x"),
                                  std::string("../x"),
                                  std::string("trace/../x"),
                                  std::string("trace/.."),
                                  std::string("trace/./x"),
                                  std::string("trace//x"),
                                  std::string("trace/x/"),
                                  std::string("Trace/x"),
                                  std::string("other/x"),
                                  std::string("x"),
                                  std::string("./bundle.json"),
                                  std::string("bundle.json/x"),
                                  std::string("trace/a\nb"),
                                  std::string("trace/a\x1b[2J"),
                                  std::string("trace\\..\\x"),
                                  std::string("trace/a\0b", 9),
                                  std::string("trace/a\x7f"),
                                  "trace/" + std::string(256, 'x'),
                                  deep,
                                  std::string(5000, 'x')}) {
    EXPECT_FALSE(is_entry_name(name)) << name;
  }
}

}  // namespace
}  // namespace culprit::bundle
