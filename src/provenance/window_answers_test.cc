#include "provenance/window_answers.h"

#include <gtest/gtest.h>

#include "provenance/probes.h"
#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance {
namespace {

using testing::bare_image;
using testing::kThread;

replay::Mark third_execution() {
  return hit_mark(execution_of(Address{0x401000}, bare_image(), kThread), 3);
}

FrameQuestion about(Gpr reg, Address pc = Address{0x401234}) {
  return {1, pc, {x86::whole(reg), {}, pc}};
}

ResolvedSource answer(std::uint64_t address) {
  ResolvedSource out;
  out.source.kind = ValueSource::Kind::memory;
  out.source.address = Address{address};
  return out;
}

TEST(WindowAnswers, WhatIsExpectedIsOpenUntilItIsAnswered) {
  WindowAnswers answers;
  const replay::Mark mark = third_execution();
  answers.expect(mark, about(Gpr::rax));
  answers.expect(mark, about(Gpr::rax));
  answers.expect(mark, about(Gpr::rbx));
  EXPECT_EQ(answers.open(mark), (std::vector{about(Gpr::rax), about(Gpr::rbx)}));
  EXPECT_EQ(answers.find(mark, about(Gpr::rax), 0), nullptr);

  answers.keep(mark, about(Gpr::rax), answer(0x5000), std::nullopt);
  EXPECT_EQ(answers.open(mark), std::vector{about(Gpr::rbx)});
  const ResolvedSource* known = answers.find(mark, about(Gpr::rax), ~std::uint64_t{0});
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->source.address, Address{0x5000});
}

TEST(WindowAnswers, AnAnswerIsOfItsMomentAndItsQuestion) {
  WindowAnswers answers;
  const replay::Mark mark = third_execution();
  answers.keep(mark, about(Gpr::rax), answer(0x5000), std::nullopt);

  replay::Mark other = mark;
  other.ordinal = 4;
  EXPECT_EQ(answers.find(other, about(Gpr::rax), 0), nullptr);
  EXPECT_TRUE(answers.open(other).empty());
  other = mark;
  other.probe.thread = ThreadId{kThread.value + 1};
  EXPECT_EQ(answers.find(other, about(Gpr::rax), 0), nullptr);

  EXPECT_EQ(answers.find(mark, about(Gpr::rbx), 0), nullptr);
  EXPECT_EQ(answers.find(mark, about(Gpr::rax, Address{0x401235}), 0), nullptr);
  FrameQuestion question = about(Gpr::rax);
  question.question.to_the_end = true;
  EXPECT_EQ(answers.find(mark, question, 0), nullptr);
  question = about(Gpr::rax);
  question.frame = 2;
  EXPECT_EQ(answers.find(mark, question, 0), nullptr);
  question = about(Gpr::rax);
  question.question.value = 7;
  EXPECT_EQ(answers.find(mark, question, 0), nullptr);
}

TEST(WindowAnswers, WhoMayStepMoreAsksAgain) {
  WindowAnswers answers;
  const replay::Mark mark = third_execution();
  answers.keep(mark, about(Gpr::rax), answer(0x5000), 40'000);
  EXPECT_NE(answers.find(mark, about(Gpr::rax), 40'000), nullptr);
  EXPECT_EQ(answers.find(mark, about(Gpr::rax), 300'000), nullptr);
  answers.keep(mark, about(Gpr::rax), answer(0x6000), 300'000);
  const ResolvedSource* known = answers.find(mark, about(Gpr::rax), 40'000);
  ASSERT_NE(known, nullptr);
  EXPECT_EQ(known->source.address, Address{0x6000}) << "the better answer";
}

TEST(SameMoment, TellsMarksApart) {
  const replay::Mark hit = third_execution();
  EXPECT_TRUE(same_moment(hit, hit));
  replay::Mark other = hit;
  other.probe.keep_last = 5;
  other.probe.live = true;
  EXPECT_TRUE(same_moment(hit, other)) << "how its hits are told does not matter";
  other = hit;
  other.probe.filter = replay::ValueFilter{1};
  EXPECT_FALSE(same_moment(hit, other));
  replay::Mark third = other;
  third.probe.filter = replay::ValueFilter{2};
  EXPECT_FALSE(same_moment(other, third));

  const replay::Mark call = entry_mark(kThread, 3);
  EXPECT_FALSE(same_moment(hit, call));
  EXPECT_TRUE(same_moment(call, entry_mark(kThread, 3)));
  EXPECT_FALSE(same_moment(call, entry_mark(ThreadId{99}, 3)));
  EXPECT_FALSE(same_moment(call, entry_mark(kThread, 4)));
}

}  // namespace
}  // namespace culprit::provenance
