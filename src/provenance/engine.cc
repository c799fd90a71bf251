#include "provenance/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "crash/crash_hint.h"
#include "provenance/chain.h"
#include "provenance/naming.h"

namespace culprit::provenance {

std::chrono::milliseconds Chain::remaining() const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  return std::max(left, std::chrono::milliseconds{1});
}

void Chain::learn_timeout() {
  // 2.5 passes a hop and 3 more are usual; a chain of two dozen hops comes to 60.
  constexpr int kReplays = 60;
  if (!options_.timeout_grows) return;
  const Clock::time_point now = Clock::now();
  deadline_ = std::max(started_ + options_.timeout, now + kReplays * (now - phase_start_));
}

void Chain::begin_phase(std::string name) {
  const Clock::time_point now = Clock::now();
  if (!report_.stats.phases.empty()) {
    report_.stats.phases.back().elapsed_ms =
        std::chrono::duration<double, std::milli>(now - phase_start_).count();
  }
  phase_start_ = now;
  if (name.empty()) return;
  if (options_.progress) options_.progress(name, report_.stats.hits);
  report_.stats.phases.push_back({std::move(name), 0});
}

void Chain::stop(report::StopReason reason, std::string detail) {
  report_.verdict.stopped_because = reason;
  report_.verdict.stopped_detail = std::move(detail);
}

void Chain::stop(const Error& error) {
  switch (error.code) {
    case ErrorCode::timeout: return stop(report::StopReason::timeout, error.message);
    case ErrorCode::interrupted: return stop(report::StopReason::interrupted, error.message);
    case ErrorCode::replay_failed: return stop(report::StopReason::replay_diverged, error.message);
    default: return stop(report::StopReason::limit_reached, error.message);
  }
}

/// The failing process: the best candidate of the trace, or of the process that the user names. A crash
/// that the program caught itself (Go turns SIGSEGV into a panic) is moved to the fault.
Status Chain::pick_crash() {
  if (options_.point) return pick_point();
  const auto candidates = index_.crash_candidates();
  const replay::CrashCandidate* chosen = nullptr;
  for (const replay::CrashCandidate& c : candidates) {
    if (!options_.process || c.process == *options_.process) {
      chosen = &c;
      break;
    }
  }
  if (chosen == nullptr) {
    if (options_.process && !candidates.empty()) {
      return Error{ErrorCode::usage, fmt::format("process {} did not fail in this trace; process {} did",
                                                 options_.process->value,
                                                 candidates.front().process.value)};
    }
    return Error{ErrorCode::did_not_fail, "no process of this trace failed"};
  }
  candidate_ = *chosen;
  read_crash_text();

  const bool caught = crash_ != nullptr && crash_->signal && !candidate_.deterministic &&
                      (crash_->kind == crash::Kind::go_signal_panic ||
                       crash_->kind == crash::Kind::go_unexpected_fault ||
                       crash_->kind == crash::Kind::go_unexpected_signal);
  if (caught) {
    const auto frames = index_.frames();
    for (auto it = frames.rbegin(); it != frames.rend(); ++it) {
      if (it->kind != replay::FrameKind::signal || !it->deterministic ||
          it->number != *crash_->signal) {
        continue;
      }
      const replay::TraceThread* thread = index_.thread(it->thread);
      if (thread == nullptr || thread->process != candidate_.process) continue;
      candidate_.thread = it->thread;
      candidate_.event = it->event;
      candidate_.signal = it->number;
      candidate_.deterministic = true;
      candidate_.syscalls = index_.syscalls_until(it->thread, it->event);
      candidate_.mark = replay::Mark{};
      candidate_.mark.kind = replay::Mark::Kind::signal_stop;
      candidate_.mark.thread = it->thread;
      candidate_.mark.ordinal = candidate_.syscalls;
      candidate_.mark.signal = it->number;
      break;
    }
  }
  return {};
}

void Chain::read_crash_text() {
  crash::ExitInfo exit;
  if (candidate_.kind == replay::CrashCandidate::Kind::fatal_signal) {
    exit.signal = candidate_.signal;
  } else {
    exit.exit_status = candidate_.exit_code;
  }
  crashes_ = crash::parse_with_overrides(options_.overrides, options_.output, exit);
  if (!crashes_.empty()) crash_ = &crashes_.front();
}

/// A moment that the user chose: what the program says of its failure is still true, if it failed.
Status Chain::pick_point() {
  begin_phase("going to the moment that --at names");
  CULPRIT_ASSIGN(ChosenPoint chosen,
                 find_crash_point(replay_, index_, *options_.point, options_.process,
                                  options_.output_source, debug_files(), remaining(),
                                  report_.stats));
  candidate_ = chosen.moment;
  read_crash_text();
  report_.crash.message = std::move(chosen.message);
  return {};
}

void Chain::pick_suspect() {
  report::Crash& out = report_.crash;
  if (crash_ != nullptr) {
    out.kind = std::string(crash::to_string(crash_->kind));
    out.runtime = crash_->runtime;
    if (crash_->hint != crash::CrashHint::none) out.hint = crash::traits(crash_->hint).name;
    if (out.message.empty()) {
      for (const std::string& line : crash_->message) out.message += line + "\n";
    }
    if (crash_->signal) out.signal = *crash_->signal;
    out.fault_address = crash_->fault_address;
    if (const crash::Frame* frame = crash_->reporting_frame()) reporting_ = frame->function;
  }
  if (out.kind.empty()) out.kind = std::string(crash::to_string(crash::Kind::user_named));
  if (!out.signal && candidate_.signal != 0) out.signal = candidate_.signal;
  if (out.signal) out.signal_name = crash::signal_name(*out.signal);
}

void Chain::follow() {
  while (link_) {
    if (report_.hops.size() > options_.max_hops) {
      return stop(report::StopReason::limit_reached,
                  fmt::format("--max-hops {}", options_.max_hops));
    }
    if (Clock::now() >= deadline_) return stop(report::StopReason::timeout, "--timeout");
    if (!step()) return;
  }
}

binary::DebugFileSearch Chain::debug_files() const {
  binary::DebugFileSearch out;
  out.directories.insert(out.directories.begin(), options_.debug_directories.begin(),
                         options_.debug_directories.end());
  return out;
}

ProcessImage& Chain::image_at(ProcessId process, EventNumber event) {
  for (const auto& image : images_) {
    if (image->process() == process && image->mapped_at() == event) return *image;
  }
  return *images_.emplace_back(std::make_unique<ProcessImage>(
      index_, process, event, options_.source_prefixes, debug_files()));
}

Result<report::Report> Chain::run() {
  style_ = RevisitStyle{options_.revisit_prefix, options_.trace_directory};
  if (options_.at && options_.point) {
    return Error{ErrorCode::usage, "two moments to begin at were named"};
  }
  if (options_.at && !options_.overrides.address && options_.overrides.expression.empty()) {
    return Error{ErrorCode::usage, "a moment was named, but no slot: say it with --address"};
  }
  if (options_.at) {
    CULPRIT_TRY(pick_asked_moment());
  } else {
    CULPRIT_TRY(pick_crash());
    pick_suspect();
  }
  image_ = &image_at(candidate_.process, candidate_.event);
  report_.program.pid = candidate_.process;
  CULPRIT_TRY(options_.at ? begin_at_question() : find_first_link());
  if (link_) first_reader_ = link_->reader;
  follow();
  image_ = images_.front().get();
  check_pointer_into_frame();
  check_pointer_to_number();
  explain_ended_scopes();
  explain_unmapped();
  begin_phase({});
  report::number_hops(report_.hops);
  for (const binary::CodeLocation* code : {&scene_.moment.frames.front().code}) {
    if (code->module != nullptr && !code->no_debug_info.empty()) {
      image_->warn(code->module->path + ": " + code->no_debug_info);
    }
  }
  if (const binary::Module* main = image_->modules().main_module()) {
    report_.program.executable = main->path;
    report_.program.build_id = main->build_id;
  }
  for (const auto& image : images_) {
    for (const std::string& warning : image->warnings()) {
      auto& all = report_.warnings;
      if (std::find(all.begin(), all.end(), warning) == all.end()) all.push_back(warning);
    }
  }
  return std::move(report_);
}

Result<report::Report> follow_chain(replay::Replay& replay, const replay::TraceIndex& index,
                                    const TriageOptions& options) {
  return Chain(replay, index, options).run();
}

}  // namespace culprit::provenance
