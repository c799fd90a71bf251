#include "crash/crash_hint.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "crash/crash_report.h"
#include "crash/front_end.h"
#include "crash/glibc_messages.h"

namespace culprit::crash {
namespace {

TEST(CrashHint, EveryHintHasItsOwnNameAndWords) {
  std::set<std::string_view> names;
  std::set<std::string_view> phrases;
  for (int i = 0; i <= static_cast<int>(CrashHint::abort); ++i) {
    const HintTraits& entry = traits(static_cast<CrashHint>(i));
    EXPECT_EQ(entry.hint, static_cast<CrashHint>(i));
    EXPECT_FALSE(entry.name.empty());
    EXPECT_FALSE(entry.phrase.empty());
    EXPECT_FALSE(entry.phrase.ends_with('.')) << entry.name;
    names.insert(entry.name);
    phrases.insert(entry.phrase);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(CrashHint::abort) + 1);
  EXPECT_EQ(phrases.size(), names.size());
  EXPECT_EQ(traits(static_cast<CrashHint>(200)).hint, CrashHint::none);
}

TEST(CrashHint, WordsThatSeveralBugsShareDoNotNameTheBug) {
  // An overflow into the next chunk's header ends with the very same words as a double free.
  EXPECT_EQ(hint_of_malloc_message("double free or corruption (out)"), CrashHint::freed_or_damaged);
  EXPECT_EQ(traits(CrashHint::freed_or_damaged).strength, HintStrength::damage);
  EXPECT_EQ(traits(CrashHint::heap_metadata).strength, HintStrength::damage);
  EXPECT_EQ(traits(CrashHint::stack_canary).strength, HintStrength::damage);
  EXPECT_EQ(traits(CrashHint::use_after_free).strength, HintStrength::bug);
  EXPECT_EQ(traits(CrashHint::null_access).strength, HintStrength::symptom);
  EXPECT_EQ(traits(CrashHint::unhandled_exception).strength, HintStrength::symptom);
}

TEST(CrashHint, KindsSayWhatTheyAlwaysSay) {
  EXPECT_EQ(hint_of(Kind::stack_protector), CrashHint::stack_canary);
  EXPECT_EQ(hint_of(Kind::memory_sanitizer), CrashHint::uninitialised);
  EXPECT_EQ(hint_of(Kind::go_bad_pointer), CrashHint::gc_bad_pointer);
  EXPECT_EQ(hint_of(Kind::address_sanitizer), CrashHint::none);
  EXPECT_EQ(hint_of(Kind::exit_status), CrashHint::none);
}

TEST(GlibcMessages, AreFoundWholeAndBehindAPrefixOnly) {
  ExitInfo exit;
  exit.signal = 6;
  for (std::size_t i = 0; i < malloc_message_count(); ++i) {
    const std::string message(malloc_message(i));
    ASSERT_FALSE(message.empty());
    for (const std::string& text : {message, "host app[3]: " + message, message + "\r\n"}) {
      const auto reports = parse(text, exit);
      ASSERT_EQ(reports.size(), 2U) << text;  // and the signal
      EXPECT_EQ(reports[0].kind, Kind::heap_check) << text;
      EXPECT_EQ(reports[0].message.at(0), message);
    }
    EXPECT_EQ(parse("I read of " + message + " today\n", exit).size(), 1U) << message;
  }
  EXPECT_FALSE(hint_of_malloc_message(""));
  EXPECT_EQ(malloc_message(malloc_message_count()), "");
}

}  // namespace
}  // namespace culprit::crash
