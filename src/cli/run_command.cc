#include "cli/run_command.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

#include "cli/exit_codes.h"
#include "cli/record_options.h"
#include "cli/triage.h"
#include "cli/triage_options.h"
#include "recorder/record.h"

namespace culprit::cli {
namespace {

/// The report's name in the trace's directory, when --json names no other place.
constexpr char kReportFile[] = "culprit-report.json";

class RunCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("run", "Record a command until it fails, then triage the failure");
    triage_.add_to(*command, "--triage-timeout");
    record_.add_to(*command, /*searches=*/true);
    command->footer(
        "Examples: culprit run --retries 20 --json report.json -- ./reproducer --seed 7\n"
        "          culprit run --at 'write:Corruption!' --address 'page->b' -- ./stress\n"
        "Without --json the report is culprit-report.json in the trace's directory.");
    return command;
  }

  int run(const CommonOptions& common) override {
    Result<recorder::RecordOptions> options = record_.options();
    if (!options.ok()) return report_error(options.error());
    Result<TriageRequest> request = triage_.request();
    if (!request.ok()) return report_error(request.error());
    if (request->point) {
      // The moment is chosen: whatever ends the run after it is a failure.
      options->until.exit = true;
      if (request->point->pattern) {
        options->failure_output = [pattern = *request->point->pattern](std::string_view output) {
          return pattern.found_in(output);
        };
      }
    }
    if (record_.engine == "forward") request->engine = SearchEngine::forward;
    // Exact ticks are there to run backwards.
    if (record_.engine == "reverse" || record_.engine == "exact") {
      request->engine = SearchEngine::reverse;
    }
    ReportOutput output = triage_.output();
    // With the report on stdout, the program's own output must not be mixed into it.
    if (output.json == "-") options->out_fd = 2;

    Progress progress(common.verbosity());
    const Result<recorder::RecordOutcome> outcome = recorder::record(*options, progress);
    progress.pause();
    if (!outcome.ok()) return report_error(outcome.error());
    if (!common.quiet) {
      fmt::print(stderr, "culprit: recorded: {} in run {}, trace {}\n", outcome->failure,
                 outcome->attempts, outcome->trace.string());
    }
    request->trace = outcome->trace;
    request->attempts = outcome->attempts;
    const Result<report::Report> report = triage(*request, progress);
    progress.pause();
    if (!report.ok()) return report_error(report.error());
    if (output.json.empty()) output.json = (outcome->trace / kReportFile).string();
    if (const Status shown = show_report(*report, output); !shown.ok()) {
      return report_error(shown.error());
    }
    return exit_code_of(*report);
  }

 private:
  RecordFlags record_;
  TriageFlags triage_;
};

}  // namespace

std::unique_ptr<Command> make_run_command() { return std::make_unique<RunCommand>(); }

}  // namespace culprit::cli
