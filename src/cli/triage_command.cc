#include "cli/triage_command.h"

#include <string>
#include <utility>

#include "cli/exit_codes.h"
#include "cli/triage.h"
#include "cli/triage_options.h"

namespace culprit::cli {
namespace {

class TriageCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("triage", "Follow the bad value of a recorded crash back to its origin");
    command->add_option("trace", trace_, "The trace's directory (of `culprit record` or `rr record`)")
        ->required()
        ->type_name("TRACE");
    flags_.add_to(*command, "--timeout");
    command->footer(
        "Example: culprit triage --json report.json ~/.local/share/culprit/reproducer-0\n"
        "         culprit triage --at 'write:^assert' --address 'table[3].next' TRACE\n"
        "Exit code 0: the chain is complete; 3: it stops before the origin, and the report says "
        "why.");
    return command;
  }

  int run(const CommonOptions& common) override {
    Result<TriageRequest> request = flags_.request();
    if (!request.ok()) return report_error(request.error());
    request->trace = trace_;
    Progress progress(common.verbosity());
    const Result<report::Report> report = triage(*request, progress);
    progress.pause();
    if (!report.ok()) return report_error(report.error());
    if (const Status shown = show_report(*report, flags_.output()); !shown.ok()) {
      return report_error(shown.error());
    }
    return exit_code_of(*report);
  }

 private:
  TriageFlags flags_;
  std::string trace_;
};

}  // namespace

std::unique_ptr<Command> make_triage_command() { return std::make_unique<TriageCommand>(); }

}  // namespace culprit::cli
