#include "cli/triage_command.h"

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "bundle/archive_reader.h"
#include "cli/exit_codes.h"
#include "cli/moment_options.h"
#include "cli/opened_bundle.h"
#include "cli/triage.h"
#include "cli/triage_options.h"

namespace culprit::cli {
namespace {

class TriageCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("triage", "Follow the bad value of a recorded crash back to its origin");
    command
        ->add_option("trace", trace_,
                     "The trace's directory (of `culprit record` or `rr record`), or a bundle")
        ->required()
        ->type_name("TRACE");
    flags_.add_to(*command, "--timeout");
    moment_.add_to(*command);
    command
        ->add_option("--unpack-to", unpack_to_,
                     "A bundle: unpack it into this new or empty folder, and keep it")
        ->type_name("DIR");
    flags_.add_engine_to(*command);
    command->footer(
        "Examples:\n"
        "  culprit triage --json report.json ~/.local/share/culprit/reproducer-0\n"
        "  culprit triage --at 'write:^assert' --address 'table[3].next' TRACE\n"
        "  culprit triage TRACE --address 0x7ffd1000 --at-event 101 --at-thread 4711 --at-pc "
        "0x401180\n"
        "Exit code 0: the chain is complete; 3: it stops before the origin, and the report says "
        "why.");
    return command;
  }

  int run(const CommonOptions& common) override {
    Result<TriageRequest> request = flags_.request();
    if (!request.ok()) return report_error(request.error());
    request->trace = trace_;
    auto moment = moment_.moment();
    if (!moment.ok()) return report_error(moment.error());
    request->at = *std::move(moment);
    if (request->at && request->point) {
      return report_error({ErrorCode::usage,
                           "--at and --at-event each name a moment to begin at: say one of them"});
    }
    Progress progress(common.verbosity());
    std::optional<OpenedBundle> bundle;
    if (bundle::looks_like_bundle(trace_)) {
      progress.phase("unpacking the bundle");
      auto opened = open_bundle(trace_, unpack_to_);
      progress.pause();
      if (!opened.ok()) return report_error(opened.error());
      bundle = *std::move(opened);
      request->trace = bundle->trace();
      request->debug_directories = {bundle->debug().string()};
      if (!request->pid && bundle->manifest.process > 0) request->pid = bundle->manifest.process;
    } else if (!unpack_to_.empty()) {
      return report_error({ErrorCode::usage, "--unpack-to: " + trace_ + " is no bundle"});
    }
    Result<report::Report> report = triage(*request, progress);
    progress.pause();
    if (!report.ok()) return report_error(report.error());
    if (bundle && bundle->temporary) forget_folder(*report);
    if (const Status shown = show_report(*report, flags_.output()); !shown.ok()) {
      return report_error(shown.error());
    }
    return exit_code_of(*report);
  }

 private:
  /// The trace goes when this program ends: no way leads there.
  void forget_folder(report::Report& report) const {
    for (report::Hop& hop : report.hops) hop.revisit.reset();
    std::error_code code;
    report.trace.directory = std::filesystem::absolute(trace_, code).string();
    report.warnings.push_back(
        "the bundle was unpacked for this triage only: --unpack-to DIR keeps it, for culprit open");
  }

  std::string unpack_to_;
  TriageFlags flags_;
  MomentFlags moment_;
  std::string trace_;
};

}  // namespace

std::unique_ptr<Command> make_triage_command() { return std::make_unique<TriageCommand>(); }

}  // namespace culprit::cli
