#include "cli/record_command.h"

#include <fmt/format.h>

#include <cstdio>

#include "cli/exit_codes.h"
#include "cli/record_options.h"
#include "recorder/record.h"

namespace culprit::cli {
namespace {

class RecordCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command = app.add_subcommand("record", "Record a command until it fails");
    flags_.add_to(*command);
    command->add_option("--trace-fd", trace_fd_,
                        "Print the trace's directory on this descriptor instead of stderr")
        ->type_name("FD")
        ->check(CLI::Range(1, 65535));
    command->footer(
        "Example: culprit record --retries 20 --timeout 60 -o /tmp/crash -- ./reproducer --seed 7\n"
        "The program's output goes where it always goes. The trace's directory is the last line on\n"
        "stderr.");
    return command;
  }

  int run(const CommonOptions& common) override {
    const Result<recorder::RecordOptions> options = flags_.options();
    if (!options.ok()) return report_error(options.error());
    Progress progress(common.verbosity());
    const Result<recorder::RecordOutcome> outcome = recorder::record(*options, progress);
    progress.pause();
    if (!outcome.ok()) return report_error(outcome.error());
    if (!common.quiet) {
      fmt::print(stderr, "culprit: recorded: {} in run {} ({}, rr {}, {:.2f} s){}\n",
                 outcome->failure, outcome->attempts, recorder::engine_name(outcome->engine),
                 outcome->rr.version_text, static_cast<double>(outcome->elapsed.count()) / 1000.0,
                 outcome->verified ? "; " + outcome->verification : "");
      if (outcome->ticks.killed > 0) {
        fmt::print(stderr,
                   "culprit: {} thread(s) were killed while computing: a replay ends at their last "
                   "system call\n",
                   outcome->ticks.killed);
      }
    }
    const std::string line = outcome->trace.string() + "\n";
    std::FILE* out = trace_fd_ == 1 ? stdout : stderr;
    if (trace_fd_ > 2) out = ::fdopen(trace_fd_, "w");
    if (out == nullptr || std::fputs(line.c_str(), out) < 0 || std::fflush(out) != 0) {
      return report_error(Error{ErrorCode::io, "cannot write to --trace-fd"});
    }
    return exit_ok;
  }

 private:
  RecordFlags flags_;
  int trace_fd_ = 2;
};

}  // namespace

std::unique_ptr<Command> make_record_command() { return std::make_unique<RecordCommand>(); }

}  // namespace culprit::cli
