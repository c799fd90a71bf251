#include "recorder/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "agent/launch.h"
#include "base/file.h"
#include "base/file_descriptor.h"
#include "recorder/attempt.h"
#include "recorder/engine_choice.h"
#include "recorder/record_json.h"
#include "recorder/software_plan.h"
#include "recorder/trace_info.h"

namespace culprit::recorder {
namespace fs = std::filesystem;
namespace {

/// Less than this is not enough for the smallest trace.
constexpr std::uint64_t least_free_space = std::uint64_t{1} << 20;

/// The directory that a trace will be written to. rr must create it itself.
class TraceDirectory {
 public:
  static Result<TraceDirectory> choose(const RecordOptions& options) {
    std::error_code code;
    if (options.output.empty()) {
      const std::string name = fs::path(options.command.front()).filename().string();
      CULPRIT_ASSIGN(fs::path path, create_unique_directory(default_trace_root(),
                                                            (name.empty() ? "trace" : name) + "-"));
      fs::remove(path, code);
      return TraceDirectory(std::move(path), false);
    }
    fs::path path = fs::absolute(options.output, code).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    const fs::file_status status = fs::symlink_status(path, code);
    bool existed = false;
    if (fs::exists(status)) {
      if (!fs::is_directory(status) || !fs::is_empty(path, code) || code) {
        return Error{ErrorCode::usage,
                     path.string() + " exists and is not an empty directory; choose another for -o"};
      }
      existed = true;
      fs::remove(path, code);
    } else {
      fs::create_directories(path.parent_path(), code);
    }
    if (code) {
      return Error{ErrorCode::usage, "cannot use " + path.string() + ": " + code.message()};
    }
    return TraceDirectory(std::move(path), existed);
  }

  const fs::path& path() const { return path_; }

  /// Removes what rr has written for a run that is not wanted.
  void discard() const {
    std::error_code ignored;
    // Only a directory that looks like rr's: a trace has one of these from the first moment on.
    if (fs::exists(path_ / "version", ignored) || fs::exists(path_ / "incomplete", ignored) ||
        fs::is_empty(path_, ignored)) {
      fs::remove_all(path_, ignored);
    }
  }
  /// The user's empty directory is there again when nothing was recorded.
  void give_up() const {
    discard();
    std::error_code ignored;
    if (existed_) fs::create_directory(path_, ignored);
  }

 private:
  TraceDirectory(fs::path path, bool existed) : path_(std::move(path)), existed_(existed) {}
  fs::path path_;
  bool existed_;
};

/// The program's stdin, the same for each run.
class Input {
 public:
  static Result<Input> open(unsigned attempts) {
    Input in;
    struct stat info {};
    if (::fstat(STDIN_FILENO, &info) != 0) {  // closed: the program must not see another file there
      in.own_ = FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      in.fd_ = in.own_.get();
      return in;
    }
    in.fd_ = STDIN_FILENO;
    if (S_ISREG(info.st_mode)) {
      in.start_ = ::lseek(STDIN_FILENO, 0, SEEK_CUR);
    } else if (S_ISCHR(info.st_mode) && ::isatty(STDIN_FILENO) == 0) {
      in.start_ = 0;  // /dev/null and its like
    } else if (attempts > 1 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode))) {
      CULPRIT_TRY(in.spool());
    }
    return in;
  }

  int fd() const { return fd_; }
  /// Can another run get the same input?
  bool repeatable() const { return own_ || start_ >= 0; }
  void rewind() const {
    if (start_ >= 0) ::lseek(fd_, start_, SEEK_SET);
  }

 private:
  /// A pipe can be read once only, so later runs get a copy of all that comes through it.
  Status spool() {
    const char* base = ::getenv("TMPDIR");
    own_ = FileDescriptor(
        ::open(base != nullptr && *base == '/' ? base : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!own_) {
      return Error{ErrorCode::io, std::string("cannot keep stdin for retries: ") + ::strerror(errno)};
    }
    char buffer[65536];
    for (;;) {
      const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n == 0) break;
      if (n < 0 || ::write(own_.get(), buffer, static_cast<std::size_t>(n)) != n) {
        return Error{ErrorCode::io,
                     std::string("cannot keep stdin for retries: ") + ::strerror(errno)};
      }
    }
    fd_ = own_.get();
    start_ = 0;
    return {};
  }

  FileDescriptor own_;
  int fd_ = STDIN_FILENO;
  off_t start_ = -1;
};

/// Why this run is the failure that is wanted; empty if it is not.
std::string failure_of(const RecordOptions& options, const Attempt& attempt) {
  if (attempt.timed_out && options.timeout) {
    return "still running after " +
           std::to_string(static_cast<double>(options.timeout->count()) / 1000.0).substr(0, 5) + " s";
  }
  if (attempt.status.signal != 0 && options.until.signal) return attempt.status.describe();
  if (options.until.text) {
    for (const std::string& text : options.crash_texts) {
      if (!text.empty() && attempt.err.text.find(text) != std::string::npos) {
        return "crash text '" + text + "' (" + attempt.status.describe() + ")";
      }
    }
  }
  if (attempt.status.signal == 0 && attempt.status.code != 0 && options.until.exit) {
    return attempt.status.describe();
  }
  if (options.failure_output &&
      (options.failure_output(attempt.out.text) || options.failure_output(attempt.err.text))) {
    return "the output that was waited for (" + attempt.status.describe() + ")";
  }
  return "";
}

/// " (at f, f.c:12)" or as much of it as is known.
std::string describe_place(const RecordOptions& options, const Refused& refused) {
  if (!refused.place) return "";
  std::string name = options.name_place ? options.name_place(*refused.place) : "";
  char number[32];
  if (name.empty() && !refused.place->file.empty()) {
    ::snprintf(number, sizeof number, "+0x%llx",
               static_cast<unsigned long long>(refused.place->file_offset));
    name = refused.place->file.filename().string() + number;
  } else if (name.empty()) {
    ::snprintf(number, sizeof number, "0x%llx",
               static_cast<unsigned long long>(refused.place->address));
    name = number;
  }
  return " (it was at " + name + ")";
}

Error cannot_record(const RecordOptions& options, const Attempt& attempt, Engine engine,
                    const fs::path& trace, bool repeatable) {
  std::string why;
  if (attempt.refused) {
    why = attempt.refused->why + describe_place(options, *attempt.refused);
    if (!repeatable && attempt.refused->kind != RefusalKind::other) {
      why += "; a second run could learn to record this, but the program's input cannot be repeated: "
             "give it a file or /dev/null";
    }
  } else {
    why = explain_rr_failure(attempt.err.text);
    const Result<std::uint64_t> space = free_space(trace);
    if (space.ok() && *space < least_free_space) {
      why = "no space is left on the file system of " + trace.parent_path().string();
    }
    if (why.empty()) why = "rr ended with " + attempt.status.describe() + " and left no trace";
    if (why.find("hardware counters") != std::string::npos && engine == Engine::hardware) {
      why += "; try --engine software";
    }
  }
  return Error{ErrorCode::cannot_record, "cannot record: " + why};
}

}  // namespace

const std::vector<std::string>& default_crash_texts() {
  static const std::vector<std::string> texts = {
      "fatal error:",                // Go runtime, OCaml
      "panic:",                      // Go
      "panicked at",                 // Rust
      "ERROR: AddressSanitizer",     // and the other sanitizers
      "ERROR: LeakSanitizer",
      "WARNING: ThreadSanitizer",
      "WARNING: MemorySanitizer",
      "runtime error:",              // UBSan, Go
      "Assertion `",                 // assert(3)
      "terminate called",            // libstdc++
      "libc++abi: terminating",
      "*** stack smashing detected ***",
      "free(): ",                    // glibc malloc's consistency checks
      "double free or corruption",
      "malloc(): ",
      "realloc(): ",
      "munmap_chunk(): ",
      "malloc_consolidate(): ",
      "corrupted size vs. prev_size",
      "corrupted double-linked list",
      "*** buffer overflow detected ***",
      "Segmentation fault",          // a shell's word for a child's death
  };
  return texts;
}

Result<RecordOutcome> record(const RecordOptions& options, Progress& progress) {
  if (options.command.empty()) return Error{ErrorCode::usage, "no command to record"};
  if (!find_program(options.command.front())) {
    return Error{ErrorCode::usage, options.command.front() + ": no such program"};
  }
  CULPRIT_ASSIGN(const RrProgram rr, find_rr());
  if (!rr.supported()) {
    return Error{ErrorCode::cannot_record, rr.path + " is version " + rr.version_text +
                                               "; 5.6.0 or later is needed"};
  }
  Engine engine = choose_recording_engine(
      options.engine, options.engine ? Capability{} : probe_hardware_counters());
  if (engine != Engine::hardware) {
    if (auto agent = agent::find_agent(); !agent.ok()) {
      return Error{ErrorCode::cannot_record, agent.error().message};
    }
  }
  const unsigned attempts = std::max(1U, options.attempts);
  CULPRIT_ASSIGN(const Input input, Input::open(attempts));
  CULPRIT_ASSIGN(const TraceDirectory directory, TraceDirectory::choose(options));
  if (const auto space = free_space(directory.path()); space.ok() && *space < least_free_space) {
    directory.give_up();
    return Error{ErrorCode::cannot_record, "cannot record: only " + std::to_string(*space / 1024) +
                                               " KiB are free on the file system of " +
                                               directory.path().parent_path().string()};
  }

  // Which cores have counters is rr's to know: some processors have cores of two kinds.
  std::optional<ProcessorClaim> processor;
  const auto claim = [&] {
    if (engine != Engine::hardware && !processor) {
      processor = ProcessorClaim::take(processor_lock_file(), allowed_processors());
    }
    return processor ? &*processor : nullptr;
  };

  // A status line and the program's own output do not go together on one terminal.
  const bool quiet = options.out_fd >= 0 || options.err_fd >= 0;
  Attempt attempt;
  std::string failure;
  unsigned made = 0;
  SoftwarePlan plan(options, input.repeatable());
  while (failure.empty() && made < attempts) {
    ++made;
    const std::string name =
        attempts > 1 ? "recording, run " + std::to_string(made) + " of " + std::to_string(attempts)
                     : "recording";
    if (quiet) {
      progress.note(name);
    } else {
      progress.phase(name);
    }
    input.rewind();
    auto run = run_attempt(options, rr, engine, directory.path(), input.fd(),
                           plan.settings(), claim(), progress);
    if (!run.ok()) {
      directory.give_up();
      return run.error();
    }
    attempt = std::move(run).value();
    if (attempt.refused && plan.learn_from(*attempt.refused)) {
      --made;
      directory.discard();
      progress.note("refused: " + attempt.refused->why +
                    describe_place(options, *attempt.refused) + "; recording again");
      continue;
    }
    if (attempt.refused || (!attempt.complete && !attempt.interrupted)) {
      // Counters that open may still not be the ones that rr needs.
      if (engine == Engine::hardware && !options.engine && agent::find_agent().ok() &&
          is_counter_complaint(attempt.err.text)) {
        directory.discard();
        engine = Engine::software;
        --made;
        continue;
      }
      const Error error =
          cannot_record(options, attempt, engine, directory.path(), input.repeatable());
      directory.give_up();
      return error;
    }
    if (attempt.interrupted) break;
    failure = failure_of(options, attempt);
    if (failure.empty()) directory.discard();
  }

  if (attempt.interrupted && !attempt.complete) {
    directory.give_up();
    return Error{ErrorCode::interrupted, "interrupted; nothing could be kept"};
  }
  if (failure.empty() && !attempt.interrupted) {
    directory.give_up();
    return Error{ErrorCode::did_not_fail,
                 "the program did not fail in " + std::to_string(made) +
                     (made == 1 ? " run (" : " runs (last: ") + attempt.status.describe() + ")"};
  }

  RecordOutcome outcome;
  outcome.trace = directory.path();
  outcome.engine = engine;
  outcome.rr = rr;
  outcome.status = attempt.status;
  outcome.timed_out = attempt.timed_out;
  outcome.failure = attempt.interrupted ? "interrupted" : failure;
  outcome.out = std::move(attempt.out);
  outcome.err = std::move(attempt.err);
  outcome.attempts = made;
  outcome.elapsed = attempt.elapsed;
  outcome.ticks = attempt.ticks;
  outcome.processor = std::move(processor);
  if (engine == Engine::software) outcome.landings = plan.settings().landings;
  if (const Status written = write_record(options, outcome); !written.ok()) {
    return Error{ErrorCode::cannot_record,
                 written.error().message + " (the trace is in " + outcome.trace.string() + ")"};
  }
  if (attempt.interrupted) {
    return Error{ErrorCode::interrupted,
                 "interrupted; the trace so far is in " + outcome.trace.string()};
  }
  if (!options.verify) return outcome;

  progress.phase("checking the replay");
  const auto kept = " (the trace is in " + outcome.trace.string() + ")";
  const auto check = verify_trace(rr, engine, outcome.trace, outcome.out, outcome.err,
                                  options.output_limit, options.verify_deadline, options.rr_options);
  progress.pause();
  if (!check.ok()) {
    const ErrorCode code = check.error().code == ErrorCode::interrupted ? ErrorCode::interrupted
                                                                        : ErrorCode::replay_failed;
    return Error{code, "recorded, but " + check.error().message + kept};
  }
  if (!check->same_output && !check->subset) {
    const std::string what = check->difference.empty() ? "something else than the program did"
                                                       : check->difference;
    return Error{ErrorCode::replay_failed,
                 "recorded, but the replay prints " + what +
                     ": memory was changed out of rr's sight (by another process, the kernel or "
                     "the hardware), or threads ran in an order that was not recorded" + kept};
  }
  outcome.replay_elapsed = check->elapsed;
  outcome.verified = true;
  outcome.verification = check->same_output
                             ? "replayed once with the same output"
                             : "replayed once; a part of the output did not go through a stream "
                               "that rr repeats";
  return outcome;
}

}  // namespace culprit::recorder
