#include "cli/ci_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/subprocess.h"
#include "cli/completion_model.h"
#include "cli/exit_codes.h"
#include "cli/fail_on.h"
#include "cli/triage.h"
#include "recorder/record.h"
#include "report/baseline.h"
#include "report/formats/format.h"
#include "report/json.h"
#include "report/sanitize.h"
#include "report/words.h"
#include "report/write.h"

namespace culprit::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

/// What became of a failed command; the names are those of the outcome file.
struct Outcome {
  std::string_view name;  ///< "triaged", "did_not_fail_again", "cannot_record", …
  std::string detail;     ///< one line
};

/// As a shell says it: the exit code, or 128 and the signal.
int shell_code(const ExitStatus& status) {
  return status.signal != 0 ? 128 + status.signal : status.code;
}

bool set_to(const char* variable, std::string_view value) {
  const char* found = std::getenv(variable);
  return found != nullptr && found == value;
}

void say(const std::string& line) {
  fmt::print(stderr, "culprit: {}\n", report::sanitize(line, 400));
}

std::vector<std::string_view> format_names() {
  std::vector<std::string_view> names;
  for (const report::FormatInfo& format : report::formats()) names.push_back(format.name);
  return names;
}

class CiCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command = app.add_subcommand(
        "ci", "Run a test command as it is; if it fails, record it again and say why");
    command->add_option("-d,--output-dir", directory_, "Where the reports go")
        ->type_name("DIR")
        ->capture_default_str();
    command
        ->add_option(
            "-f,--format", formats_,
            "A format of `culprit report`, to a file of its own name in DIR; may be repeated "
            "(default: markdown, html; report.json is always written)")
        ->type_name("FORMAT")
        ->check(suggested_values(format_names()))
        ->allow_extra_args(false);
    command->add_option("--retries", retries_, "Record again until it fails: at most 1 + N runs")
        ->check(CLI::Range(0U, 10'000U))
        ->capture_default_str();
    command
        ->add_option("--time-limit", time_limit_s_,
                     "Seconds for all recorded runs together; the first, plain run has no limit")
        ->check(CLI::Range(0.1, 86400.0))
        ->capture_default_str();
    command->add_option("--triage-timeout", triage_timeout_s_, "Seconds for the triage")
        ->check(CLI::Range(0.1, 86400.0))
        ->capture_default_str();
    command
        ->add_option("--fail-on", fail_on_,
                     "Which failures of the command count; for the others the exit code is 0. A list "
                     "of: test (all), never, proved, likely, new (not in --baseline), or classes")
        ->type_name("WHAT[,WHAT...]")
        ->check(suggested_values(FailOn::words()))
        ->capture_default_str();
    command
        ->add_option("--baseline", baseline_path_,
                     "Causes that are known: a file of keys, a report, what culprit cluster --json "
                     "or culprit batch wrote, or a directory of those")
        ->type_name("FILE|DIR");
    command->add_flag(
        "--each", each_,
        "Put the reports into a new directory below DIR, named after the program: for a "
        "launcher that starts many tests");
    command->add_flag("--keep-trace", keep_trace_, "Keep the recording, in DIR/trace");
    command
        ->add_option("--source-root", source_root_,
                     "The repository's directory; see culprit report")
        ->type_name("DIR");
    command->add_option("command", command_, "The test command and its arguments, after --")
        ->type_name("CMD...")
        ->required();
    command->positionals_at_end();
    command->footer(
        "The exit code is the command's own (128 + N for signal N), whatever culprit finds, unless\n"
        "--fail-on says that such a failure does not count: then it is 0. A failure that could not\n"
        "be explained always counts (but for never). Where nothing can be recorded the reason is\n"
        "said, and nothing else changes.\n"
        "In GitHub Actions the annotations go to the log and the summary to $GITHUB_STEP_SUMMARY.\n"
        "Examples:\n"
        "  culprit ci -- ctest --test-dir build --output-on-failure\n"
        "  culprit ci -d artefacts -f sarif -f junit --retries 20 -- ./flaky_test "
        "--gtest_filter=A.*\n"
        "  culprit ci --fail-on new --baseline known-causes.txt -- ./nightly\n"
        "  culprit ci --fail-on use_after_free,heap_overflow,double_free -- ./fuzz_regressions");
    return command;
  }

  int run(const CommonOptions& common) override {
    const Result<std::vector<report::Format>> wanted = formats();
    if (!wanted.ok()) return report_error(wanted.error());
    if (const Status judged = prepare_judgement(); !judged.ok()) return report_error(judged.error());
    counts_ = !judge_.never;
    const Result<ExitStatus> first = plain_run();
    if (!first.ok()) {
      // As a shell: 127 for a command that is not there.
      const int code =
          first.error().code == ErrorCode::not_found ? 127 : exit_code(first.error().code);
      report_error(first.error());
      return code;
    }
    if (first->success()) return exit_ok;
    say(fmt::format("the command failed ({}); recording it to find out why", first->describe()));
    Progress progress(common.verbosity());
    if (each_) {
      const std::string name = fs::path(command_.front()).filename().string();
      const Result<fs::path> own = create_unique_directory(directory_, name + "-");
      if (!own.ok()) {
        say("no report: " + own.error().message);
        return final_code(*first);
      }
      directory_ = own->string();
    }
    const Outcome outcome = explain(*wanted, progress);
    progress.pause();
    if (outcome.name != "triaged") say(fmt::format("no report: {}", outcome.detail));
    write_outcome(outcome, *first);
    if (final_code(*first) == exit_ok) {
      say(fmt::format("the exit code is 0 and not {}: --fail-on {}", shell_code(*first), fail_on_));
    }
    return final_code(*first);
  }

 private:
  // Read before the command runs: a mistake in the call must not cost a test run.
  Status prepare_judgement() {
    CULPRIT_ASSIGN(judge_, parse_fail_on(fail_on_));
    if (baseline_path_.empty()) {
      if (!judge_.new_causes) return {};
      return Error{ErrorCode::usage, "--fail-on new: say what is known, with --baseline"};
    }
    CULPRIT_ASSIGN(baseline_, report::read_baseline(baseline_path_));
    return {};
  }

  [[nodiscard]] int final_code(const ExitStatus& status) const {
    return counts_ ? shell_code(status) : exit_ok;
  }

  [[nodiscard]] Result<std::vector<report::Format>> formats() const {
    std::vector<report::Format> list;
    const std::vector<std::string> names =
        formats_.empty() ? std::vector<std::string>{"markdown", "html"} : formats_;
    for (const std::string& name : names) {
      const auto format = report::format_named(name);
      if (!format) {
        return Error{
            ErrorCode::usage,
            fmt::format("--format {}: no such format; culprit report --help lists them", name)};
      }
      list.push_back(*format);
    }
    list.push_back(report::Format::json);
    return list;
  }

  // With everything that culprit was given: streams, directory, environment.
  [[nodiscard]] Result<ExitStatus> plain_run() const {
    ProcessOptions options;
    options.argv = command_;
    options.inherit_stdin = true;
    options.out.kind = OutputMode::Kind::inherit;
    options.err.kind = OutputMode::Kind::inherit;
    options.own_group = false;  // a Ctrl-C of the terminal reaches it, as without culprit
    CULPRIT_ASSIGN(Process process, Process::start(options));
    CULPRIT_ASSIGN(const std::optional<ExitStatus> status, process.wait());
    if (!status) return Error{ErrorCode::internal, "the command's end was not seen"};
    return *status;
  }

  [[nodiscard]] Outcome explain(const std::vector<report::Format>& wanted, Progress& progress) {
    std::error_code code;
    fs::create_directories(directory_, code);
    if (code) return {"failed", "cannot create " + directory_ + ": " + code.message()};
    // Reports of an earlier run would be taken for those of this one.
    for (const report::FormatInfo& format : report::formats()) {
      fs::remove(fs::path(directory_) / format.file_name, code);
    }
    Result<TemporaryDirectory> scratch = TemporaryDirectory::create("culprit-ci-");
    if (!scratch.ok()) return {"failed", scratch.error().message};
    const fs::path trace = keep_trace_ ? fs::path(directory_) / "trace" : scratch->path() / "trace";
    if (keep_trace_) fs::remove_all(trace, code);
    Result<recorder::RecordOutcome> recorded = record_again(trace, progress);
    if (!recorded.ok()) {
      if (keep_trace_) fs::remove_all(trace, code);
      return outcome_of(recorded.error());
    }
    TriageRequest request;
    request.trace = recorded->trace;
    request.attempts = recorded->attempts;
    request.timeout = to_milliseconds(triage_timeout_s_);
    const Result<report::Report> report = triage(request, progress);
    progress.pause();
    if (!report.ok()) return outcome_of(report.error());
    if (const Status written = write_formats(*report, wanted); !written.ok()) {
      return {"failed", written.error().message};
    }
    judgement_ = judge(judge_, *report, baseline_ ? &*baseline_ : nullptr);
    counts_ = judgement_->counts;
    summarise(*report, recorded->attempts);
    if (const Status told = tell_github(*report); !told.ok()) say(told.error().message);
    return {"triaged", report::title_of(report->verdict)};
  }

  static Milliseconds to_milliseconds(double seconds) {
    return Milliseconds(static_cast<std::int64_t>(seconds * 1000));
  }

  // One run at a time, so that the limit holds for all of them together.
  [[nodiscard]] Result<recorder::RecordOutcome> record_again(const fs::path& trace,
                                                             Progress& progress) const {
    recorder::RecordOptions options;
    options.command = command_;
    options.output = trace;
    options.out_fd = options.err_fd = -1;  // the log has the output of the plain run already
    const auto deadline = Clock::now() + to_milliseconds(time_limit_s_);
    for (unsigned attempt = 1; attempt <= retries_ + 1; ++attempt) {
      const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) {
        return Error{ErrorCode::did_not_fail,
                     fmt::format("it did not fail again within {} s ({} {})", time_limit_s_,
                                 attempt - 1, attempt == 2 ? "run" : "runs")};
      }
      options.timeout = left;
      Result<recorder::RecordOutcome> outcome = recorder::record(options, progress);
      if (!outcome.ok() && outcome.error().code == ErrorCode::did_not_fail) continue;
      if (outcome.ok() && outcome->timed_out) {
        return Error{ErrorCode::did_not_fail,
                     fmt::format("it did not end again within {} s", time_limit_s_)};
      }
      if (outcome.ok()) outcome->attempts = attempt;
      return outcome;
    }
    return Error{ErrorCode::did_not_fail,
                 fmt::format("it did not fail again in {} recorded {}", retries_ + 1,
                             retries_ == 0 ? "run" : "runs")};
  }

  static Outcome outcome_of(const Error& error) {
    switch (error.code) {
      case ErrorCode::did_not_fail:
        return {"did_not_fail_again", error.message};
      case ErrorCode::cannot_record:
        return {"cannot_record", "skipped: " + error.message};
      case ErrorCode::replay_failed:
        return {"replay_failed", error.message};
      case ErrorCode::timeout:
        return {"timeout", error.message};
      case ErrorCode::interrupted:
        return {"interrupted", error.message};
      default:
        return {"failed", error.message};
    }
  }

  [[nodiscard]] report::FormatOptions format_options() const {
    report::FormatOptions options;
    options.source_root = source_root_;
    return options;
  }

  [[nodiscard]] Status write_formats(const report::Report& report,
                                     const std::vector<report::Format>& wanted) const {
    for (const report::Format format : wanted) {
      const fs::path path = fs::path(directory_) / report::info(format).file_name;
      CULPRIT_TRY(write_file_atomically(path, report::render(report, format, format_options())));
    }
    return {};
  }

  void summarise(const report::Report& report, unsigned attempts) const {
    const report::Verdict& verdict = report.verdict;
    say(fmt::format("it failed again in recorded run {}", attempts));
    say(fmt::format("{}  [{}]", report::title_of(verdict), report::to_string(verdict.confidence)));
    const auto line = [](std::string_view name, const std::string& text) {
      if (!text.empty()) say(fmt::format("  {:<7}{}", name, text));
    };
    if (verdict.cause) line("cause", report::cause_text(*verdict.cause, report.program.cwd));
    line("crash", report::crash_text(report.crash));
    line("fix", report::fix_of(verdict));
    if (!report::complete(report)) line("open", report::stop_text(verdict));
    line("key", report.fingerprint.strict +
                    (!judgement_ || !judgement_->known ? "" : *judgement_->known ? " (known)" : " (new)"));
    line("see", directory_);
  }

  [[nodiscard]] Status tell_github(const report::Report& report) const {
    if (!set_to("GITHUB_ACTIONS", "true")) return {};
    CULPRIT_TRY(report::write_output(
        "-", report::render(report, report::Format::github, format_options())));
    const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
    if (summary == nullptr || *summary == '\0') return {};
    // Other steps of the job write to the same file.
    const FileDescriptor file(::open(summary, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
    const std::string text =
        report::render(report, report::Format::github_summary, format_options());
    if (!file ||
        ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      return Error{ErrorCode::io, "cannot write to $GITHUB_STEP_SUMMARY"};
    }
    return {};
  }

  // For the steps that come after: did it say why, and if not, what was missing.
  void write_outcome(const Outcome& outcome, const ExitStatus& status) const {
    report::Json json = report::Json::object();
    json["outcome"] = outcome.name;
    json["detail"] = report::sanitize(outcome.detail, 2000);
    json["exit_code"] = shell_code(status);
    json["counts"] = final_code(status) != exit_ok;
    if (judgement_) {
      json["class"] = judgement_->bug_class;
      json["confidence"] = judgement_->confidence;
      json["key"] = judgement_->key;
      if (judgement_->known) json["known"] = *judgement_->known;
    }
    const std::string text =
        json.dump(2, ' ', false, report::Json::error_handler_t::replace) + "\n";
    const Status written = write_file_atomically(fs::path(directory_) / "ci.json", text);
    if (!written.ok()) say(written.error().message);
  }

  std::string directory_ = "culprit-artefacts";
  std::vector<std::string> formats_;
  unsigned retries_ = 9;
  double time_limit_s_ = 600;
  double triage_timeout_s_ = 300;
  std::string fail_on_ = "test";
  std::string baseline_path_;
  FailOn judge_;
  std::optional<report::Baseline> baseline_;
  std::optional<Judgement> judgement_;
  bool counts_ = true;  ///< until a report says that it need not
  bool each_ = false;
  bool keep_trace_ = false;
  std::string source_root_;
  std::vector<std::string> command_;
};

}  // namespace

std::unique_ptr<Command> make_ci_command() { return std::make_unique<CiCommand>(); }

}  // namespace culprit::cli
