#include "agent/maps_text.h"

#include <gtest/gtest.h>

#include <string>

namespace culprit::agent {
namespace {

std::string merged(std::string text) {
  text.resize(merge_vvar_lines(text.data(), text.size()));
  return text;
}

constexpr char before[] = "7ffd0000-7ffd2000 rw-p 00000000 00:00 0                          [stack]\n";
constexpr char vdso[] = "7ffd9000-7ffdb000 r-xp 00000000 00:00 0                          [vdso]\n";

TEST(MergeVvarLines, MergesThePairOfLinux613) {
  const std::string text =
      std::string(before) +
      "7ffd3000-7ffd7000 r--p 00000000 00:00 0                          [vvar]\n"
      "7ffd7000-7ffd9000 r--p 00000000 00:00 0                          [vvar_vclock]\n" +
      vdso;
  EXPECT_EQ(merged(text),
            std::string(before) +
                "7ffd3000-7ffd9000 r--p 00000000 00:00 0                          [vvar]\n" + vdso);
}

TEST(MergeVvarLines, LeavesOthersAlone) {
  const std::string old_kernel =
      std::string(before) +
      "7ffd3000-7ffd9000 r--p 00000000 00:00 0                          [vvar]\n" + vdso;
  EXPECT_EQ(merged(old_kernel), old_kernel);
  EXPECT_EQ(merged(""), "");
  EXPECT_EQ(merged("no newline [vvar]"), "no newline [vvar]");
  EXPECT_EQ(merged(" [vvar]\n [vvar_vclock]\n"), " [vvar]\n [vvar_vclock]\n");
  const std::string apart =
      "1000-2000 r--p 0 00:00 0 [vvar]\n3000-4000 r--p 0 00:00 0 [vvar_vclock]\n";
  EXPECT_EQ(merged(apart), apart);
}

TEST(MergeVvarLines, WorksOnTheLastLineWithoutNewline) {
  EXPECT_EQ(merged("1000-2000 r--p 0 00:00 0 [vvar]\n2000-3000 r--p 0 00:00 0 [vvar_vclock]"),
            "1000-3000 r--p 0 00:00 0 [vvar]\n");
}

}  // namespace
}  // namespace culprit::agent
