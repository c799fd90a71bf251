#include "provenance/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "crash/crash_report.h"
#include "provenance/crash_scene.h"
#include "provenance/hops.h"
#include "provenance/last_writer.h"
#include "provenance/naming.h"
#include "provenance/process_image.h"
#include "provenance/source_passes.h"

namespace culprit::provenance {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t low_bytes(std::uint64_t value, std::uint32_t offset, std::uint32_t size) {
  if (offset >= 8) return 0;
  value >>= 8 * offset;
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

/// Where the chain stands: the slot to explain next, as the last hop's reader saw it.
struct Link {
  Slot slot;
  SourcePlace place;
  replay::Mark before;
};

/// One triage. Holds everything that its steps share.
class Chain {
 public:
  Chain(replay::Replay& replay, const replay::TraceIndex& index, const TriageOptions& options)
      : replay_(replay), index_(index), options_(options), deadline_(Clock::now() + options.timeout) {}

  Result<report::Report> run();

 private:
  Status pick_crash();
  void pick_suspect();
  Status find_first_link();
  void follow();
  bool step();  ///< one writer; false when the chain has ended

  Result<ResolvedSource> resolve(const Moment& moment, const ValueQuestion& question,
                                 const ValueSource& source, const std::optional<SourcePlace>& place,
                                 std::uint64_t value);
  void resolve_origin(WriterHit& writer, ResolvedSource& resolved, const Slot& slot);
  void no_writer(const LastWriter& found);
  void born(const ResolvedSource& resolved, const binary::CodeLocation& writer, std::uint64_t value);
  void stop(report::StopReason reason, std::string detail = {});
  void stop(const Error& error);
  void begin_phase(std::string name);
  [[nodiscard]] std::chrono::milliseconds remaining() const;
  [[nodiscard]] bool use_slot(Address address, std::optional<std::uint64_t> value);

  replay::Replay& replay_;
  const replay::TraceIndex& index_;
  const TriageOptions& options_;
  Clock::time_point deadline_;
  Clock::time_point phase_start_{};

  report::Report report_;
  replay::CrashCandidate candidate_;
  std::optional<ProcessImage> image_;
  CrashScene scene_;
  std::vector<crash::CrashReport> crashes_;
  const crash::CrashReport* crash_ = nullptr;
  std::string reporting_;  ///< the function that noticed, as the crash report names it
  std::optional<Link> link_;
  RevisitStyle style_;
};

std::chrono::milliseconds Chain::remaining() const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  return std::max(left, std::chrono::milliseconds{1});
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

  crash::ExitInfo exit;
  if (candidate_.kind == replay::CrashCandidate::Kind::fatal_signal) {
    exit.signal = candidate_.signal;
  } else {
    exit.exit_status = candidate_.exit_code;
  }
  crashes_ = crash::parse_with_overrides(options_.overrides, options_.output, exit);
  if (!crashes_.empty()) crash_ = &crashes_.front();

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

void Chain::pick_suspect() {
  report::Crash& out = report_.crash;
  if (crash_ != nullptr) {
    out.kind = std::string(crash::to_string(crash_->kind));
    out.runtime = crash_->runtime;
    for (const std::string& line : crash_->message) out.message += line + "\n";
    if (crash_->signal) out.signal = *crash_->signal;
    out.fault_address = crash_->fault_address;
    if (const crash::Frame* frame = crash_->reporting_frame()) reporting_ = frame->function;
  }
  if (!out.signal && candidate_.signal != 0) out.signal = candidate_.signal;
  if (out.signal) out.signal_name = crash::signal_name(*out.signal);
}

/// Uses a slot that was named, if it holds what it should.
bool Chain::use_slot(Address address, std::optional<std::uint64_t> value) {
  if (!scene_.named_place || !scene_.named_value) {
    image_->warn(fmt::format("{} is not readable at the crash", to_hex(address)));
    return false;
  }
  if (value && *value != *scene_.named_value) {
    image_->warn(fmt::format("{} holds {} at the crash, not the reported {}", to_hex(address),
                             to_hex(*scene_.named_value), to_hex(*value)));
    return false;
  }
  link_ = Link{Slot{address, 8, *scene_.named_value}, *scene_.named_place, candidate_.mark};
  return true;
}

Status Chain::find_first_link() {
  const crash::Suspect* suspect = nullptr;
  const crash::Suspect* named = nullptr;
  if (crash_ != nullptr) {
    for (const crash::Suspect& s : crash_->suspects) {
      if (suspect == nullptr && s.value && s.role != crash::Role::fault_address) suspect = &s;
      if (named == nullptr && s.slot) named = &s;
    }
  }
  begin_phase("going to the crash");
  CULPRIT_ASSIGN(scene_, visit_crash(replay_, *image_, candidate_,
                                     named != nullptr ? named->slot : std::nullopt, remaining(),
                                     report_.stats));
  report_.crash.position = report_position(*image_, scene_.moment.position, nullptr);
  report_.crash.frames = report_frames(*image_, scene_.moment.frames);
  if (scene_.fault && !report_.crash.fault_address) {
    report_.crash.fault_address = scene_.fault->address;
  }

  report::Suspect out;
  begin_phase("finding the slot that holds the bad value");
  if (named != nullptr && use_slot(*named->slot, named->value)) {
    out.how_chosen = "the crash report names the slot";
    out.description = named->description;
    out.confidence = report::Confidence::proved;
  } else if (options_.overrides.address) {
    // The user said where to begin; beginning anywhere else would answer another question.
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
    stop(report::StopReason::value_not_found,
         fmt::format("{}, the slot named by --address, does not hold a value to follow at the crash",
                     to_hex(*options_.overrides.address)));
    return {};
  } else if (suspect != nullptr) {
    out.value = *suspect->value;
    out.description = suspect->description;
    auto found = slot_from_arguments(replay_, *image_, scene_, *suspect->value, reporting_,
                                     remaining(), report_.stats);
    if (!found.ok()) return found.error();
    if (*found) {
      link_ = Link{(*found)->slot, (*found)->place, candidate_.mark};
      out.how_chosen = "named by the crash report; " + (*found)->how;
      out.confidence = (*found)->confidence;
    } else {
      auto places = slots_by_search(replay_, *image_, scene_, *suspect->value, remaining(),
                                    report_.stats);
      if (!places.ok()) return places.error();
      if (!places->empty()) {
        const SlotCandidate& best = places->front();
        link_ = Link{best.slot, best.place, candidate_.mark};
        out.how_chosen = "named by the crash report; " + best.how;
        out.confidence = best.confidence;
      }
    }
    if (!link_) {
      out.how_chosen = "named by the crash report";
      report_.suspect = out;
      report_.hops.push_back(
          crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
      stop(report::StopReason::value_not_found,
           fmt::format("{} is in no register of the reporting frames and nowhere in writable memory "
                       "at the crash",
                       to_hex(*suspect->value)));
      return {};
    }
  } else if (scene_.fault && scene_.fault_source) {
    const std::uint64_t value = scene_.fault->pointer_value;
    out.value = value;
    out.description = fmt::format("the pointer that was {} at the crash",
                                  scene_.fault->execute ? "called"
                                  : scene_.fault->write ? "written through"
                                                        : "read through");
    out.how_chosen = "the faulting instruction's own operand";
    out.confidence = report::Confidence::proved;
    ResolvedSource resolved{*scene_.fault_source, scene_.fault_place};
    if (scene_.fault->pointer) {
      const ValueQuestion question{0, scene_.moment.registers.pc(), false,
                                   x86::whole(*scene_.fault->pointer)};
      auto better = resolve(scene_.moment, question, resolved.source, resolved.place, value);
      if (!better.ok()) return better.error();
      resolved = *std::move(better);
    }
    report_.suspect = out;
    report::Hop hop = crash_hop(*image_, scene_, reporting_, nullptr,
                                resolved.place ? &resolved.place->location : nullptr, style_);
    hop.value_after = value;
    hop.source = report_source(resolved.source, resolved.place, value);
    report_.hops.push_back(std::move(hop));
    const ValueSource& source = resolved.source;
    if (source.kind == ValueSource::Kind::memory && source.address && resolved.place) {
      link_ = Link{Slot{*source.address, std::min<std::uint32_t>(source.size, 8),
                        low_bytes(value, source.offset, source.size)},
                   *resolved.place, candidate_.mark};
      return {};
    }
    if (source.kind == ValueSource::Kind::arithmetic && source.address && source.value &&
        resolved.place) {
      link_ = Link{Slot{*source.address, std::min<std::uint32_t>(source.size, 8), *source.value},
                   *resolved.place, candidate_.mark};
      return {};
    }
    switch (source.kind) {
      case ValueSource::Kind::immediate:
      case ValueSource::Kind::zero:
      case ValueSource::Kind::address:
      case ValueSource::Kind::system_call:
        born(resolved, scene_.moment.frames.front().code, value);
        break;
      default: break;
    }
    switch (source.kind) {
      case ValueSource::Kind::immediate:
      case ValueSource::Kind::zero: stop(report::StopReason::constant, source.instruction); break;
      case ValueSource::Kind::address: stop(report::StopReason::origin_found, source.instruction); break;
      case ValueSource::Kind::arithmetic: stop(report::StopReason::arithmetic, source.note); break;
      case ValueSource::Kind::system_call: stop(report::StopReason::kernel_input); break;
      default: stop(report::StopReason::decoder_unknown, source.note); break;
    }
    return {};
  } else {
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
    stop(report::StopReason::value_not_found,
         "the crash names no bad value: say it with --pointer or --address");
    return {};
  }

  out.value = link_->slot.value;
  out.size = link_->slot.size;
  out.location = link_->place.location;
  report_.suspect = out;
  report_.hops.push_back(crash_hop(*image_, scene_, reporting_, &link_->slot,
                                   &link_->place.location, style_));
  return {};
}

/// Tries harder where the stopped moment alone did not tell the source.
Result<ResolvedSource> Chain::resolve(const Moment& moment, const ValueQuestion& question,
                                      const ValueSource& source,
                                      const std::optional<SourcePlace>& place,
                                      std::uint64_t value) {
  ResolvedSource resolved{source, place};
  if (source.kind == ValueSource::Kind::load) {
    CULPRIT_ASSIGN(resolved, resolve_load(replay_, *image_, moment, source, remaining(),
                                          report_.stats));
  }
  const ValueSource::Kind kind = resolved.source.kind;
  if (kind == ValueSource::Kind::load || kind == ValueSource::Kind::register_ ||
      kind == ValueSource::Kind::unknown || kind == ValueSource::Kind::arithmetic) {
    CULPRIT_ASSIGN(ResolvedSource window,
                   resolve_by_window(replay_, *image_, moment, question, value, WindowLimits{},
                                     remaining(), report_.stats));
    // The window's answer counts if it says more than the straight-line one did.
    if (window.source.kind != ValueSource::Kind::unknown) return window;
  }
  return resolved;
}

/// The origin of a stale value is worth one more look: compilers spill, so the store's own source is
/// often a nameless slot of the same frame. Follow at most two of those.
void Chain::resolve_origin(WriterHit& writer, ResolvedSource& resolved, const Slot& slot) {
  for (int spills = 0; spills < 2; ++spills) {
    if (resolved.source.kind != ValueSource::Kind::memory || !resolved.place) return;
    const auto& owner = resolved.place->location.owner;
    const auto frame = writer.moment.frame_of(*resolved.source.address);
    if (!frame || *frame != writer.frame || (owner && !owner->variable.empty() && spills > 0)) return;
    const Slot spill{*resolved.source.address, std::min<std::uint32_t>(resolved.source.size, 8),
                     low_bytes(slot.value, resolved.source.offset, resolved.source.size)};
    auto found = find_last_writer(replay_, *image_, spill, writer.moment.mark, std::nullopt,
                                  remaining(), report_.stats);
    if (!found.ok() || !found->writer || found->writer->hit.kernel) return;
    WriterHit& inner = *found->writer;
    const bool same_frame =
        !inner.moment.frames.empty() && !writer.moment.frames.empty() &&
        inner.moment.frames[inner.frame].frame.cfa == writer.moment.frames[writer.frame].frame.cfa;
    if (!same_frame || inner.source.kind == ValueSource::Kind::unknown ||
        inner.source.kind == ValueSource::Kind::register_) {
      return;
    }
    resolved = ResolvedSource{std::move(inner.source), std::move(inner.source_place)};
    if (writer.value_meaning.empty()) writer.value_meaning = inner.value_meaning;
  }
}

/// A value that was made in other code than that which stored or used it has its birth place named.
void Chain::born(const ResolvedSource& resolved, const binary::CodeLocation& writer,
                 std::uint64_t value) {
  const ValueSource& source = resolved.source;
  if (!source.pc || writer.function.contains(source.pc)) return;
  report_.hops.push_back(origin_hop(*image_, source, resolved.frames, value, report_.hops.back()));
}

/// No write of the value was seen: what was there before the first instruction, or before the mapping?
void Chain::no_writer(const LastWriter& found) {
  const Link& link = *link_;
  if (found.older_than_owner && *found.older_than_owner && found.writes == 0) {
    report_.hops.push_back(
        stale_hop(*image_, link.slot, link.place, found, report_.hops.back(), style_));
    return stop(report::StopReason::origin_found, "the frame's bytes were never written at all");
  }
  if (found.writes > 0) {
    return stop(report::StopReason::writer_not_found,
                fmt::format("{} writes to the slot were seen, none of {}", found.writes,
                            to_hex(link.slot.value)));
  }
  report::Hop hop;
  hop.kind = report::HopKind::initial_image;
  hop.location = link.place.location;
  hop.value_after = link.slot.value;
  hop.position = report_.hops.back().position;
  hop.confidence = report::Confidence::proved;
  const report::RegionKind region = link.place.location.region;
  if (region == report::RegionKind::global || region == report::RegionKind::code) {
    hop.summary = fmt::format("{} has held {} since the program's file was loaded",
                              name_of(link.place.location), to_hex(link.slot.value));
    hop.note = "no write to these bytes was seen from the start of the recording";
    report_.hops.push_back(std::move(hop));
    return stop(report::StopReason::initial_image, "no instruction ever wrote the slot");
  }
  if (link.slot.value == 0) {
    hop.summary = fmt::format("{} was never written: it is zero since its mapping was made",
                              name_of(link.place.location));
    report_.hops.push_back(std::move(hop));
    return stop(report::StopReason::mapping_created, "no instruction ever wrote the slot");
  }
  hop.summary = fmt::format("{} has held {} since before the first write that the recording shows",
                            name_of(link.place.location), to_hex(link.slot.value));
  report_.hops.push_back(std::move(hop));
  stop(region == report::RegionKind::stack ? report::StopReason::initial_image
                                           : report::StopReason::start_of_recording,
       "no write to the slot was seen");
}

bool Chain::step() {
  const Link link = *link_;
  if (!link.place.no_debug_info.empty()) image_->warn(link.place.no_debug_info);
  begin_phase(fmt::format("finding the last writer of {}", name_of(link.place.location)));
  auto found = find_last_writer(replay_, *image_, link.slot, link.before, link.place.activation,
                                remaining(), report_.stats);
  if (!found.ok()) {
    stop(found.error());
    return false;
  }
  if (!found->writer) {
    no_writer(*found);
    return false;
  }
  WriterHit& writer = *found->writer;
  ResolvedSource resolved{writer.source, writer.source_place};
  const bool stale = found->older_than_owner.value_or(false);

  // The compiler knows every variable of the owner's frame, and none of them is at the slot: whoever read
  // it came through a pointer into a frame that has ended, whose place another one has taken.
  const auto& owner = link.place.location.owner;
  const bool dangling = stale && link.place.no_debug_info.empty() && owner &&
                        owner->variable.empty() && !writer.hit.kernel;
  if (dangling) {
    report_.hops.push_back(
        writer_hop(*image_, writer, link.slot, resolved.source, resolved.place, style_));
    report::Hop& hop = report_.hops.back();
    if (hop.location && hop.location->owner) {
      report::LifeEvent died;
      if (found->entered) died.position = report_position(*image_, *found->entered, nullptr);
      died.description = fmt::format("frame of {} had ended when {} was entered",
                                     hop.location->owner->function, owner->function);
      hop.location->owner->life.died = std::move(died);
      hop.location->owner->life.alive_at_write = true;
    }
    stop(report::StopReason::origin_found, "the slot is in a stack frame that had ended");
    return false;
  }
  if (stale) {
    report_.hops.push_back(
        stale_hop(*image_, link.slot, link.place, *found, report_.hops.back(), style_));
    if (!writer.hit.kernel) {
      begin_phase("finding where the stale value came from");
      resolve_origin(writer, resolved, link.slot);
    }
    report_.hops.push_back(
        writer_hop(*image_, writer, link.slot, resolved.source, resolved.place, style_));
    stop(report::StopReason::origin_found);
    return false;
  }
  if (writer.hit.kernel) {
    report_.hops.push_back(
        writer_hop(*image_, writer, link.slot, resolved.source, resolved.place, style_));
    stop(writer.hit.kernel->remapped ? report::StopReason::mapping_created
                                     : report::StopReason::kernel_input,
         report_.hops.back().syscall->name);
    return false;
  }

  if (writer.writer) {
    begin_phase("slicing back from the writer");
    StoredBytes stored{writer.writer->operand, 0, link.slot.size};
    if (writer.writer->written) {
      const std::int64_t delta = link.slot.address - writer.writer->written->start;
      if (delta >= 0) stored.offset = static_cast<std::uint32_t>(delta);
    }
    auto better = resolve(writer.moment,
                          {writer.frame, writer.writer->instruction.address, true, stored},
                          writer.source, writer.source_place, link.slot.value);
    if (!better.ok()) {
      report_.hops.push_back(
          writer_hop(*image_, writer, link.slot, resolved.source, resolved.place, style_));
      stop(better.error());
      return false;
    }
    resolved = *std::move(better);
  }
  report_.hops.push_back(
      writer_hop(*image_, writer, link.slot, resolved.source, resolved.place, style_));
  if (resolved.source.partial) {
    report_.hops.back().bytes =
        report::ValueBytes{resolved.source.offset, std::max<std::uint32_t>(resolved.source.size, 1)};
  }

  const ValueSource& source = resolved.source;
  switch (source.kind) {
    case ValueSource::Kind::memory:
      if (!source.address || !resolved.place) break;
      link_ = Link{Slot{*source.address, std::clamp<std::uint32_t>(source.size, 1, 8),
                        low_bytes(link.slot.value, source.offset, source.size)},
                   *resolved.place, writer.moment.mark};
      return true;
    case ValueSource::Kind::arithmetic:
      if (source.address && source.value && resolved.place) {
        link_ = Link{Slot{*source.address, std::clamp<std::uint32_t>(source.size, 1, 8),
                          *source.value},
                     *resolved.place, writer.moment.mark};
        return true;
      }
      stop(report::StopReason::arithmetic, source.instruction);
      return false;
    case ValueSource::Kind::immediate:
    case ValueSource::Kind::zero:
      born(resolved, writer.code, link.slot.value);
      stop(report::StopReason::constant, source.instruction);
      return false;
    case ValueSource::Kind::address:
      born(resolved, writer.code, link.slot.value);
      stop(report::StopReason::origin_found, "the value is an address taken here");
      return false;
    case ValueSource::Kind::system_call:
      born(resolved, writer.code, link.slot.value);
      stop(report::StopReason::kernel_input, source.instruction);
      return false;
    case ValueSource::Kind::load:
    case ValueSource::Kind::register_:
    case ValueSource::Kind::unknown: break;
  }
  stop(report::StopReason::decoder_unknown,
       source.note.empty() ? "the value's way into the writer could not be followed" : source.note);
  return false;
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

Result<report::Report> Chain::run() {
  style_ = RevisitStyle{options_.revisit_prefix, options_.trace_directory};
  CULPRIT_TRY(pick_crash());
  pick_suspect();
  image_.emplace(index_, candidate_.process, candidate_.event, options_.source_prefixes);
  report_.program.pid = candidate_.process;
  CULPRIT_TRY(find_first_link());
  follow();
  begin_phase({});
  report::number_hops(report_.hops);
  for (const binary::CodeLocation* code : {&scene_.moment.frames.front().code}) {
    if (code->module != nullptr && !code->has_debug_info && !code->no_debug_info.empty()) {
      image_->warn(code->module->path + ": " + code->no_debug_info);
    }
  }
  if (const binary::Module* main = image_->modules().main_module()) {
    report_.program.executable = main->path;
    report_.program.build_id = main->build_id;
  }
  report_.warnings = image_->warnings();
  return std::move(report_);
}

}  // namespace

Result<report::Report> follow_chain(replay::Replay& replay, const replay::TraceIndex& index,
                                    const TriageOptions& options) {
  return Chain(replay, index, options).run();
}

}  // namespace culprit::provenance
