#include <gtest/gtest.h>

#include "cli/search_choice.h"

namespace culprit::cli {
namespace {

SearchChoice choose(SearchEngine wanted, const TraceFacts& trace) {
  const auto out = choose_search(wanted, trace);
  EXPECT_TRUE(out.ok());
  return out.value_or(SearchChoice{});
}

TEST(ChooseSearch, GoesForwardWhereItMustOrIsQuick) {
  EXPECT_EQ(choose(SearchEngine::automatic, {false, 10'000'000}).engine, SearchEngine::forward);
  EXPECT_EQ(choose(SearchEngine::automatic, {true, 1000}).engine, SearchEngine::forward);
}

TEST(ChooseSearch, GoesBackwardsInALongTraceWithTicks) {
  const SearchChoice choice = choose(SearchEngine::automatic, {true, 10'000'000});
  EXPECT_EQ(choice.engine, SearchEngine::reverse);
  EXPECT_EQ(choice.why, "the trace is long");
}

TEST(ChooseSearch, DoesWhatIsAskedFor) {
  EXPECT_EQ(choose(SearchEngine::reverse, {true, 1000}).engine, SearchEngine::reverse);
  EXPECT_EQ(choose(SearchEngine::forward, {true, 10'000'000}).engine, SearchEngine::forward);
}

TEST(ChooseSearch, RefusesWhatCannotBe) {
  const auto choice = choose_search(SearchEngine::reverse, TraceFacts{false, 1000});
  ASSERT_FALSE(choice.ok());
  EXPECT_EQ(choice.error().code, ErrorCode::usage);
}

}  // namespace
}  // namespace culprit::cli
