#include "recorder/processor_claim.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace culprit::recorder {
namespace {

namespace fs = std::filesystem;

class ProcessorClaimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "culprit-claim-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path file() const { return directory_ / "made" / "cpu_lock"; }

  fs::path directory_;
};

TEST_F(ProcessorClaimTest, TwoClaimsGetTwoProcessorsAndAThirdNone) {
  const auto first = ProcessorClaim::take(file(), {3, 5});
  const auto second = ProcessorClaim::take(file(), {3, 5});
  const auto third = ProcessorClaim::take(file(), {3, 5});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->processor(), 3);
  EXPECT_EQ(second->processor(), 5);
  EXPECT_FALSE(third);
}

TEST_F(ProcessorClaimTest, AClaimIsGivenBackWithItsHolder) {
  {
    auto held = ProcessorClaim::take(file(), {0});
    ASSERT_TRUE(held);
    const auto moved = std::move(held);
    EXPECT_FALSE(ProcessorClaim::take(file(), {0}));
  }
  EXPECT_TRUE(ProcessorClaim::take(file(), {0}));
}

// rr locks with F_SETLK, of the process.
TEST_F(ProcessorClaimTest, AProcessorThatAnotherProcessLockedAsRrDoesIsTaken) {
  const auto elsewhere = ProcessorClaim::take(file(), {7});  // makes the file
  int told[2];
  int ended[2];
  ASSERT_EQ(::pipe(told), 0);
  ASSERT_EQ(::pipe(ended), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ended[1]);
    const int fd = ::open(file().c_str(), O_WRONLY);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = 0;
    lock.l_len = 1;
    const char good = ::fcntl(fd, F_SETLK, &lock) == 0 ? 'y' : 'n';
    if (::write(told[1], &good, 1) != 1) ::_exit(1);
    char end = 0;
    if (::read(ended[0], &end, 1) < 0) ::_exit(1);
    ::_exit(0);
  }
  char good = 0;
  ASSERT_EQ(::read(told[0], &good, 1), 1);
  EXPECT_EQ(good, 'y');
  const auto claim = ProcessorClaim::take(file(), {0, 1});
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->processor(), 1);
  ::close(ended[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const int fd : {told[0], told[1], ended[0]}) ::close(fd);
}

TEST_F(ProcessorClaimTest, AFileThatCannotBeOpenedGivesNoClaim) {
  std::ofstream(directory_ / "made") << "not a directory";
  EXPECT_FALSE(ProcessorClaim::take(file(), {0}));
}

TEST_F(ProcessorClaimTest, ALinkIsNotFollowed) {
  const fs::path target = directory_ / "target";
  fs::create_symlink(target, directory_ / "link");
  EXPECT_FALSE(ProcessorClaim::take(directory_ / "link", {0}));
  EXPECT_FALSE(fs::exists(target));
}

TEST_F(ProcessorClaimTest, NoProcessorsNoClaim) { EXPECT_FALSE(ProcessorClaim::take(file(), {})); }

TEST(AllowedProcessors, HoldsTheOneThatWeRunOn) {
  const std::vector<int> allowed = allowed_processors();
  ASSERT_FALSE(allowed.empty());
  EXPECT_NE(std::find(allowed.begin(), allowed.end(), ::sched_getcpu()), allowed.end());
}

}  // namespace
}  // namespace culprit::recorder
