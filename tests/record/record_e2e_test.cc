// Recordings of real programs with the real rr.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>

#include "base/file_descriptor.h"
#include "base/subprocess.h"
#include "recorder/trace_info.h"
#include "recording_test.h"

namespace culprit::recorder {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

bool none_left(const std::string& program_path) {
  const auto any = [&] {
    std::error_code code;
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc", code)) {
      const fs::path exe = fs::read_symlink(entry.path() / "exe", code);
      if (!code && exe == program_path) return true;
    }
    return false;
  };
  for (int i = 0; i < 50; ++i) {
    if (!any()) return true;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return false;
}

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> out;
  for (std::string line; std::getline(stream, line);) out.push_back(line);
  return out;
}

bool is_empty_or_absent(const fs::path& path) {
  std::error_code code;
  return !fs::exists(path, code) || fs::is_empty(path, code);
}

// ---- The programs that software ticks must be able to record: ten times each, with a replay of the
// same output.

struct Sound {
  const char* name;
  const char* failure;  ///< start of RecordOutcome::failure
};
void PrintTo(const Sound& sound, std::ostream* out) { *out << sound.name; }

class SoundPrograms : public RecordingTest, public testing::WithParamInterface<Sound> {};

TEST_P(SoundPrograms, ReplayAsTheyRan) {
  const std::string path = program(GetParam().name);
  if (::access(path.c_str(), X_OK) != 0) GTEST_SKIP() << path << " was not built (no Go?)";
  ::setenv("GOMAXPROCS", "4", 1);
  if (path.find("barrier") != std::string::npos) ::setenv("GOMAXPROCS", "1", 1);
  for (int i = 0; i < 10; ++i) {
    RecordOptions o = options({path});
    o.output = directory() / std::to_string(i);
    const auto outcome = run(o);
    ASSERT_TRUE(outcome.ok()) << "recording " << i << ": " << outcome.error().message;
    EXPECT_TRUE(outcome->failure.starts_with(GetParam().failure)) << outcome->failure;
    EXPECT_TRUE(outcome->verified);
    EXPECT_EQ(outcome->verification, "replayed once with the same output");
    EXPECT_GT(outcome->out.total + outcome->err.total, 0u);
    EXPECT_FALSE(outcome->timed_out);
  }
  ::unsetenv("GOMAXPROCS");
}

INSTANTIATE_TEST_SUITE_P(
    Record, SoundPrograms,
    testing::Values(Sound{"abort", "signal 6"}, Sound{"threads", "signal 6"},
                    Sound{"timer_with_syscalls", "signal 6"}, Sound{"queued_signals", "signal 6"},
                    Sound{"fault_by_timer", "signal 11"}, Sound{"go_goroutines", "crash text"},
                    Sound{"go_cgo", "exit code 2"}, Sound{"barrier-base/driver", "crash text"},
                    Sound{"barrier-host/driver", "signal 6"}),
    [](const testing::TestParamInfo<Sound>& parameter) {
      std::string name = parameter.param.name;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

// ---- Signals under software ticks

class Signals : public RecordingTest {};

TEST_F(Signals, LandAtSystemCallsOnly) {
  const auto outcome = run(options({program("timer_with_syscalls")}));
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  // The loop makes a call at each multiple of 5000, so a signal that landed inside user code would
  // show another number.
  const std::vector<std::string> lines = lines_of(outcome->out.text);
  ASSERT_EQ(lines.size(), 40u);
  for (const std::string& line : lines) {
    const unsigned long at = std::stoul(line.substr(line.find(" at ") + 4));
    EXPECT_EQ(at % 5000, 0u) << line;
  }
  EXPECT_GT(outcome->ticks.held, 0u) << "nothing was tested: no signal came during computation";
  EXPECT_EQ(outcome->ticks.held, outcome->ticks.released);
}

TEST_F(Signals, QueuedOnesKeepOrderAndInformation) {
  const auto outcome = run(options({program("queued_signals")}));
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  const std::vector<std::string> lines = lines_of(outcome->out.text);
  ASSERT_EQ(lines.size(), 20u);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_TRUE(lines[i].starts_with("value " + std::to_string(1000 + i) + " by timer 1 at "))
        << lines[i];
    const unsigned long at = std::stoul(lines[i].substr(lines[i].find(" at ") + 4));
    EXPECT_EQ(at % 1000000, 0u) << lines[i];
  }
  EXPECT_GT(outcome->ticks.held, 0u);
  EXPECT_EQ(outcome->ticks.held, outcome->ticks.released);
}

TEST_F(Signals, FaultNumberFromATimerWaitsAndTheRealFaultDoesNot) {
  const auto outcome = run(options({program("fault_by_timer")}));
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->status.signal, SIGSEGV);
  const std::vector<std::string> lines = lines_of(outcome->out.text);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(std::stoul(lines[0].substr(8)) % 1000000, 0u) << lines[0];
}

TEST_F(Signals, RefusedInSecondsWithoutSystemCalls) {
  RecordOptions o = options({program("timer_without_syscalls")});
  o.learn_landings = false;
  o.hold_limit = milliseconds(700);
  const auto start = Clock::now();
  const auto outcome = run(o);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::cannot_record);
  EXPECT_NE(outcome.error().message.find("SIGALRM"), std::string::npos) << outcome.error().message;
  EXPECT_LT(Clock::now() - start, seconds(15));
  EXPECT_TRUE(is_empty_or_absent(o.output));
  EXPECT_TRUE(none_left(o.command[0]));
}

TEST_F(Signals, SpinWaitIsRefusedInSeconds) {
  RecordOptions o = options({program("spin_wait")});
  o.learn_landings = false;
  o.starve_limit = milliseconds(700);
  const auto start = Clock::now();
  const auto outcome = run(o);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::cannot_record);
  EXPECT_NE(outcome.error().message.find("spins"), std::string::npos) << outcome.error().message;
  EXPECT_LT(Clock::now() - start, seconds(15));
  EXPECT_TRUE(is_empty_or_absent(o.output));
  EXPECT_TRUE(none_left(o.command[0]));
}

TEST_F(Signals, AStarvedRunIsMadeAgainWithTheSameInput) {
  RecordOptions o = options({program("spin_wait")});
  o.learn_landings = false;
  o.starve_limit = milliseconds(300);
  o.refusal_retries = 3;
  const auto start = Clock::now();
  EXPECT_EQ(run(o).error().code, ErrorCode::cannot_record);
  EXPECT_GT(Clock::now() - start, milliseconds(4 * 300));
  o.refusal_retries = 0;
  const auto again = Clock::now();
  EXPECT_EQ(run(o).error().code, ErrorCode::cannot_record);
  EXPECT_LT(Clock::now() - again, Clock::now() - start);
}

TEST_F(Signals, WithALandingBothAreRecorded) {
  for (const char* name : {"spin_wait", "timer_without_syscalls"}) {
    RecordOptions o = options({program(name)});
    o.output = directory() / name;
    const auto outcome = run(o);
    ASSERT_TRUE(outcome.ok()) << name << ": " << outcome.error().message;
    EXPECT_TRUE(outcome->verified);
    EXPECT_GT(outcome->ticks.landed, 0u);
    EXPECT_EQ(outcome->landings.size(), 1u);
    EXPECT_EQ(outcome->attempts, 1u) << "the runs that taught the landing do not count";
    EXPECT_TRUE(fs::exists(outcome->trace / "culprit-landings"));
    const auto info = examine_trace(outcome->trace);
    ASSERT_TRUE(info.ok()) << info.error().message;
    EXPECT_TRUE(info->has_landings);
    ASSERT_TRUE(write_file_atomically(outcome->trace / "culprit-landings", "v1\nno\n").ok());
    EXPECT_EQ(examine_trace(outcome->trace).error().code, ErrorCode::bad_input);
  }
}

TEST_F(Signals, ALoneComputationMayLast) {
  // Far over both limits, but nothing waits for it.
  RecordOptions o = options({program("compute"), "0", "3000000000"});
  o.hold_limit = milliseconds(200);
  o.starve_limit = milliseconds(200);
  o.verify = false;  // the replay computes as long again
  const auto outcome = run(o);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->status.code, 3);
  EXPECT_GT(outcome->elapsed, milliseconds(600)) << "too fast to test anything";
}

// ---- What the program gets and what is kept

class Surroundings : public RecordingTest {};

TEST_F(Surroundings, ReachTheProgramUnchanged) {
  const std::string input = "line one\nline two without end";
  const fs::path work = directory() / "a directory";
  fs::create_directory(work);
  ASSERT_TRUE(write_file_atomically(directory() / "input", input).ok());
  const std::vector<std::string> arguments = {"--engine", "-o", "a b", "", "--", "quote'\"$"};

  // The same started twice: directly, and by the command line tool under rr.
  const auto start = [&](bool recorded) {
    ProcessOptions p;
    if (recorded) {
      p.argv = {CULPRIT_BINARY, "-q", "record", "--engine", "software", "-o",
                (directory() / "trace").string(), "--"};
    }
    p.argv.push_back(program("environment"));
    p.argv.insert(p.argv.end(), arguments.begin(), arguments.end());
    p.working_directory = work.string();
    p.set_environment = {{"CULPRIT_AGENT", "v1;mode=replay;theirs"},
                         {"LD_PRELOAD", program("user_preload.so")},
                         {"EMPTY", ""},
                         {"WITH_NEWLINE", "a\nb=c"}};
    const FileDescriptor in(::open((directory() / "input").c_str(), O_RDONLY | O_CLOEXEC));
    p.stdin_fd = in.get();
    return run_process(p, seconds(60));
  };
  const auto plain = start(false);
  const auto under_rr = start(true);
  ASSERT_TRUE(plain.ok() && under_rr.ok());
  ASSERT_EQ(plain->status.code, 7);
  ASSERT_EQ(under_rr->status.code, 0) << under_rr->err.text;

  // Order is not promised for variables. rr itself adds some: named here one by one, so that nothing
  // else gets through.
  const std::set<std::string> allowed = {
      "variable <GBM_ALWAYS_SOFTWARE=1>",
      "variable <GNOME_DISABLE_CRASH_DIALOG=1>",
      "variable <LIBGL_ALWAYS_SOFTWARE=1>",
      "variable <MOZ_GDB_SLEEP=0>",
      "variable <OPENSSL_ia32cap=~4611686018427387904:0>",
      "variable <OPENSSL_ia32cap=~4611686018427387904:~0>",
      "variable <QT_NO_CPU_FEATURE=rdrnd rdseed rtm>",
      "variable <RUNNING_UNDER_RR=1>",
      "variable <SDL_RENDER_DRIVER=software>",
      "variable <SSS_NSS_USE_MEMCACHE=NO>",
      "variable <SYSTEMD_RDRAND=0>",
  };
  std::multiset<std::string> expected;
  std::multiset<std::string> got;
  for (const std::string& line : lines_of(plain->out.text)) expected.insert(line);
  for (const std::string& line : lines_of(under_rr->out.text)) got.insert(line);
  std::vector<std::string> missing;
  std::vector<std::string> added;
  std::set_difference(expected.begin(), expected.end(), got.begin(), got.end(),
                      std::back_inserter(missing));
  std::set_difference(got.begin(), got.end(), expected.begin(), expected.end(),
                      std::back_inserter(added));
  std::erase_if(added, [&](const std::string& line) { return allowed.contains(line); });
  EXPECT_TRUE(missing.empty()) << testing::PrintToString(missing);
  EXPECT_TRUE(added.empty()) << testing::PrintToString(added);
  EXPECT_TRUE(got.contains("variable <CULPRIT_AGENT=v1;mode=replay;theirs>"));
  EXPECT_TRUE(got.contains("variable <USER_PRELOAD_WAS_HERE=yes>"));
  EXPECT_TRUE(under_rr->out.text.ends_with(input));
}

TEST_F(Surroundings, OutputIsKeptByteForByteAndTheEnvironmentIsNot) {
  ::setenv("CULPRIT_TEST_SECRET", "do not store this value", 1);
  const auto outcome = run(options({program("abort")}));
  ::unsetenv("CULPRIT_TEST_SECRET");
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(read_file(outcome->trace / "culprit-stdout", 4096).value_or("?"),
            "out: before the abort\n");
  EXPECT_EQ(read_file(outcome->trace / "culprit-stderr", 4096).value_or("?"),
            "err: before the abort\n");
  const std::string json = read_file(outcome->trace / "culprit-record.json", 65536).value_or("");
  EXPECT_EQ(json.find("do not store"), std::string::npos);

  const auto info = examine_trace(outcome->trace);
  ASSERT_TRUE(info.ok()) << info.error().message;
  EXPECT_EQ(info->format, supported_trace_format);
  EXPECT_EQ(info->engine, Engine::software);
  EXPECT_EQ(info->signal, SIGABRT);
  EXPECT_EQ(info->command, std::vector<std::string>{program("abort")});
  EXPECT_TRUE(info->changed_binaries.empty());
  EXPECT_TRUE(info->out && info->err);
}

TEST_F(Surroundings, AnAgentWhosePathNeedsQuotingIsLoaded) {
  const fs::path odd = directory() / "with a space:and colon";
  fs::create_directory(odd);
  fs::copy_file(fs::path(CULPRIT_BINARY).parent_path() / "../lib/libculprit-agent.so",
                odd / "agent.so");
  ProcessOptions plain;
  plain.argv = {program("environment")};
  ProcessOptions recorded;
  recorded.argv = {CULPRIT_BINARY, "-q", "record", "--engine", "software", "-o",
                   (directory() / "trace").string(), "--", program("environment")};
  recorded.set_environment = {{"CULPRIT_AGENT_LIB", (odd / "agent.so").string()}};
  const auto expected = run_process(plain, seconds(60));
  const auto got = run_process(recorded, seconds(60));
  ASSERT_TRUE(expected.ok() && got.ok());
  EXPECT_EQ(got->status.code, 0) << got->err.text;
  const auto descriptors = [](const std::string& text) {
    std::vector<std::string> out = lines_of(text);
    std::erase_if(out, [](const std::string& line) { return !line.starts_with("descriptor "); });
    return out;
  };
  EXPECT_EQ(descriptors(got->out.text), descriptors(expected->out.text));
}

TEST_F(Surroundings, OutputIsShownAsItComes) {
  ProcessOptions p;
  p.argv = {CULPRIT_BINARY, "-q", "record", "--engine", "software", "-o",
            (directory() / "trace").string(), "--", program("abort")};
  const auto result = run_process(p, seconds(60));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->status.code, 0) << result->err.text;
  EXPECT_EQ(result->out.text, "out: before the abort\n");
  EXPECT_EQ(result->err.text,
            "err: before the abort\n" + (directory() / "trace").string() + "\n");
}

// ---- Until it fails

class Retries : public RecordingTest {};

TEST_F(Retries, OnlyTheFailingTraceIsKept) {
  RecordOptions o = options({program("flaky"), (directory() / "count").string(), "3"});
  o.attempts = 5;
  const auto outcome = run(o);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->attempts, 3u);
  EXPECT_EQ(outcome->failure, "exit code 42");
  EXPECT_EQ(outcome->out.text, "run 3\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory()), fs::directory_iterator()), 2)
      << "the trace and the counter";
}

TEST_F(Retries, NeverFailing) {
  RecordOptions o = options({program("flaky"), (directory() / "count").string(), "9"});
  o.attempts = 3;
  const auto outcome = run(o);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::did_not_fail);
  EXPECT_NE(outcome.error().message.find("3 runs"), std::string::npos);
  EXPECT_FALSE(fs::exists(o.output));
}

TEST_F(Retries, UntilChooses) {
  RecordOptions o = options({program("crash_text")});
  o.until = {true, true, false};
  EXPECT_EQ(run(o).error().code, ErrorCode::did_not_fail);
  o.until = {false, false, true};
  const auto by_text = run(o);
  ASSERT_TRUE(by_text.ok()) << by_text.error().message;
  EXPECT_EQ(by_text->failure, "crash text 'fatal error:' (exit code 0)");

  RecordOptions aborting = options({program("abort")});
  aborting.output = directory() / "abort";
  aborting.until = {false, true, true};
  EXPECT_EQ(run(aborting).error().code, ErrorCode::did_not_fail);
}

TEST_F(Retries, AUsedDirectoryIsNeverTouched) {
  RecordOptions o = options({program("abort")});
  fs::create_directory(o.output);
  ASSERT_TRUE(write_file_atomically(o.output / "version", "the user's own file").ok());
  const auto outcome = run(o);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::usage);
  EXPECT_EQ(read_file(o.output / "version", 100).value_or(""), "the user's own file");

  fs::remove(o.output / "version");
  EXPECT_TRUE(run(o).ok()) << "an empty directory is fine";
}

// ---- Programs that do not end well

class Trouble : public RecordingTest {
 protected:
  /// Starts `culprit record -- PROGRAM`, waits until the program runs, sends `signal`, and returns
  /// the exit code.
  int interrupt(const std::string& path, int signal, std::vector<std::string> arguments = {}) {
    ProcessOptions p;
    p.argv = {CULPRIT_BINARY, "-q", "record", "--engine", "software", "-o",
              (directory() / "trace").string(), "--", path};
    p.argv.insert(p.argv.end(), arguments.begin(), arguments.end());
    auto process = Process::start(p);
    if (!process.ok()) return -1;
    for (int i = 0; i < 500 && none_now(path); ++i) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    std::this_thread::sleep_for(milliseconds(300));
    process->signal(signal);
    const auto status = process->wait(seconds(30));
    error_ = process->captured_err().text;
    return status.ok() && status->has_value() ? (*status)->code : -1;
  }
  std::string error_;

 private:
  static bool none_now(const std::string& path) {
    std::error_code code;
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc", code)) {
      const fs::path exe = fs::read_symlink(entry.path() / "exe", code);
      if (!code && exe == path) return false;
    }
    return true;
  }
};

TEST_F(Trouble, AHangingProgramIsEndedAndItsTraceIsGood) {
  RecordOptions o = options({program("hang")});
  o.timeout = milliseconds(500);
  const auto outcome = run(o);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome->timed_out);
  EXPECT_TRUE(outcome->verified);
  EXPECT_EQ(outcome->out.text, "hanging\n");
  EXPECT_LT(outcome->elapsed, seconds(10));
  EXPECT_TRUE(none_left(o.command[0]));
}

TEST_F(Trouble, AnEndlessComputationIsEndedAndItsReplayEnds) {
  RecordOptions o = options({program("compute"), "1000", "0xffffffffffffffff"});
  o.timeout = milliseconds(500);
  o.verify_deadline = seconds(20);
  const auto outcome = run(o);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome->timed_out);
  EXPECT_TRUE(outcome->verified);
  EXPECT_EQ(outcome->ticks.killed, 1u);
  EXPECT_TRUE(none_left(o.command[0]));
}

TEST_F(Trouble, ADaemonDoesNotHoldUpTheRecording) {
  const RecordOptions o = options({program("daemonise")});
  const auto outcome = run(o);
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->status.code, 9);
  EXPECT_FALSE(outcome->timed_out);
  EXPECT_LT(outcome->elapsed, seconds(20));
  EXPECT_EQ(outcome->out.text, "leaving\n");
  EXPECT_TRUE(none_left(o.command[0]));
}

TEST_F(Trouble, CtrlCStopsTheProgramAndKeepsTheTrace) {
  for (const std::string name : {"hang", "compute"}) {
    EXPECT_EQ(interrupt(program(name), SIGINT, {"1000", "0xffffffffffffffff"}), 130) << name << ": " << error_;
    EXPECT_TRUE(none_left(program(name))) << name;
    EXPECT_NE(error_.find("interrupted"), std::string::npos) << error_;
    const auto info = examine_trace(directory() / "trace");
    EXPECT_TRUE(info.ok()) << info.error().message;
    fs::remove_all(directory() / "trace");
  }
}

TEST_F(Trouble, KillingTheToolLeavesNothingBehind) {
  EXPECT_EQ(interrupt(program("hang"), SIGKILL), 0);  // killed by a signal: no exit code
  EXPECT_TRUE(none_left(program("hang")));
}

TEST_F(Trouble, AFullDiskIsSaidSo) {
  const fs::path small = directory() / "small";
  fs::create_directory(small);
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=700k") != 0) {
    GTEST_SKIP() << "cannot mount a small file system (not root)";
  }
  // Not even room to begin with: said before the program runs.
  std::ofstream(small / "ballast") << std::string(100 * 1024, 'x');
  RecordOptions o = options({program("go_goroutines")});
  if (::access(o.command[0].c_str(), X_OK) != 0) o.command = {program("threads")};
  o.output = small / "trace";
  const auto outcome = run(o);
  const bool gone = !fs::exists(o.output);
  const bool ballast = fs::exists(small / "ballast");
  ::umount(small.c_str());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::cannot_record);
  EXPECT_NE(outcome.error().message.find("are free on the file system"), std::string::npos) << outcome.error().message;
  EXPECT_TRUE(gone);
  EXPECT_TRUE(ballast);
}

// ---- Machines that cannot

class NoTools : public RecordingTest {
 protected:
  ProcessResult tool(std::vector<std::string> arguments,
                     std::vector<std::pair<std::string, std::string>> environment) {
    ProcessOptions p;
    p.argv = {CULPRIT_BINARY};
    p.argv.insert(p.argv.end(), arguments.begin(), arguments.end());
    p.set_environment = std::move(environment);
    auto result = run_process(p, seconds(60));
    return result.ok() ? std::move(result).value() : ProcessResult{};
  }
  std::string script(const std::string& text) {
    const fs::path path = directory() / "rr";
    std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
    fs::permissions(path, fs::perms::owner_all);
    return path.string();
  }
};

TEST_F(NoTools, NoRr) {
  const ProcessResult r = tool({"record", "--", program("abort")}, {{"CULPRIT_RR", "/nowhere/rr"}});
  EXPECT_EQ(r.status.code, 5);
  EXPECT_EQ(lines_of(r.err.text).size(), 1u) << r.err.text;
  const ProcessResult d = tool({"doctor"}, {{"CULPRIT_RR", "/nowhere/rr"}});
  EXPECT_EQ(d.status.code, 5);
  EXPECT_NE(d.out.text.find("unset CULPRIT_RR"), std::string::npos) << d.out.text;
  const ProcessResult none = tool({"doctor"}, {{"PATH", "/nowhere"}});
  EXPECT_EQ(none.status.code, 5);
  EXPECT_NE(none.out.text.find("sudo apt-get install rr"), std::string::npos) << none.out.text;
}

TEST_F(NoTools, WrongRr) {
  const ProcessResult old =
      tool({"record", "--", program("abort")}, {{"CULPRIT_RR", script("echo rr version 5.4.0")}});
  EXPECT_EQ(old.status.code, 5);
  EXPECT_NE(old.err.text.find("5.6.0 or later"), std::string::npos) << old.err.text;
  const ProcessResult other =
      tool({"record", "--", program("abort")}, {{"CULPRIT_RR", script("echo hello")}});
  EXPECT_EQ(other.status.code, 5);
  EXPECT_NE(other.err.text.find("is it rr?"), std::string::npos) << other.err.text;
}

TEST_F(NoTools, AnRrWithSoftwareCountersIsRecognised) {
  const std::string fake = script(
      "[ \"$1\" = --version ] && echo rr version 5.9.0 && exit\n"
      "[ \"$1 $2\" = 'record --help' ] && echo '  -W, --software-counters  Count in software' >&2\n"
      "exit 1");
  const ProcessResult d = tool({"doctor"}, {{"CULPRIT_RR", fake}});
  EXPECT_NE(d.out.text.find("(-W)"), std::string::npos) << d.out.text;
  EXPECT_NE(d.out.text.find("has not been tested"), std::string::npos) << d.out.text;
}

TEST_F(NoTools, NoAgent) {
  const ProcessResult r = tool({"record", "--engine", "software", "--", program("abort")},
                               {{"CULPRIT_AGENT_LIB", "/nowhere/agent.so"}});
  EXPECT_EQ(r.status.code, 5) << r.err.text;
}

TEST_F(NoTools, NoSuchProgramAndNoCommand) {
  EXPECT_EQ(tool({"record", "--", "/nowhere/program"}, {}).status.code, 2);
  EXPECT_EQ(tool({"record"}, {}).status.code, 2);
  EXPECT_EQ(tool({"record", "--until", "sometimes", "--", "true"}, {}).status.code, 2);
  EXPECT_EQ(tool({}, {}).status.code, 2);
}

TEST_F(NoTools, DoctorTellsInJson) {
  const ProcessResult r = tool({"doctor", "--json"}, {});
  EXPECT_EQ(r.status.code, 0) << r.out.text;
  EXPECT_NE(r.out.text.find("\"recording_works\": true"), std::string::npos) << r.out.text;
  EXPECT_NE(r.out.text.find("\"test recording\""), std::string::npos) << r.out.text;
}

TEST_F(NoTools, DoctorNeedsAPlaceForTraces) {
  const ProcessResult r = tool({"doctor"}, {{"_RR_TRACE_DIR", "/proc/culprit"}});
  EXPECT_EQ(r.status.code, 5);
  EXPECT_NE(r.out.text.find("try: export _RR_TRACE_DIR="), std::string::npos) << r.out.text;
}

TEST_F(NoTools, EveryCommandHasAnExample) {
  for (const char* command : {"record", "doctor"}) {
    const ProcessResult r = tool({command, "--help"}, {});
    EXPECT_EQ(r.status.code, 0);
    EXPECT_NE(r.out.text.find("Example: culprit "), std::string::npos) << r.out.text;
  }
}

}  // namespace
}  // namespace culprit::recorder
