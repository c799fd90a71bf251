#include "provenance/descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <map>

namespace culprit::provenance {
namespace {

constexpr ProcessId kParent{100};
constexpr ProcessId kChild{200};
constexpr ProcessId kOther{300};

/// A history that is written down: each call takes the next event; a process has one thread.
class Story {
 public:
  const DescriptorCall& call(ProcessId process, long number, std::int64_t result,
                             std::array<std::uint64_t, 6> arguments) {
    calls_.push_back({EventNumber{++event_}, ThreadId{process.value}, process,
                      ++ordinals_[process.value], static_cast<std::uint64_t>(number), arguments,
                      result});
    return calls_.back();
  }
  void fork(ProcessId parent, ProcessId child) {
    forks_.push_back({EventNumber{++event_}, parent, child});
  }
  DescriptorCall pair(ProcessId process, long number, std::array<int, 2> ends,
                      std::uint64_t type = 0) {
    const DescriptorCall c = call(process, number, 0, {AF_UNIX, type, 0, 0x5000, 0, 0});
    pairs_[c.event.value] = ends;
    return c;
  }
  [[nodiscard]] DescriptorHistory history() const { return {calls_, forks_}; }
  [[nodiscard]] DescriptorHistory::ReadPair reader() {
    return [this](const DescriptorCall& c) -> std::optional<std::array<int, 2>> {
      ++asked;
      const auto it = pairs_.find(c.event.value);
      return it == pairs_.end() ? std::nullopt : std::optional(it->second);
    };
  }
  int asked = 0;

 private:
  std::vector<DescriptorCall> calls_;
  std::vector<DescriptorFork> forks_;
  std::map<decltype(EventNumber::value), std::array<int, 2>> pairs_;
  std::map<decltype(ProcessId::value), std::uint64_t> ordinals_;
  decltype(EventNumber::value) event_ = 10;
};

TEST(Descriptors, AFileAndThePositionOfARead) {
  Story story;
  story.call(kParent, SYS_openat, 3,
             {static_cast<std::uint64_t>(AT_FDCWD), 0x1000, O_RDONLY, 0, 0, 0});
  story.call(kParent, SYS_read, 100, {3, 0x2000, 100, 0, 0, 0});
  story.call(kParent, SYS_dup, 7, {3, 0, 0, 0, 0, 0});
  story.call(kParent, SYS_close, 0, {3, 0, 0, 0, 0, 0});
  story.call(kParent, SYS_openat, 3, {0, 0x1100, O_RDONLY, 0, 0, 0});
  story.call(kParent, SYS_read, 5, {3, 0x2000, 5, 0, 0, 0});
  const DescriptorCall use = story.call(kParent, SYS_read, 8, {7, 0x2000, 8, 0, 0, 0});
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 7, use.event, story.reader());
  ASSERT_TRUE(opening);
  EXPECT_EQ(opening->kind, Opening::Kind::file);
  EXPECT_EQ(opening->call->arguments[1], 0x1000U);
  EXPECT_EQ(history.offset_before(*opening, use), 100U);
  ASSERT_NE(history.call(use.thread, use.ordinal), nullptr);
  EXPECT_EQ(history.call(use.thread, use.ordinal)->event, use.event);
  EXPECT_EQ(history.call(use.thread, 99), nullptr);
}

TEST(Descriptors, APositionIsSharedWithAForkedProcess) {
  Story story;
  story.call(kParent, SYS_open, 4, {0x1000, O_RDONLY, 0, 0, 0, 0});
  story.fork(kParent, kChild);
  story.call(kChild, SYS_lseek, 64, {4, 64, SEEK_SET, 0, 0, 0});
  story.call(kChild, SYS_read, 6, {4, 0x2000, 6, 0, 0, 0});
  const DescriptorCall use = story.call(kParent, SYS_read, 8, {4, 0x2000, 8, 0, 0, 0});
  const DescriptorHistory history = story.history();
  auto opening = history.opening_of(kParent, 4, use.event, story.reader());
  ASSERT_TRUE(opening);
  EXPECT_EQ(history.offset_before(*opening, use), 70U);
  opening = history.opening_of(kChild, 4, use.event, story.reader());
  ASSERT_TRUE(opening);
  EXPECT_EQ(opening->call->process, kParent);
}

TEST(Descriptors, SaysWhereAReadHasItsOwnPositionOrNoneIsKnown) {
  Story story;
  story.call(kParent, SYS_open, 3, {0x1000, O_APPEND, 0, 0, 0, 0});
  const DescriptorCall read = story.call(kParent, SYS_read, 8, {3, 0x2000, 8, 0, 0, 0});
  const DescriptorCall pread = story.call(kParent, SYS_pread64, 8, {3, 0x2000, 8, 512, 0, 0});
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 3, read.event, story.reader());
  ASSERT_TRUE(opening);
  EXPECT_EQ(history.offset_before(*opening, read), std::nullopt);
  EXPECT_EQ(history.offset_before(*opening, pread), 512U);
  const auto input = history.opening_of(kParent, 0, read.event, story.reader());
  ASSERT_TRUE(input);
  EXPECT_EQ(input->kind, Opening::Kind::inherited);
}

TEST(Descriptors, WhoWroteAByteOfAFile) {
  Story story;
  const auto buffer = [](int fd, std::uint64_t at, std::uint64_t offset = 0) {
    return std::array<std::uint64_t, 6>{static_cast<std::uint64_t>(fd), at, 8, offset, 0, 0};
  };
  story.call(kParent, SYS_openat, 3, {0, 0x1000, O_RDWR | O_CREAT, 0, 0, 0});
  story.call(kParent, SYS_write, 8, buffer(3, 0x2000));
  story.call(kParent, SYS_dup, 5, {3, 0, 0, 0, 0, 0});
  story.fork(kParent, kChild);
  const DescriptorCall second = story.call(kChild, SYS_write, 8, buffer(5, 0x3000));
  story.call(kParent, SYS_lseek, 0, {3, 0, SEEK_SET, 0, 0, 0});
  const DescriptorCall again = story.call(kParent, SYS_write, 4, buffer(3, 0x4000));
  story.call(kParent, SYS_pwrite64, -1, buffer(3, 0x5000, 8));
  const DescriptorCall own = story.call(kParent, SYS_pwrite64, 8, buffer(3, 0x6000, 100));
  story.call(kParent, SYS_close, 0, {3, 0, 0, 0, 0, 0});
  story.call(kParent, SYS_openat, 3, {0, 0x1100, O_RDWR, 0, 0, 0});
  const DescriptorCall other = story.call(kParent, SYS_write, 8, buffer(3, 0x7000));
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 5, other.event, story.reader());
  ASSERT_TRUE(opening);
  const EventNumber end{other.event.value + 1};
  const auto writer = [&](std::uint64_t offset, EventNumber before) {
    const auto found = history.file_writer_of(*opening, offset, before);
    return found ? found->call.event : EventNumber{};
  };
  EXPECT_EQ(writer(2, end), again.event);
  EXPECT_EQ(writer(2, again.event).value, again.event.value - 5) << "not yet";
  EXPECT_EQ(writer(12, end), second.event) << "by another process, at the position that both share";
  EXPECT_EQ(writer(104, end), own.event);
  EXPECT_EQ(history.file_writer_of(*opening, 104, end)->offset, 4U);
  EXPECT_FALSE(writer(50, end)) << "a hole";
  EXPECT_FALSE(history.file_writer_of(Opening{}, 2, end));
  story.call(kParent, SYS_sendfile, 8, {3, 5, 0, 8, 0, 0});
  const DescriptorHistory opaque = story.history();
  EXPECT_FALSE(opaque.file_writer_of(*opening, 2, EventNumber{end.value + 1}));
  EXPECT_TRUE(opaque.file_writer_of(*opening, 2, end)) << "before it";
}

TEST(Descriptors, WhoWroteIntoAPipe) {
  Story story;
  story.pair(kParent, SYS_pipe, {3, 4});
  story.pair(kParent, SYS_pipe2, {5, 6});
  story.fork(kParent, kChild);
  story.fork(kParent, kOther);
  story.call(kParent, SYS_close, 0, {4, 0, 0, 0, 0, 0});
  story.call(kChild, SYS_dup2, 1, {4, 1, 0, 0, 0, 0});
  story.call(kChild, SYS_write, 10, {1, 0x7000, 10, 0, 0, 0});
  story.call(kOther, SYS_write, 99, {6, 0x7000, 99, 0, 0, 0});
  const DescriptorCall second = story.call(kOther, SYS_write, 24, {4, 0x8000, 24, 0, 0, 0});
  story.call(kParent, SYS_read, 4, {3, 0x2000, 4, 0, 0, 0});
  const DescriptorCall use = story.call(kParent, SYS_read, 30, {3, 0x2000, 64, 0, 0, 0});
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 3, use.event, story.reader());
  ASSERT_TRUE(opening);
  EXPECT_EQ(opening->kind, Opening::Kind::pipe);
  EXPECT_EQ(opening->end, 0);
  auto write = history.writer_of(*opening, use, 5, story.reader());
  ASSERT_TRUE(write);
  EXPECT_EQ(write->call.process, kChild);
  EXPECT_EQ(write->offset, 9U);
  write = history.writer_of(*opening, use, 6, story.reader());
  ASSERT_TRUE(write);
  EXPECT_EQ(write->call.event, second.event);
  EXPECT_EQ(write->offset, 0U);
  EXPECT_FALSE(history.writer_of(*opening, use, 30, story.reader()))
      << "nobody has written so much";
}

// A writer that blocks on a full pipe returns after the reader has got its bytes.
TEST(Descriptors, AWriteMayReturnAfterTheReadThatGotItsBytes) {
  Story story;
  story.pair(kParent, SYS_pipe, {3, 4});
  story.fork(kParent, kChild);
  const DescriptorCall use = story.call(kParent, SYS_read, 8, {3, 0x2000, 8, 0, 0, 0});
  const DescriptorCall late = story.call(kChild, SYS_write, 100'000, {4, 0x7000, 100'000, 0, 0, 0});
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 3, use.event, story.reader());
  const auto write = history.writer_of(*opening, use, 3, story.reader());
  ASSERT_TRUE(write);
  EXPECT_EQ(write->call.event, late.event);
  EXPECT_EQ(write->offset, 3U);
}

TEST(Descriptors, MessagesOfASocketPairKeepTheirBounds) {
  Story story;
  story.pair(kParent, SYS_socketpair, {3, 4}, SOCK_SEQPACKET | SOCK_CLOEXEC);
  story.fork(kParent, kChild);
  story.call(kChild, SYS_sendto, 40, {4, 0x7000, 40, 0, 0, 0});
  const DescriptorCall second = story.call(kChild, SYS_write, 24, {4, 0x8000, 24, 0, 0, 0});
  story.call(kParent, SYS_recvfrom, 8, {3, 0x2000, 8, MSG_PEEK, 0, 0});
  story.call(kParent, SYS_recvfrom, 8, {3, 0x2000, 8, 0, 0, 0});
  const DescriptorCall use = story.call(kParent, SYS_recvfrom, 24, {3, 0x2000, 24, 0, 0, 0});
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 3, use.event, story.reader());
  ASSERT_TRUE(opening);
  const auto write = history.writer_of(*opening, use, 8, story.reader());
  ASSERT_TRUE(write);
  EXPECT_EQ(write->call.event, second.event);
  EXPECT_EQ(write->offset, 8U);
}

TEST(Descriptors, GivesUpOnWhatItDoesNotFollow) {
  Story story;
  story.pair(kParent, SYS_pipe, {3, 4});
  story.call(kParent, SYS_splice, 8, {9, 0, 4, 0, 8, 0});
  const DescriptorCall use = story.call(kParent, SYS_read, 8, {3, 0x2000, 8, 0, 0, 0});
  story.call(kParent, SYS_close, 0, {3, 0, 0, 0, 0, 0});
  const DescriptorCall later = story.call(kParent, SYS_read, 8, {3, 0x2000, 8, 0, 0, 0});
  const DescriptorHistory history = story.history();
  const auto opening = history.opening_of(kParent, 3, use.event, story.reader());
  EXPECT_FALSE(history.writer_of(*opening, use, 0, story.reader()));
  EXPECT_FALSE(history.opening_of(kParent, 3, later.event, story.reader()))
      << "it came in a message";
}

TEST(Descriptors, AsksForNotTooManyPairs) {
  Story story;
  for (int i = 0; i < 40; ++i) story.pair(kParent, SYS_pipe, {2 * i + 10, 2 * i + 11});
  EXPECT_FALSE(story.history().opening_of(kParent, 3, EventNumber{1000}, story.reader()));
  EXPECT_LE(story.asked, 16);
}

}  // namespace
}  // namespace culprit::provenance
