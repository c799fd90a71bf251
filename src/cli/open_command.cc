#include "cli/open_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/launch.h"
#include "base/file.h"
#include "binary/separate_debug_file.h"
#include "bundle/archive_reader.h"
#include "cli/debugger.h"
#include "cli/exit_codes.h"
#include "cli/opened_bundle.h"
#include "cli/replay_server.h"
#include "cli/report_trace.h"
#include "recorder/engine_choice.h"
#include "recorder/engine_probe.h"
#include "recorder/trace_info.h"

namespace culprit::cli {
namespace {

/// Words between spaces; quotes have no meaning.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t", at)) != std::string::npos) {
    const std::size_t end = std::min(text.find_first_of(" \t", at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

/// The hop whose moment the report tells: this one, or the nearest that it explains. The gdb
/// commands choose in the same way (gdbscripts/culprit_gdb/report.py).
const report::Hop& hop_with_directions(const report::Report& report, std::size_t index) {
  std::size_t at = index;
  while (!(report.hops[at].revisit && !report.hops[at].revisit->gdb_commands.empty()) &&
         report.hops[at].parent && *report.hops[at].parent < at) {
    at = *report.hops[at].parent;
  }
  return report.hops[at];
}

/// rr gives gdb the trace's copies of the program's files, and their debuglinks lead nowhere from
/// there. So the debug files of the modules that the hops are in are put where gdb looks by build
/// id. A report is not believed here: a link is made for the build id that the module's own file
/// has.
Result<TemporaryDirectory> link_debug_files(const report::Report& report) {
  namespace fs = std::filesystem;
  CULPRIT_ASSIGN(TemporaryDirectory folder, TemporaryDirectory::create("culprit-debug-"));
  std::set<std::string> seen;
  constexpr std::size_t kMost = 64;
  for (const report::Hop& hop : report.hops) {
    const std::string& id = hop.writer.build_id;
    if (!hop.writer.module.starts_with('/') || seen.size() == kMost || !seen.insert(id).second) {
      continue;
    }
    const auto debug = binary::separate_debug_file(hop.writer.module, id);
    // Nothing is wrong then: it needs none, or it is not here, and gdb shows addresses.
    if (!debug.ok() || id.size() <= 2) continue;
    std::error_code code;
    const fs::path place = folder.path() / ".build-id" / id.substr(0, 2);
    fs::create_directories(place, code);
    fs::create_symlink(fs::absolute(*debug, code), place / (id.substr(2) + ".debug"), code);
  }
  return folder;
}

class OpenCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    CLI::App* command =
        app.add_subcommand("open", "Replay in gdb, standing exactly at a hop of a report");
    command
        ->add_option("report", report_,
                     "The report's JSON, the trace's folder that it lies in, or a bundle")
        ->required()
        ->type_name("REPORT.json");
    command->add_option("-n,--hop", hop_, "The hop to stand at; 0 is the crash")
        ->check(CLI::Range(0, 999))
        ->capture_default_str();
    command->add_option("--trace", trace_, "The trace's folder, if it is not where the report says")
        ->type_name("DIR");
    command
        ->add_option("--debugger", debugger_, "gdb, or a program with its options; split at spaces")
        ->type_name("COMMAND")
        ->capture_default_str();
    command
        ->add_option("-c,--command", commands_,
                     "A command for gdb, once it stands there; may be repeated")
        ->type_name("GDB-COMMAND")
        ->allow_extra_args(false);
    command->add_flag("--batch", batch_, "No prompt: end after the commands");
    command->footer(
        "In gdb: culprit hops, culprit goto N, culprit blame EXPR, culprit history EXPR, culprit "
        "note "
        "TEXT.\n"
        "Examples:\n"
        "  culprit open report.json\n"
        "  culprit open report.json --hop 2 --batch -c backtrace -c 'info locals'\n"
        "  culprit open crash.tar.zst\n"
        "  culprit open report.json --debugger 'gdb -tui'");
    return command;
  }

  int run(const CommonOptions& common) override {
    Progress progress(common.verbosity());
    const Result<int> code = open(progress);
    progress.pause();
    return code.ok() ? *code : report_error(code.error());
  }

 private:
  Result<int> open(Progress& progress) {
    DebuggerOptions debugger;
    debugger.program = words_of(debugger_);
    if (debugger.program.empty()) return Error{ErrorCode::usage, "--debugger: no program is named"};
    if (!find_program(debugger.program.front())) {
      return Error{ErrorCode::usage, debugger.program.front() +
                                         ": no such debugger (on Debian: apt-get install gdb)"};
    }
    std::optional<OpenedBundle> bundle;
    if (bundle::looks_like_bundle(report_)) {
      progress.phase("unpacking the bundle");
      CULPRIT_ASSIGN(bundle, open_bundle(report_, {}));
      debugger.debug_directory = bundle->debug();
    }
    CULPRIT_ASSIGN(const NamedReport named,
                   read_named_report(bundle ? bundle->report().string() : report_));
    const report::Report* report = &named.report;
    if (hop_ >= report->hops.size()) {
      return Error{ErrorCode::usage,
                   report->hops.empty()
                       ? std::string("the report has no hops")
                       : fmt::format("the report has no hop {}; its last one is {}", hop_,
                                     report->hops.size() - 1)};
    }
    const report::Hop& hop = hop_with_directions(*report, hop_);
    ReplayServerOptions server;
    server.event = hop.revisit && hop.revisit->event ? hop.revisit->event : hop.position.event;
    if (!server.event) {
      return Error{ErrorCode::bad_input,
                   fmt::format("the report does not tell when hop {} was", hop_)};
    }
    server.process = hop.position.process;

    CULPRIT_ASSIGN(const recorder::TraceInfo info,
                   find_trace(named, bundle && trace_.empty() ? bundle->trace().string() : trace_));
    CULPRIT_ASSIGN(const recorder::RrProgram rr, recorder::find_rr());
    CULPRIT_ASSIGN(server.agent, agent::find_agent());
    CULPRIT_ASSIGN(debugger.script, find_gdb_script());
    // Reading the whole trace to learn this would take longer than the replay; a report that is
    // wrong about it leads to a replay that rr refuses.
    const bool hardware = report->engine.ticks == "hardware" && !info.has_landings;
    const auto engine = recorder::choose_replay_engine(
        hardware, hardware ? recorder::probe_hardware_counters() : recorder::Capability{});
    if (!engine.ok()) return engine.error().with_context(info.path.string());
    server.software_ticks = *engine == recorder::Engine::software;
    server.rr = rr.path;
    server.trace = info.path;

    CULPRIT_ASSIGN(const TemporaryDirectory debug_files, link_debug_files(*report));
    if (debugger.debug_directory.empty()) debugger.debug_directory = debug_files.path();
    progress.phase(fmt::format("replaying to event {}", server.event.value));
    CULPRIT_ASSIGN(const ReplayServer replay, ReplayServer::start(server));
    progress.pause();
    debugger.rr = rr.path;
    debugger.port = replay.port();
    debugger.report = named.file;
    debugger.trace = info.path;
    debugger.hop = hop_;
    debugger.batch = batch_;
    debugger.commands = commands_;
    CULPRIT_ASSIGN(const DebuggerOutcome outcome, run_debugger(debugger));
    if (!outcome.stood_at_hop) {
      return Error{ErrorCode::replay_failed,
                   fmt::format("the debugger did not come to hop {} (it ended with {})", hop_,
                               outcome.status.describe())};
    }
    return static_cast<int>(exit_ok);
  }

  std::string report_;
  std::string trace_;
  std::string debugger_ = "gdb";
  std::size_t hop_ = 0;
  std::vector<std::string> commands_;
  bool batch_ = false;
};

}  // namespace

std::unique_ptr<Command> make_open_command() { return std::make_unique<OpenCommand>(); }

}  // namespace culprit::cli
