#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

namespace culprit {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    auto directory = TemporaryDirectory::create("culprit-file-test-");
    ASSERT_TRUE(directory.ok());
    directory_.emplace(std::move(directory).value());
  }
  fs::path at(const std::string& name) const { return directory_->path() / name; }
  std::optional<TemporaryDirectory> directory_;
};

TEST_F(Files, ReadsWhatWasWritten) {
  const std::string bytes("a\0b\n", 4);
  ASSERT_TRUE(write_file_atomically(at("x"), bytes).ok());
  EXPECT_EQ(read_file(at("x"), 4).value_or("?"), bytes);
  ASSERT_TRUE(write_file_atomically(at("x"), "second").ok());
  EXPECT_EQ(read_file(at("x"), 100).value_or("?"), "second");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_->path()), fs::directory_iterator()), 1);
}

TEST_F(Files, LeavesDevicesAndLinksWhatTheyAre) {
  fs::create_symlink("/dev/full", at("full"));
  EXPECT_FALSE(write_file_atomically(at("full"), "text").ok());
  EXPECT_TRUE(fs::is_symlink(at("full")));
  fs::create_symlink("/dev/null", at("null"));
  EXPECT_TRUE(write_file_atomically(at("null"), "text").ok());
  EXPECT_TRUE(fs::is_symlink(at("null")));
  ASSERT_TRUE(write_file_atomically(at("x"), "old").ok());
  fs::create_symlink("x", at("link"));
  ASSERT_TRUE(write_file_atomically(at("link"), "new").ok());
  EXPECT_TRUE(fs::is_symlink(at("link")));
  EXPECT_EQ(read_file(at("x"), 100).value_or("?"), "new");
}

TEST_F(Files, IsBounded) {
  ASSERT_TRUE(write_file_atomically(at("x"), "12345").ok());
  EXPECT_EQ(read_file(at("x"), 4).error().code, ErrorCode::bad_input);
  EXPECT_TRUE(read_file(at("x"), 5).ok());
  EXPECT_EQ(read_file("/dev/zero", 100000).error().code, ErrorCode::bad_input);
}

TEST_F(Files, ReadsProcFilesThatClaimToBeEmpty) {
  const auto status = read_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status.ok());
  EXPECT_NE(status->find("TracerPid:"), std::string::npos);
}

TEST_F(Files, TellsMissingFromUnreadable) {
  EXPECT_EQ(read_file(at("missing"), 10).error().code, ErrorCode::not_found);
  EXPECT_EQ(read_file(directory_->path(), 10).error().code, ErrorCode::io);
}

TEST_F(Files, AFailedWriteLeavesTheOldFile) {
  fs::create_directory(at("busy"));
  std::ofstream(at("busy") / "inside") << "x";
  EXPECT_FALSE(write_file_atomically(at("busy"), "text").ok());  // a directory is in the way
  EXPECT_TRUE(fs::exists(at("busy") / "inside"));
  EXPECT_FALSE(write_file_atomically(at("nowhere") / "x", "text").ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_->path()), fs::directory_iterator()), 1);
}

TEST_F(Files, UniqueDirectoriesCountOn) {
  const auto first = create_unique_directory(at("a/b"), "t-");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->filename(), "t-0");
  fs::create_directory(at("a/b/t-7"));
  fs::create_directory(at("a/b/t-x"));
  fs::create_directory(at("a/b/t-99999999999999999999"));
  const auto next = create_unique_directory(at("a/b"), "t-");
  ASSERT_TRUE(next.ok());
  EXPECT_EQ(next->filename(), "t-8");
}

TEST_F(Files, FreeSpaceOfWhatDoesNotExistYet) {
  EXPECT_GT(free_space(at("not/yet/there")).value_or(0), 0u);
}

}  // namespace
}  // namespace culprit
