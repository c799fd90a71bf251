#include "cli/triage.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <memory>
#include <string_view>

#include "agent/launch.h"
#include "base/file.h"
#include "base/subprocess.h"
#include "cli/exit_codes.h"
#include "cli/terminal.h"
#include "provenance/engine.h"
#include "recorder/engine_choice.h"
#include "recorder/engine_probe.h"
#include "recorder/trace_info.h"
#include "replay/forward_replay.h"
#include "replay/reverse_replay.h"
#include "replay/trace_index.h"
#include "report/json.h"
#include "report/text.h"
#include "verdict/judge.h"
#include "x86/stores_into.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kOutputLimit = std::size_t{16} << 20;

/// What the program wrote to stderr: stored by `culprit record`, or repeated by one replay.
Result<std::string> output_of(const recorder::TraceInfo& info, const replay::RrCommand& command,
                              std::chrono::milliseconds deadline) {
  if (info.err) return read_file(*info.err, kOutputLimit + (std::size_t{1} << 20));
  ProcessOptions options;
  options.argv = {command.rr.string(), "replay", "-a", info.path.string()};
  options.err.limit = kOutputLimit;
  options.out.limit = 0;
  agent::AgentConfig config;
  if (!command.software_ticks) config.ticks = agent::AgentConfig::Ticks::hardware;
  agent::preload_agent(options, command.agent, config);
  CULPRIT_ASSIGN(ProcessResult run, run_process(options, deadline));
  if (run.timed_out) return Error{ErrorCode::timeout, "the replay of the trace did not end"};
  if (!run.status.success()) {
    const std::string why = recorder::explain_rr_failure(run.err.text);
    return Error{ErrorCode::replay_failed,
                 "the trace does not replay: " + (why.empty() ? run.status.describe() : why)};
  }
  return std::move(run.err.text);
}

std::uint64_t peak_memory() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::string shell_quoted(const std::string& word) {
  if (!word.empty() && word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_./+-:=@%") == std::string::npos) {
    return word;
  }
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// What must stand before "rr replay" where a person types it.
std::string revisit_prefix(const recorder::RrProgram& rr, const std::filesystem::path& agent,
                           bool software_ticks) {
  std::string out = "LD_PRELOAD=" + shell_quoted(agent.string()) + " ";
  if (software_ticks) return out;
  if (!recorder::needs_maps_merged(rr, recorder::has_split_vvar())) return "";
  // Alone, the library would count in software.
  agent::AgentConfig config;
  config.ticks = agent::AgentConfig::Ticks::hardware;
  return out + agent::config_variable + "=" + shell_quoted(agent::encode(config)) + " ";
}

}  // namespace

Result<report::Report> triage(const TriageRequest& request, Progress& progress) {
  CULPRIT_ASSIGN(const recorder::TraceInfo info, recorder::examine_trace(request.trace));
  CULPRIT_ASSIGN(const recorder::RrProgram rr, recorder::find_rr());
  CULPRIT_ASSIGN(const std::filesystem::path agent, agent::find_agent());

  replay::RrCommand command;
  command.rr = rr.path;
  command.agent = agent;

  progress.phase("reading the trace");
  CULPRIT_ASSIGN(replay::TraceIndex loaded,
                 replay::TraceIndex::load(info.path, command, request.timeout));
  const auto index = std::make_shared<const replay::TraceIndex>(std::move(loaded));
  const bool hardware_ticks = index->has_ticks() && !info.has_landings && !info.has_exact_ticks;
  const auto engine = recorder::choose_replay_engine(
      hardware_ticks,
      hardware_ticks ? recorder::probe_hardware_counters() : recorder::Capability{});
  if (!engine.ok()) return engine.error().with_context(info.path.string());
  command.software_ticks = *engine == recorder::Engine::software;

  provenance::TriageOptions options;
  options.max_hops = request.max_hops;
  options.timeout = request.timeout;
  if (request.pid) options.process = ProcessId{*request.pid};
  options.overrides = request.overrides;
  options.at = request.at;
  options.slot_size = request.slot_size;
  options.source_prefixes = request.source_prefixes;
  options.debug_directories = request.debug_directories;
  options.trace_directory = shell_quoted(info.path.string());
  options.revisit_prefix = revisit_prefix(rr, agent, command.software_ticks);
  options.progress = [&progress](std::string_view phase, std::uint64_t hits) {
    progress.phase(phase);
    progress.hits(hits);
  };
  // A moment that was named needs no crash text.
  if (!request.overrides.report_text && !request.at) {
    CULPRIT_ASSIGN(options.output, output_of(info, command, request.timeout));
  }

  const std::string ticks = info.has_exact_ticks     ? "exact"
                            : command.software_ticks ? "software"
                                                     : "hardware";
  const bool real_ticks = index->has_ticks() && !info.has_landings;
  CULPRIT_ASSIGN(const SearchChoice choice,
                 choose_search(request.engine, {real_ticks, index->frames().size(),
                                                index->processes().size()}));
  std::unique_ptr<replay::Replay> replay;
  const replay::ReverseReplay* reverse_replay = nullptr;
  if (choice.engine == SearchEngine::reverse) {
    replay::ReverseOptions reverse;
    reverse.trace_dir = info.path;
    reverse.command = command;
    reverse.index = index;
    reverse.ticks = ticks;
    reverse.stores = x86::stores_into;
    if (!request.rsp_log.empty()) {
      CULPRIT_ASSIGN(reverse.log, replay::gdb::TranscriptLog::open(request.rsp_log));
    }
    CULPRIT_ASSIGN(auto opened, replay::ReverseReplay::open(std::move(reverse)));
    reverse_replay = opened.get();
    replay = std::move(opened);
  } else {
    replay::ForwardOptions forward;
    forward.trace_dir = info.path;
    forward.command = command;
    forward.index = index;
    forward.ticks = ticks;
    CULPRIT_ASSIGN(replay, replay::ForwardReplay::open(std::move(forward)));
  }
  CULPRIT_ASSIGN(report::Report report, provenance::follow_chain(*replay, *index, options));

  report.tool.version = CULPRIT_VERSION;
  report.program.argv = info.command;
  report.program.cwd = info.working_directory;
  report.trace.directory = info.path.string();
  report.trace.rr_version = rr.version_text;
  report.trace.events = index->frames().size();
  report.trace.recorded.attempts = request.attempts;
  report.trace.recorded.exit_status = info.exit_code;
  report.trace.recorded.signal = info.signal;
  report.engine.name = replay->engine_name();
  report.engine.ticks = ticks;
  report.engine.choice = choice.why;
  if (reverse_replay != nullptr) report.engine.limitations = reverse_replay->remarks();
  if (ticks == "software") {
    report.engine.limitations.push_back(
        "made without hardware counters: moments are named by rr's event number and by the count of a "
        "probe's hits, not by ticks, and the replay runs forward only");
  }
  for (const std::string& changed : info.changed_binaries) {
    report.warnings.push_back(changed + " has changed since the recording");
  }
  verdict::judge(report);
  report.stats.peak_memory_bytes = peak_memory();
  progress.pause();
  return report;
}

Result<SearchChoice> choose_search(SearchEngine wanted, const TraceFacts& trace) {
  // A forward pass over fewer events takes seconds, and a pass knows more: the heap's blocks, silent stores.
  constexpr std::size_t kLongTrace = 300'000;
  const char* const obstacle = !trace.has_ticks     ? "the trace has no ticks to run backwards by"
                               : trace.processes > 1 ? "the trace has several processes"
                                                     : nullptr;
  switch (wanted) {
    case SearchEngine::forward:
      return SearchChoice{SearchEngine::forward, "asked for"};
    case SearchEngine::reverse:
      if (obstacle != nullptr) {
        return Error{ErrorCode::usage, std::string("--engine reverse: ") + obstacle};
      }
      return SearchChoice{SearchEngine::reverse, "asked for"};
    case SearchEngine::automatic:
      break;
  }
  if (obstacle != nullptr) return SearchChoice{SearchEngine::forward, obstacle};
  if (trace.events < kLongTrace) return SearchChoice{SearchEngine::forward, "the trace is short"};
  return SearchChoice{SearchEngine::reverse, "the trace is long"};
}

Status show_report(const report::Report& report, const ReportOutput& output) {
  if (output.json == "-") {
    const std::string text = report::to_json_text(report);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      return Error{ErrorCode::io, "the report could not be written to stdout"};
    }
    return {};
  }
  if (!output.json.empty()) {
    CULPRIT_TRY(write_file_atomically(output.json, report::to_json_text(report)));
  }
  if (output.text) {
    report::TextOptions options;
    options.backtraces = output.backtraces;
    const Terminal terminal = stdout_terminal();
    options.colour = terminal.present;
    options.columns = terminal.columns;
    const std::string text = report::to_text(report, options);
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      return Error{ErrorCode::io, "the report could not be written to stdout"};
    }
  }
  return {};
}

int exit_code_of(const report::Report& report) {
  return report::complete(report) ? exit_ok : exit_chain_incomplete;
}

}  // namespace culprit::cli
