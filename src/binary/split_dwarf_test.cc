// Split files that are not there, belong to another build, or are packages with a bad index.
#include "binary/split_dwarf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "binary/module_map.h"
#include "binary/symbolizer.h"
#include "binary/test_support.h"
#include "binary/unwinder.h"
#include "binary/variables.h"

namespace culprit::binary {
namespace {

struct Format {
  const char* compiler;
  const char* version;
};

class UnreadSplit : public ::testing::TestWithParam<Format> {
 protected:
  void build(const std::string& definition = "A=1") {
    ASSERT_TRUE(testing::run({GetParam().compiler, "-O1", GetParam().version, "-gsplit-dwarf",
                              "-fPIC", "-D" + definition, "-c", "-o", folder_ / "part.o",
                              testing::test_data("frames.c")}));
  }
  void link() {
    ASSERT_TRUE(testing::run({GetParam().compiler, "-shared", "-Wl,-Ttext-segment=0x400000", "-o",
                              folder_ / "part.so", folder_ / "part.o"}));
    map_.emplace(std::vector<Mapping>{{{Address{0x401000}, 0x4000},
                                       0x1000,
                                       true,
                                       false,
                                       true,
                                       false,
                                       folder_ / "part.so",
                                       ""}},
                 cache_);
  }
  CodeLocation visit() {
    const auto entries = Symbolizer(*map_).function_entries("visit");
    EXPECT_EQ(entries.size(), 1U);
    return Symbolizer(*map_).locate(entries.empty() ? Address{} : entries.front() + 1);
  }
  Result<std::vector<Variable>> variables() {
    Frame frame;
    frame.pc = visit().pc;
    const FrameView view{&frame, nullptr, nullptr};
    return VariableFinder(*map_).variables(view, true);
  }

  testing::TemporaryFolder folder_;
  ModuleCache cache_;
  std::optional<ModuleMap> map_;
};

TEST_P(UnreadSplit, ThatIsMissingIsSaid) {
  build();
  link();
  ASSERT_TRUE(testing::run({"rm", folder_ / "part.dwo"}));
  const CodeLocation location = visit();
  EXPECT_FALSE(location.has_debug_info);
  EXPECT_NE(location.no_debug_info.find("split file"), std::string::npos);
  EXPECT_NE(location.no_debug_info.find("part.dwo"), std::string::npos);
  EXPECT_NE(location.no_debug_info.find("not found"), std::string::npos) << location.no_debug_info;
  ASSERT_FALSE(location.frames.empty());
  EXPECT_EQ(location.frames.front().name, "visit");
  EXPECT_TRUE(location.frames.front().position.known()) << "lines are in the module";
  const auto found = variables();
  ASSERT_FALSE(found.ok()) << "none may look like a function without variables";
  EXPECT_NE(found.error().message.find("split file"), std::string::npos);
}

TEST_P(UnreadSplit, OfAnotherBuildIsNotBelieved) {
  build();
  link();
  build("visit=visited");
  const CodeLocation location = visit();
  EXPECT_FALSE(location.has_debug_info);
  EXPECT_NE(location.no_debug_info.find("another build"), std::string::npos)
      << location.no_debug_info;
  EXPECT_FALSE(variables().ok());
}

TEST_P(UnreadSplit, IsFoundWhereTheBuildDoesNotNameItsFolder) {
  const std::string script = "cd '" + folder_.path() + "' && mkdir obj && " + GetParam().compiler +
                             " -O1 -fPIC -gsplit-dwarf " + GetParam().version +
                             " -c -o obj/part.o '" + testing::test_data("frames.c") +
                             "' -fdebug-prefix-map='" + folder_.path() + "'=. && mv obj/part.o .";
  ASSERT_TRUE(testing::run({"sh", "-c", script}));
  link();
  EXPECT_TRUE(visit().has_debug_info) << visit().no_debug_info;
}

TEST_P(UnreadSplit, IsReadWhereItIsThere) {
  build();
  link();
  EXPECT_TRUE(visit().has_debug_info);
  const auto found = variables();
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->empty());
}

INSTANTIATE_TEST_SUITE_P(Formats, UnreadSplit,
                         ::testing::Values(Format{"gcc", "-gdwarf-4"}, Format{"gcc", "-gdwarf-5"},
                                           Format{"clang-14", "-gdwarf-4"},
                                           Format{"clang-14", "-gdwarf-5"}),
                         [](const auto& i) { return "format" + std::to_string(i.index); });

// ---- the index of a package, written down number by number ----

constexpr std::uint64_t kId = 0x1122'3344'5566'7788;

/// An index of two slots and one unit, whose columns are the entries, abbreviations and string
/// offsets.
struct PackageIndex {
  std::uint32_t version = 5;
  std::uint32_t columns = 3;
  std::uint32_t units = 1;
  std::uint32_t slots = 2;
  std::uint32_t row = 1;
  std::uint32_t info_offset = 4, info_size = 8;

  [[nodiscard]] std::vector<std::byte> bytes() const {
    std::vector<std::byte> out;
    const auto add = [&out](std::uint64_t value, std::size_t size) {
      for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<std::byte>(value >> 8 * i));
    };
    for (const std::uint32_t n : {version, columns, units, slots}) add(n, 4);
    add(kId, 8);
    add(0, 8);
    add(row, 4);
    add(0, 4);
    for (const std::uint32_t n : {1U, 3U, 6U}) add(n, 4);
    for (const std::uint32_t n : {info_offset, 0U, 2U}) add(n, 4);
    for (const std::uint32_t n : {info_size, 5U, 3U}) add(n, 4);
    return out;
  }
  [[nodiscard]] std::optional<DwarfSections> part(std::uint64_t id = kId) const {
    static const std::vector<std::byte> section(16);
    DwarfSections package;
    package.info = package.abbrev = package.str_offsets = package.str = section;
    const auto index = bytes();
    auto cut = package_part(package, index, id);
    EXPECT_TRUE(!cut || cut->info.data() == section.data() + info_offset);
    return cut;
  }
};

TEST(PackageIndex, CutsAUnitOut) {
  for (const std::uint32_t version : {2U, 5U}) {
    PackageIndex index;
    index.version = version;
    const auto part = index.part();
    ASSERT_TRUE(part);
    EXPECT_EQ(part->info.size(), 8U);
    EXPECT_EQ(part->abbrev.size(), 5U);
    EXPECT_EQ(part->str_offsets.size(), 3U);
    EXPECT_EQ(part->str.size(), 16U) << "shared by all units";
    EXPECT_FALSE(index.part(kId + 2)) << "the same slot, another unit";
    EXPECT_FALSE(index.part(kId + 1)) << "an empty slot";
  }
}

TEST(PackageIndex, WithNumbersThatCannotBeIsNone) {
  const auto with = [](auto change) {
    PackageIndex index;
    change(index);
    return index.part().has_value();
  };
  EXPECT_TRUE(with([](PackageIndex&) {}));
  EXPECT_FALSE(with([](PackageIndex& i) { i.version = 3; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.columns = 0; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.columns = 0xFFFF'FFFF; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.units = 0xFFFF'FFFF; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.units = 0; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.slots = 0; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.slots = 3; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.slots = 0x8000'0000; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.row = 2; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.row = 0xFFFF'FFFF; }));
  EXPECT_FALSE(with([](PackageIndex& i) { i.info_size = 13; })) << "it ends behind the section";
  EXPECT_FALSE(with([](PackageIndex& i) { i.info_offset = 0xFFFF'FFFC; }));
  const auto whole = PackageIndex{}.bytes();
  DwarfSections none;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(package_part(none, std::span(whole).first(size), kId)) << size;
  }
}

}  // namespace
}  // namespace culprit::binary
