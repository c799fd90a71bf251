#include "cli/open_trace.h"

#include <utility>

#include "agent/launch.h"
#include "recorder/engine_choice.h"
#include "replay/forward_replay.h"

namespace culprit::cli {

Result<OpenTrace> open_trace(const std::filesystem::path& trace, std::chrono::milliseconds timeout,
                             Progress& progress) {
  OpenTrace out;
  CULPRIT_ASSIGN(out.info, recorder::examine_trace(trace));
  CULPRIT_ASSIGN(out.rr, recorder::find_rr());
  CULPRIT_ASSIGN(out.command.agent, agent::find_agent());
  out.command.rr = out.rr.path;

  progress.phase("reading the trace");
  CULPRIT_ASSIGN(replay::TraceIndex loaded,
                 replay::TraceIndex::load(out.info.path, out.command, timeout));
  out.index = std::make_shared<const replay::TraceIndex>(std::move(loaded));
  const bool hardware_ticks = out.index->has_ticks() && !out.info.has_landings;
  const auto engine = recorder::choose_replay_engine(
      hardware_ticks,
      hardware_ticks ? recorder::probe_hardware_counters() : recorder::Capability{});
  if (!engine.ok()) return engine.error().with_context(out.info.path.string());
  out.command.software_ticks = *engine == recorder::Engine::software;

  replay::ForwardOptions forward;
  forward.trace_dir = out.info.path;
  forward.command = out.command;
  forward.index = out.index;
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
  engine.ticks = trace.command.software_ticks ? "software" : "hardware";
  if (trace.command.software_ticks) {
    engine.limitations.push_back(
        "made without hardware counters: moments are named by rr's event number and by the count "
        "of a "
        "probe's hits, not by ticks, and the replay runs forward only");
  }
}

}  // namespace culprit::cli
