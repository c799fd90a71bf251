// What the end-to-end tests of the recorder share.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/file_descriptor.h"
#include "recorder/engine_probe.h"
#include "recorder/record.h"

namespace culprit::recorder {

/// A temporary directory and recording into it; skips where nothing can be recorded at all.
class RecordingTest : public testing::Test {
 protected:
  void SetUp() override {
    const MachineReport machine = probe_machine();
    if (!machine.rr) GTEST_SKIP() << "rr is not installed";
    if (!machine.ptrace.usable) GTEST_SKIP() << "ptrace: " << machine.ptrace.detail;
    if (!machine.seccomp.usable) GTEST_SKIP() << "seccomp: " << machine.seccomp.detail;
    if (!machine.software_events.usable) {
      GTEST_SKIP() << "perf_event_open: " << machine.software_events.detail;
    }
    // Whatever runs the tests may give them a pipe, which cannot be read twice.
    const FileDescriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::dup2(null.get(), STDIN_FILENO), STDIN_FILENO);
    auto directory = TemporaryDirectory::create("culprit-record-test-");
    ASSERT_TRUE(directory.ok()) << directory.error().message;
    directory_.emplace(std::move(directory).value());
  }

  const std::filesystem::path& directory() const { return directory_->path(); }
  static std::string program(const std::string& name) {
    return std::string(CULPRIT_PROGRAMS) + "/" + name;
  }

  /// Software ticks, nothing shown, a deadline on everything.
  RecordOptions options(std::vector<std::string> command) const {
    RecordOptions out;
    out.command = std::move(command);
    out.output = directory() / "trace";
    out.engine = Engine::software;
    out.timeout = std::chrono::seconds(60);
    out.verify_deadline = std::chrono::seconds(60);
    out.out_fd = -1;
    out.err_fd = -1;
    return out;
  }
  static Result<RecordOutcome> run(const RecordOptions& options) {
    Progress quiet(Progress::Verbosity::quiet);
    return record(options, quiet);
  }

 private:
  std::optional<TemporaryDirectory> directory_;
};

/// True if no process of this program's name is left. Processes end a moment after rr.
bool none_left(const std::string& program_path);

}  // namespace culprit::recorder
