#include "binary/source_line.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "binary/test_support.h"

namespace culprit::binary {
namespace {

using testing::TemporaryFolder;

TEST(SourceLine, ReadsOneLine) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a.c") << "first\n\t  second;  \r\n\nlast without break";
  const SourceReader reader;
  EXPECT_EQ(reader.line(folder / "a.c", 1), "first");
  EXPECT_EQ(reader.line(folder / "a.c", 2), "second;");
  EXPECT_EQ(reader.line(folder / "a.c", 3), "");
  EXPECT_EQ(reader.line(folder / "a.c", 4), "last without break");
  EXPECT_EQ(reader.line(folder / "a.c", 5), std::nullopt);
  EXPECT_EQ(reader.line(folder / "a.c", 0), std::nullopt);
  EXPECT_EQ(reader.line(folder / "missing.c", 1), std::nullopt);
  EXPECT_EQ(reader.line(folder.path(), 1), std::nullopt);
  EXPECT_EQ(reader.line("", 1), std::nullopt);
}

TEST(SourceLine, MapsPrefixes) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a.c") << "here\n";
  const SourceReader reader({{"/build/src", folder.path()}, {"/build", "/nowhere"}});
  EXPECT_EQ(reader.line("/build/src/a.c", 1), "here");
  EXPECT_EQ(reader.line("/build/a.c", 1), std::nullopt);
}

TEST(SourceLine, NothingHarmfulReachesTheTerminal) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a.c") << "x\x1b[31m\x07 caf\xc3\xa9 \xff\xc3(\xc2\x9b \xe2\x80\xae;\n"
                                << std::string(100000, 'y') << "\nz\n";
  const SourceReader reader;
  EXPECT_EQ(reader.line(folder / "a.c", 1), "x?[31m? caf\xc3\xa9 ?\?(? ?;");
  EXPECT_EQ(reader.line(folder / "a.c", 2)->size(), 400U);
  EXPECT_EQ(reader.line(folder / "a.c", 3), "z");
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(reader.line(folder / "fifo", 1), std::nullopt);  // and does not hang
}

}  // namespace
}  // namespace culprit::binary
