#include "cli/open_trace.h"

#include <utility>

#include "agent/launch.h"
#include "recorder/engine_choice.h"
#include "replay/forward_replay.h"
#include "x86/stores_into.h"

namespace culprit::cli {

Result<OpenTrace> open_trace(const TraceToOpen& wanted, Progress& progress) {
  OpenTrace out;
  CULPRIT_ASSIGN(out.info, recorder::examine_trace(wanted.path));
  CULPRIT_ASSIGN(out.rr, recorder::find_rr());
  CULPRIT_ASSIGN(out.command.agent, agent::find_agent());
  out.command.rr = out.rr.path;

  progress.phase("reading the trace");
  CULPRIT_ASSIGN(replay::TraceIndex loaded,
                 replay::TraceIndex::load(out.info.path, out.command, wanted.timeout));
  out.index = std::make_shared<const replay::TraceIndex>(std::move(loaded));
  const bool real_ticks = out.index->has_ticks() && !out.info.has_landings;
  const bool hardware_ticks = real_ticks && !out.info.has_exact_ticks;
  const auto engine = recorder::choose_replay_engine(
      hardware_ticks,
      hardware_ticks ? recorder::probe_hardware_counters() : recorder::Capability{});
  if (!engine.ok()) return engine.error().with_context(out.info.path.string());
  out.command.software_ticks = *engine == recorder::Engine::software;

  out.ticks = out.info.has_exact_ticks     ? "exact"
              : out.command.software_ticks ? "software"
                                           : "hardware";
  CULPRIT_ASSIGN(out.search,
                 choose_search(wanted.engine, {real_ticks, out.index->frames().size()}));
  if (out.search.engine == SearchEngine::reverse) {
    replay::ReverseOptions reverse;
    reverse.trace_dir = out.info.path;
    reverse.command = out.command;
    reverse.index = out.index;
    reverse.ticks = out.ticks;
    reverse.stores = x86::stores_into;
    if (!wanted.rsp_log.empty()) {
      CULPRIT_ASSIGN(reverse.log, replay::gdb::TranscriptLog::open(wanted.rsp_log));
    }
    CULPRIT_ASSIGN(auto opened, replay::ReverseReplay::open(std::move(reverse)));
    out.reverse = opened.get();
    out.replay = std::move(opened);
    return out;
  }
  replay::ForwardOptions forward;
  forward.trace_dir = out.info.path;
  forward.command = out.command;
  forward.index = out.index;
  forward.ticks = out.ticks;
  CULPRIT_ASSIGN(out.replay, replay::ForwardReplay::open(std::move(forward)));
  return out;
}

void describe_trace(const OpenTrace& trace, report::Tool& tool, report::Program& program,
                    report::Trace& recording, report::Engine& engine) {
  tool.version = CULPRIT_VERSION;
  program.argv = trace.info.command;
  program.cwd = trace.info.working_directory;
  recording.directory = trace.info.path.string();
  recording.rr_version = trace.rr.version_text;
  recording.events = trace.index->frames().size();
  recording.recorded.exit_status = trace.info.exit_code;
  recording.recorded.signal = trace.info.signal;
  engine.name = trace.replay->engine_name();
  engine.ticks = trace.ticks;
  engine.choice = trace.search.why;
  if (trace.reverse != nullptr) engine.limitations = trace.reverse->remarks();
  if (trace.ticks == "software") {
    engine.limitations.push_back(
        "made without hardware counters: moments are named by rr's event number and by the count "
        "of a "
        "probe's hits, not by ticks, and the replay runs forward only");
  }
}

}  // namespace culprit::cli
