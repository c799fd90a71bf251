#include "report/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "report/fingerprint.h"
#include "report/formats/format.h"
#include "report/limits.h"
#include "report/sample_reports.h"
#include "report/write.h"

namespace culprit::report {
namespace {

std::string error_of(const Json& json) {
  const auto result = from_json(json);
  if (result.ok()) return "no error";
  EXPECT_EQ(result.error().code, ErrorCode::bad_input);
  return result.error().message;
}

TEST(Json, EverythingComesBack) {
  const Report report = full_report();
  const auto back = from_json_text(to_json_text(report));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(*back, report);
  EXPECT_EQ(to_json_text(*back), to_json_text(report));
}

TEST(Json, TheLeastReportIsAReport) {
  const auto back = from_json_text(to_json_text(minimal_report()));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_TRUE(back->hops.empty());
  EXPECT_EQ(back->verdict.title, info(BugClass::unknown).title);
  EXPECT_FALSE(back->fingerprint.loose.empty());
}

TEST(Json, TheVerdictComesFirst) {
  const Json json = to_json(full_report());
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"schema_version", "tool", "verdict", "fingerprint",
                                            "program", "trace", "engine", "crash", "suspect",
                                            "hops", "stats", "warnings"}));
  EXPECT_EQ(json["hops"][0]["value_after"], "0xc000100000");
  EXPECT_EQ(json["hops"][0]["value_before"], "0x0");
  EXPECT_EQ(json["verdict"]["class"], "uninitialised_stack");
}

TEST(Json, HostileStringsAreInertAndBounded) {
  const std::string text = to_json_text(hostile_report());
  EXPECT_LT(text.size(), 16U << 20);
  const auto back = from_json_text(text);
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->hops.size(), kMaxHops);
  EXPECT_EQ(back->hops[0].backtrace.size(), kMaxFrames);
  EXPECT_EQ(back->warnings.size(), kMaxItems);
  EXPECT_NE(back->warnings.back().find("1000 hops of 1200"), std::string::npos);
  EXPECT_EQ(back->verdict.evidence, (std::vector<std::uint32_t>{0, 999}));
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    ASSERT_TRUE(byte >= 0x20 || c == '\n') << static_cast<int>(byte);
    ASSERT_NE(byte, 0x7F);
  }
  EXPECT_EQ(text.find("\\u001b"), std::string::npos);
  EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos);
}

TEST(Json, UnknownMembersAreIgnored) {
  Json json = to_json(full_report());
  json["future"] = {{"a", 1}};
  json["hops"][0]["future"] = "x";
  EXPECT_TRUE(from_json(json).ok());
  json["schema_version"] = "1.7";
  EXPECT_TRUE(from_json(json).ok());
}

// testdata/versions has a report of each version, as a culprit of that time wrote it.
TEST(Json, ReportsOfEveryVersionAreRead) {
  std::set<std::string> versions;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(CULPRIT_SOURCE_DIR) / "src/report/testdata/versions")) {
    const std::string version = entry.path().stem().string();
    const auto report = read_report(entry.path().string());
    if (!version.starts_with("1.")) {
      ASSERT_FALSE(report.ok()) << version;
      EXPECT_TRUE(report.error().message.ends_with(
          "schema_version: the report has " + version +
          ", and this culprit reads 1.x: read it with a newer culprit"))
          << report.error().message;
      continue;
    }
    ASSERT_TRUE(report.ok()) << report.error().message;
    versions.insert(version);
    EXPECT_EQ(report->schema_version, version);
    EXPECT_EQ(report->hops.size(), 4U);
    EXPECT_EQ(report->verdict.bug_class, BugClass::uninitialised_stack);
    EXPECT_EQ(report->verdict.cause->variable, "c_schema");
    EXPECT_EQ(report->crash.hint, "");
    // Written again, it is of this version, and says the same.
    const auto again = from_json_text(to_json_text(*report));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again->schema_version, kSchemaVersion);
    EXPECT_EQ(again->hops, report->hops);
    EXPECT_EQ(fingerprint(*again), fingerprint(*report));
    for (const FormatInfo& format : formats()) {
      EXPECT_FALSE(render(*report, format.id, {}).empty()) << format.name;
    }
  }
  EXPECT_TRUE(versions.contains("1.0"));
}

TEST(Json, OtherVersionsAreRefusedInOneLine) {
  for (const char* version : {"0.9", "2.0", "10.0", "1", "1.", ".1", "1.x", "1.0.0", "",
                              "1.1234567", "one", "-1.0", "2.0\n", "\x1b[2J"}) {
    Json json = to_json(full_report());
    json["schema_version"] = version;
    const std::string message = error_of(json);
    EXPECT_TRUE(message.starts_with("schema_version: ")) << version << ": " << message;
    EXPECT_EQ(message.find_first_of("\n\x1b"), std::string::npos);
    EXPECT_EQ(message.find("newer culprit") != std::string::npos,
              std::string_view(version) == "2.0" || std::string_view(version) == "10.0")
        << message;
  }
}

TEST(Json, ErrorsNameTheMember) {
  const Json good = to_json(full_report());
  Json json = good;
  json["hops"][2]["location"]["size"] = "8";
  EXPECT_EQ(error_of(json), "hops[2].location.size: expected an integer");
  json = good;
  json["hops"][1].erase("kind");
  EXPECT_EQ(error_of(json), "hops[1].kind: missing");
  json = good;
  json["hops"][1]["kind"] = "teleport";
  EXPECT_NE(error_of(json).find("hops[1].kind: not a name of its closed list"), std::string::npos);
  json = good;
  json["hops"][0]["writer"]["pc"] = "0x01";
  EXPECT_NE(error_of(json).find("hops[0].writer.pc: expected a string of"), std::string::npos);
  json = good;
  json["hops"][0]["writer"]["line"] = -1;
  EXPECT_EQ(error_of(json), "hops[0].writer.line: not between 0 and 4294967295");
  json = good;
  json["hops"][0]["writer"]["line"] = 4294967296;
  EXPECT_NE(error_of(json).find("not between"), std::string::npos);
  json = good;
  json["hops"][0]["writer"]["line"] = 1.5;
  EXPECT_NE(error_of(json).find("expected an integer"), std::string::npos);
  json = good;
  json["hops"][0]["syscall"]["arguments"][1] = 3;
  EXPECT_NE(error_of(json).find("hops[0].syscall.arguments[1]: "), std::string::npos);
  json = good;
  json["hops"][1]["index"] = 7;
  EXPECT_EQ(error_of(json), "hops[1].index: not its place in the list");
  json = good;
  json["hops"][1]["parent"] = 1;
  EXPECT_EQ(error_of(json), "hops[1].parent: not a hop before it");
  json = good;
  json["verdict"]["evidence"] = {9};
  EXPECT_EQ(error_of(json), "verdict.evidence[0]: there is no such hop");
  json = good;
  json["program"]["cwd"] = std::string(kMaxName + 1, 'x');
  EXPECT_EQ(error_of(json), "program.cwd: longer than 4096 bytes");
  json = good;
  json["schema_version"] = "2.0";
  EXPECT_NE(error_of(json).find("schema_version"), std::string::npos);
  json = good;
  json.erase("schema_version");
  EXPECT_NE(error_of(json).find("no culprit report"), std::string::npos);
  EXPECT_NE(error_of(Json::array()).find("object"), std::string::npos);
}

TEST(Json, BrokenTextIsAnError) {
  const std::string good = to_json_text(full_report());
  for (std::size_t length = 0; length + 2 < good.size(); length += 37) {
    EXPECT_FALSE(from_json_text(std::string_view(good).substr(0, length)).ok());
  }
  EXPECT_FALSE(from_json_text("\xff\xfe").ok());
  EXPECT_FALSE(from_json_text("{\"schema_version\": 1e999}").ok());
  const std::string deep(1 << 20, '[');
  EXPECT_NE(from_json_text(deep).error().message.find("nested"), std::string::npos);
  std::string wide = "{\"schema_version\": \"1.0\", \"x\": [";
  for (int i = 0; i < 5'000'000; ++i) wide += "0,";
  wide += "0]}";
  EXPECT_NE(from_json_text(wide).error().message.find("too large"), std::string::npos);
}

// Any damage gives a report or an error, never anything else.
TEST(Json, SurvivesDamage) {
  const std::string good = to_json_text(full_report());
  std::uint64_t random = 88172645463325252U;
  const auto next = [&random] {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random;
  };
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = good;
    for (int i = 0; i < 3; ++i) damaged[next() % damaged.size()] = static_cast<char>(next() >> 9);
    const auto result = from_json_text(damaged);
    if (!result.ok()) continue;
    ++accepted;
    EXPECT_TRUE(from_json_text(to_json_text(*result)).ok());
  }
  EXPECT_GT(accepted, 0);
}

TEST(NumberHops, MakesAChainWithBranches) {
  std::vector<Hop> hops(5);
  hops[2].main_line = false;
  hops[2].parent = 0;
  hops[4].parent = 9;  // no such hop
  number_hops(hops);
  EXPECT_FALSE(hops[0].parent);
  EXPECT_EQ(hops[1].parent, 0U);
  EXPECT_EQ(hops[2].parent, 0U);
  EXPECT_EQ(hops[3].parent, 1U);
  EXPECT_EQ(hops[4].index, 4U);
  EXPECT_LT(hops[4].parent.value_or(0), 4U);
}

TEST(Complete, NeedsHopsAndAnEnd) {
  Report report = full_report();
  EXPECT_TRUE(complete(report));
  report.verdict.stopped_because = StopReason::limit_reached;
  EXPECT_FALSE(complete(report));
  report.verdict.stopped_because = StopReason::constant;
  EXPECT_TRUE(complete(report));
  report.hops.clear();
  EXPECT_FALSE(complete(report));
}

template <typename E>
void names_are_distinct() {
  std::set<std::string_view> names;
  for (const EnumName<E>& entry : enum_names<E>()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_EQ(entry.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
    EXPECT_EQ(enum_from_string<E>(to_string(entry.value)), entry.value);
  }
  EXPECT_FALSE(enum_from_string<E>("no such name"));
}

TEST(ClosedLists, NamesGoBothWays) {
  names_are_distinct<Confidence>();
  names_are_distinct<HopKind>();
  names_are_distinct<RegionKind>();
  names_are_distinct<SourceKind>();
  names_are_distinct<StackKind>();
  names_are_distinct<StopReason>();
  names_are_distinct<BugClass>();
}

template <typename E>
void expect_schema_lists(const Json& schema, const char* definition) {
  std::vector<std::string> names;
  for (const EnumName<E>& entry : enum_names<E>()) names.emplace_back(entry.name);
  EXPECT_EQ(schema["$defs"][definition]["enum"], Json(names)) << definition;
}

TEST(ClosedLists, AreThoseOfTheSchema) {
  const auto text =
      read_file(std::filesystem::path(CULPRIT_SOURCE_DIR) / "docs/report.schema.json", 1 << 20);
  ASSERT_TRUE(text.ok());
  const Json schema = Json::parse(*text);
  expect_schema_lists<Confidence>(schema, "confidence");
  expect_schema_lists<HopKind>(schema, "hop_kind");
  expect_schema_lists<RegionKind>(schema, "region_kind");
  expect_schema_lists<SourceKind>(schema, "source_kind");
  expect_schema_lists<StackKind>(schema, "stack_kind");
  expect_schema_lists<StopReason>(schema, "stop_reason");
  expect_schema_lists<BugClass>(schema, "bug_class");
}

TEST(BugClasses, AreInTheDocumentation) {
  const auto text =
      read_file(std::filesystem::path(CULPRIT_SOURCE_DIR) / "docs/report-schema.md", 1 << 20);
  ASSERT_TRUE(text.ok());
  for (const BugClassInfo& bug : bug_classes()) {
    EXPECT_NE(text->find(fmt::format("| `{}` | {} |\n", bug.name, bug.title)), std::string::npos)
        << bug.name;
  }
}

TEST(BugClasses, HaveTitlesAndFixes) {
  for (const BugClassInfo& bug : bug_classes()) {
    EXPECT_EQ(&info(bug.id), &bug);
    EXPECT_FALSE(bug.title.ends_with('.')) << bug.title;
    EXPECT_TRUE(bug.fix.ends_with('.')) << bug.fix;
  }
  EXPECT_EQ(info(static_cast<BugClass>(250)).id, BugClass::unknown);
}

}  // namespace
}  // namespace culprit::report
