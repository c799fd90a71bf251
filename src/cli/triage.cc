#include "cli/triage.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <string_view>

#include "agent/launch.h"
#include "base/file.h"
#include "base/signals.h"
#include "base/subprocess.h"
#include "cli/exit_codes.h"
#include "cli/open_trace.h"
#include "cli/terminal.h"
#include "provenance/engine.h"
#include "recorder/engine_choice.h"
#include "recorder/engine_probe.h"
#include "recorder/trace_info.h"
#include "report/json.h"
#include "report/text.h"
#include "verdict/judge.h"

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
  TraceToOpen wanted;
  wanted.path = request.trace;
  wanted.timeout = request.timeout;
  wanted.engine = request.engine;
  wanted.rsp_log = request.rsp_log;
  CULPRIT_ASSIGN(const OpenTrace trace, open_trace(wanted, progress));
  const recorder::TraceInfo& info = trace.info;
  const replay::RrCommand& command = trace.command;

  provenance::TriageOptions options;
  options.max_hops = request.max_hops;
  options.timeout = request.timeout;
  options.timeout_grows = request.timeout_grows;
  if (request.pid) options.process = ProcessId{*request.pid};
  options.overrides = request.overrides;
  options.at = request.at;
  options.point = request.point;
  options.output_source = [&] {
    return replay::output_writes(info.path, command, *trace.index, request.timeout);
  };
  options.slot_size = request.slot_size;
  options.source_prefixes = request.source_prefixes;
  options.debug_directories = request.debug_directories;
  options.trace_directory = shell_quoted(info.path.string());
  options.revisit_prefix = revisit_prefix(trace.rr, command.agent, command.software_ticks);
  options.progress = [&progress](std::string_view phase, std::uint64_t hits) {
    progress.phase(phase);
    progress.hits(hits);
  };
  // A moment that was named needs no crash text.
  if (!request.overrides.report_text && !request.at) {
    CULPRIT_ASSIGN(options.output, output_of(info, command, options.first_timeout()));
  }

  CULPRIT_ASSIGN(report::Report report,
                 provenance::follow_chain(*trace.replay, *trace.index, options));
  // What was concluded from passes that were cut short is no answer.
  CULPRIT_TRY(check_interrupt());

  describe_trace(trace, report.tool, report.program, report.trace, report.engine);
  report.trace.recorded.attempts = request.attempts;
  for (const std::string& changed : info.changed_binaries) {
    report.warnings.push_back(changed + " has changed since the recording");
  }
  verdict::judge(report);
  report.stats.peak_memory_bytes = peak_memory();
  progress.pause();
  return report;
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
