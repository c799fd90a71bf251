// What find_layout() reads from DWARF against what Go's own DWARF reader finds in the same program.
#include "runtimes/go/layout.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "binary/test_support.h"
#include "runtimes/detect.h"
#include "runtimes/go/go_program.h"

namespace culprit::runtimes::go {
namespace {

using testing::build_program;
using testing::map_of_file;

class GoLayout : public testing::GoProgramTest {};

TEST_P(GoLayout, IsThatOfGosOwnReader) {
  std::map<std::string, std::uint64_t> expected;
  FILE* output = popen(("'" + program_ + "' layout").c_str(), "r");
  ASSERT_NE(output, nullptr);
  char name[64];
  unsigned long long value = 0;
  while (std::fscanf(output, "%63s %llu", name, &value) == 2) expected[name] = value;
  ASSERT_EQ(pclose(output), 0);
  ASSERT_EQ(expected.size(), 19U);

  const std::map<std::string, std::uint64_t> found{
      {"g_stack_lo", layout_.g_stack_lo},
      {"g_stack_hi", layout_.g_stack_hi},
      {"g_m", layout_.g_m},
      {"g_goid", layout_.g_goid},
      {"g_sched_sp", layout_.g_sched_sp},
      {"g_sched_pc", layout_.g_sched_pc},
      {"g_sched_bp", layout_.g_sched_bp},
      {"g_size", layout_.g_size},
      {"m_g0", layout_.m_g0},
      {"m_curg", layout_.m_curg},
      {"m_gsignal", layout_.m_gsignal},
      {"m_procid", layout_.m_procid},
      {"m_alllink", layout_.m_alllink},
      {"p_size", layout_.p_size},
      {"p_wbbuf_buf", layout_.p_wbbuf_buf},
      {"p_wbbuf_entries", layout_.p_wbbuf_entries},
      {"allm", layout_.allm.value - kBias},
      {"allp", layout_.allp.value - kBias},
      {"allgs", layout_.allgs.value - kBias},
  };
  EXPECT_EQ(found, expected);
  ASSERT_NE(layout_.module, nullptr);
  EXPECT_EQ(layout_.module->path, program_);
  EXPECT_EQ(layout_.g_type.name(), "runtime.g");
  EXPECT_EQ(layout_.p_type.name(), "runtime.p");
}

TEST_P(GoLayout, IsDetected) {
  const Detected detected = detect(*map_);
  ASSERT_EQ(detected.runtimes.size(), 1U);
  EXPECT_EQ(detected.runtimes[0]->name(), "go");
  EXPECT_TRUE(detected.problems.empty());
}

TEST_P(GoLayout, WithoutDebugInformationIsAProblemThatIsSaid) {
  const auto program = build_program(GetParam(), "-ldflags=-w");
  ASSERT_TRUE(program.has_value());
  const auto map = map_of_file(*program, 0, cache_);
  const Detected detected = detect(map);
  EXPECT_TRUE(detected.runtimes.empty());
  ASSERT_EQ(detected.problems.size(), 1U);
  EXPECT_NE(detected.problems[0].find(*program), std::string::npos) << detected.problems[0];
}

INSTANTIATE_TEST_SUITE_P(Toolchains, GoLayout, ::testing::ValuesIn(testing::toolchains()),
                         testing::toolchain_name);

TEST(Detect, AProgramWithoutGoHasNoRuntimeAndNoProblem) {
  binary::ModuleCache cache;
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  const Detected in_self = detect(map_of_file(self, 0, cache));
  EXPECT_TRUE(in_self.runtimes.empty());
  EXPECT_TRUE(in_self.problems.empty());
  const Detected in_nothing = detect(binary::ModuleMap({}, cache));
  EXPECT_TRUE(in_nothing.runtimes.empty());
  EXPECT_TRUE(in_nothing.problems.empty());
}

}  // namespace
}  // namespace culprit::runtimes::go
