#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "bundle/archive_reader.h"
#include "bundle/archive_writer.h"

namespace culprit::bundle {
namespace {

namespace fs = std::filesystem;

/// One entry of an archive that somebody made by hand.
struct Entry {
  std::string name;
  std::string content;
  unsigned type = AE_IFREG;
  std::string symlink = {};
  std::string hardlink = {};
};

std::string manifest_of(std::uint64_t files, std::uint64_t bytes) {
  Manifest manifest;
  manifest.files = files;
  manifest.bytes = bytes;
  return to_text(manifest);
}

class Archive : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = TemporaryDirectory::create("culprit-bundle-test-");
    ASSERT_TRUE(made.ok());
    work_.emplace(*std::move(made));
    path_ = work_->path() / "x.tar.zst";
    folder_ = work_->path() / "to";
    fs::create_directory(folder_);
  }

  /// Made with libarchive alone, without this project's checks.
  void make(const std::vector<Entry>& entries,
            int (*filter)(archive*) = &::archive_write_add_filter_zstd) {
    archive* a = ::archive_write_new();
    ASSERT_EQ(::archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
    ASSERT_EQ(filter(a), ARCHIVE_OK);
    ASSERT_EQ(::archive_write_open_filename(a, path_.c_str()), ARCHIVE_OK);
    for (const Entry& one : entries) {
      archive_entry* e = ::archive_entry_new();
      ::archive_entry_set_pathname(e, one.name.c_str());
      ::archive_entry_set_filetype(e, one.type);
      ::archive_entry_set_perm(e, 06777);
      ::archive_entry_set_uid(e, 0);
      ::archive_entry_set_size(e, static_cast<la_int64_t>(one.content.size()));
      if (!one.symlink.empty()) ::archive_entry_set_symlink(e, one.symlink.c_str());
      if (!one.hardlink.empty()) ::archive_entry_set_hardlink(e, one.hardlink.c_str());
      ASSERT_GE(::archive_write_header(a, e), ARCHIVE_WARN) << ::archive_error_string(a);
      if (!one.content.empty()) ::archive_write_data(a, one.content.data(), one.content.size());
      ::archive_entry_free(e);
    }
    ASSERT_EQ(::archive_write_close(a), ARCHIVE_OK);
    ::archive_write_free(a);
  }

  /// The message of the refusal; empty if it was unpacked.
  std::string refusal(const UnpackLimits& limits = {}) {
    const auto result = unpack(path_, folder_, limits);
    return result.ok() ? std::string() : result.error().message;
  }

  /// Nothing may appear outside the folder.
  void expect_contained() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(work_->path())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"to", "x.tar.zst"}));
  }

  std::optional<TemporaryDirectory> work_;
  fs::path path_;
  fs::path folder_;
};

TEST_F(Archive, RoundTrip) {
  const fs::path source = work_->path() / "source";
  std::string bytes(3'000'000, '\0');
  std::mt19937 random(1);
  for (char& c : bytes) c = static_cast<char>(random());
  std::ofstream(source, std::ios::binary) << bytes;
  const std::string report = "{}\n";
  {
    auto writer = ArchiveWriter::create(path_);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->add_text("bundle.json", manifest_of(2, report.size() + bytes.size())).ok());
    ASSERT_TRUE(writer->add_text("report.json", report).ok());
    ASSERT_TRUE(writer->add_file("trace/a file", source).ok());
    EXPECT_FALSE(fs::exists(path_)) << "there before it was whole";
    const auto size = writer->finish();
    ASSERT_TRUE(size.ok()) << size.error().message;
    EXPECT_EQ(*size, fs::file_size(path_));
  }
  EXPECT_TRUE(looks_like_bundle(path_));
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U) << "a bundle is private";
  const auto manifest = unpack(path_, folder_);
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(*read_file(folder_ / "report.json", 100), report);
  EXPECT_EQ(*read_file(folder_ / "trace/a file", bytes.size()), bytes);
}

TEST_F(Archive, AFailureLeavesWhatWasThere) {
  std::ofstream(path_) << "before";
  {
    auto writer = ArchiveWriter::create(path_);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->add_text("bundle.json", "{}").ok());
    EXPECT_FALSE(writer->add_file("trace/x", work_->path() / "missing").ok());
    EXPECT_FALSE(writer->add_file("trace/x", work_->path()).ok());
    EXPECT_FALSE(writer->add_text("../x", "").ok());
    fs::create_symlink("/etc/passwd", work_->path() / "link");
    EXPECT_FALSE(writer->add_file("trace/x", work_->path() / "link").ok());
    fs::remove(work_->path() / "link");
  }
  EXPECT_EQ(*read_file(path_, 100), "before");
  expect_contained();
}

TEST_F(Archive, WaysOutAreRefused) {
  for (const std::string& name :
       {std::string("../out"), std::string("trace/../../out"), std::string("/tmp/culprit-out"),
        std::string("trace/x/../../../out"), std::string("other"), std::string("trace/\x1b[2Jx"),
        std::string("bundle.json")}) {
    make({{"bundle.json", manifest_of(1, 1)}, {name, "x"}});
    const std::string why = refusal();
    EXPECT_NE(why.find("refused"), std::string::npos) << name << ": " << why;
    EXPECT_EQ(why.find('\x1b'), std::string::npos);
    expect_contained();
  }
}

TEST_F(Archive, LinksAndDevicesAreRefused) {
  const std::vector<Entry> bad = {
      {"trace/x", "", AE_IFLNK, "/etc", ""},    {"trace/x", "", AE_IFREG, "", "/etc/passwd"},
      {"trace/x", "", AE_IFREG, "", "trace/y"}, {"trace/x", "", AE_IFCHR, "", ""},
      {"trace/x", "", AE_IFBLK, "", ""},        {"trace/x", "", AE_IFIFO, "", ""},
      {"trace/x", "", AE_IFDIR, "", ""}};
  for (const Entry& entry : bad) {
    make({{"bundle.json", manifest_of(2, 1)}, entry, {"trace/x/passwd", "x"}});
    EXPECT_NE(refusal().find("refused"), std::string::npos);
    expect_contained();
    EXPECT_FALSE(fs::exists(folder_ / "trace/x"));
  }
}

TEST_F(Archive, ALinkThatIsThereIsNotFollowed) {
  fs::create_directory(folder_ / "trace");
  fs::create_symlink(work_->path() / "out", folder_ / "trace/x");
  make({{"bundle.json", manifest_of(1, 1)}, {"trace/x", "x"}});
  EXPECT_NE(refusal(), "");
  EXPECT_FALSE(fs::exists(work_->path() / "out"));
}

TEST_F(Archive, TwiceIsRefused) {
  make({{"bundle.json", manifest_of(2, 2)}, {"trace/x", "1"}, {"trace/x", "2"}});
  EXPECT_NE(refusal().find("twice"), std::string::npos);
  fs::remove_all(folder_ / "trace");
  make({{"bundle.json", manifest_of(2, 2)}, {"trace/x", "1"}, {"trace/x/y", "2"}});
  EXPECT_NE(refusal(), "");
}

TEST_F(Archive, SizesMustBeTrue) {
  for (const auto& [files, bytes] : {std::pair{1, 2}, {1, 4}, {2, 3}, {0, 3}, {0, 0}}) {
    fs::remove_all(folder_ / "trace");
    make({{"bundle.json",
           manifest_of(static_cast<std::uint64_t>(files), static_cast<std::uint64_t>(bytes))},
          {"trace/x", "123"}});
    EXPECT_NE(refusal(), "") << files << " " << bytes;
  }
  fs::remove_all(folder_ / "trace");
  make({{"bundle.json", manifest_of(1, 3)}, {"trace/x", "123"}});
  EXPECT_EQ(refusal(), "");
}

TEST_F(Archive, BombsAreRefused) {
  const std::string zeros(8 << 20, '\0');
  make({{"bundle.json", manifest_of(1, zeros.size())}, {"trace/x", zeros}});
  ASSERT_LT(fs::file_size(path_), 16U << 10);
  UnpackLimits limits;
  limits.free_ratio = 1 << 20;
  EXPECT_NE(refusal(limits).find("times its size"), std::string::npos);
  // Not much more than the limit has been written.
  EXPECT_LT(fs::file_size(folder_ / "trace/x"), 6U << 20);
  fs::remove_all(folder_ / "trace");
  limits = UnpackLimits{};
  limits.bytes = 1 << 20;
  EXPECT_NE(refusal(limits).find("at most"), std::string::npos);
  limits = UnpackLimits{};
  limits.files = 0;
  EXPECT_NE(refusal(limits), "");
  limits = UnpackLimits{};
  limits.keep_free = std::uint64_t{1} << 60;
  EXPECT_NE(refusal(limits).find("free"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder_ / "trace"));
  limits = UnpackLimits{};
  EXPECT_EQ(refusal(limits), "");
  // What it says is beyond any disk.
  fs::remove_all(folder_ / "trace");
  make({{"bundle.json", manifest_of(1, std::uint64_t{1} << 60)}, {"trace/x", zeros}});
  EXPECT_NE(refusal().find("at most"), std::string::npos);
}

TEST_F(Archive, OtherFilesAreRefused) {
  make({{"report.json", "{}"}});
  EXPECT_NE(refusal().find("not a bundle"), std::string::npos);
  make({});
  EXPECT_NE(refusal(), "");
  make({{"bundle.json", std::string(100'000, ' ')}});
  EXPECT_NE(refusal(), "");
  make({{"bundle.json", manifest_of(1, 1)}, {"trace/x", "1"}}, &::archive_write_add_filter_gzip);
  EXPECT_FALSE(looks_like_bundle(path_));
  EXPECT_NE(refusal(), "");
  for (const std::string& text : {std::string(), std::string("x"), std::string("\x28\xb5\x2f\xfd"),
                                  std::string("\x28\xb5\x2f\xfd") + std::string(1000, '\xff')}) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << text;
    EXPECT_NE(refusal(), "");
  }
  EXPECT_FALSE(looks_like_bundle(folder_));
  EXPECT_FALSE(unpack(folder_, folder_).ok());
  EXPECT_FALSE(unpack(work_->path() / "missing", folder_).ok());
}

TEST_F(Archive, DamageIsNoticed) {
  std::string bytes(200'000, '\0');
  std::mt19937 random(1);
  for (char& c : bytes) c = static_cast<char>(random());
  make({{"bundle.json", manifest_of(1, bytes.size())}, {"trace/x", bytes}});
  const std::string whole = *read_file(path_, 1 << 20);
  for (std::size_t size = 0; size < whole.size(); size += whole.size() / 40 + 1) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    fs::remove_all(folder_ / "trace");
    EXPECT_NE(refusal(), "") << "cut at " << size;
  }
  // Flipped bytes: refused, or the same contents (nothing says that a bit of padding matters).
  for (int i = 0; i < 60; ++i) {
    std::string changed = whole;
    changed[random() % changed.size()] ^= static_cast<char>(1 << random() % 8);
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << changed;
    fs::remove_all(folder_ / "trace");
    (void)refusal();
    expect_contained();
  }
}

}  // namespace
}  // namespace culprit::bundle
