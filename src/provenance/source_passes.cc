#include "provenance/source_passes.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/slice/window_slice.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::uint32_t kKeptHits = 256;

void count(report::Stats& stats, const replay::PassResult& pass) {
  stats.passes += 1;
  for (const std::uint64_t hits : pass.raw_hits) stats.hits += hits;
  if (pass.window) stats.steps += pass.window->steps.size();
}

replay::Probe execution_of(Address pc, const ProcessImage& image, ThreadId thread) {
  replay::Probe probe;
  probe.kind = replay::ProbeKind::execute;
  probe.address = pc;
  probe.thread = thread;
  probe.process = image.process();
  return probe;
}

/// Collects the newest executions of one instruction.
class ExecutionObserver : public replay::PassObserver {
 public:
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    hits.push_back(hit);
    return replay::Next::go_on;
  }
  std::vector<replay::Hit> hits;  ///< oldest first, at most kKeptHits
};

/// The CFA that a hit at `registers` belongs to, from the call frame information alone.
std::optional<Address> cfa_at(const ProcessImage& image, const Registers& registers) {
  class NoMemory : public MemoryReader {
   public:
    std::size_t read(Address, std::span<std::byte>) const override { return 0; }
  };
  return image.unwinder().step(binary::Unwinder::start(registers), NoMemory{}).callee.cfa;
}

/// The newest hit that belongs to the activation with this CFA; where no CFA can be told, the newest.
const replay::Hit* newest_in_frame(const ProcessImage& image, const std::vector<replay::Hit>& hits,
                                   std::optional<Address> cfa) {
  bool comparable = false;
  for (auto it = hits.rbegin(); it != hits.rend(); ++it) {
    const auto at = cfa_at(image, it->registers);
    if (!at || !cfa) continue;
    comparable = true;
    if (*at == *cfa) return &*it;
  }
  return comparable || hits.empty() ? nullptr : &hits.back();
}

void name_place(const ProcessImage& image, const Moment& moment, const replay::LiveState& live,
                ResolvedSource& resolved) {
  if (!resolved.source.address) return;
  const CachedMemory memory(live);
  resolved.place =
      describe_source(image, moment, *resolved.source.address, resolved.source.size, memory);
}

/// Works out a load's address from its newest execution, once the pass stands at the moment.
class LoadObserver : public ExecutionObserver {
 public:
  LoadObserver(const ProcessImage& image, const Moment& moment, ResolvedSource& out)
      : image_(image), moment_(moment), out_(out) {}
  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    const replay::Hit* hit =
        newest_in_frame(image_, hits, moment_.frames[out_.source.frame].frame.cfa);
    if (hit == nullptr) {
      out_.source.note = "the load was not seen to execute in this frame";
      return;
    }
    const auto address = x86::effective_address(*out_.source.operand, hit->registers);
    if (!address) return;
    out_.source.kind = ValueSource::Kind::memory;
    out_.source.address = *address + out_.source.operand_offset;
    name_place(image_, moment_, live, out_);
  }

 private:
  const ProcessImage& image_;
  const Moment& moment_;
  ResolvedSource& out_;
};

/// What the window's bytes are, in the words of a ValueSource.
ValueSource from_window(const WindowSlice& slice, const ModuleCode& code, std::size_t frame) {
  ValueSource source;
  source.frame = frame;
  const auto line = slice.main_line();
  if (line.empty()) {
    source.note = "the step window explains no byte of the value";
    return source;
  }
  const WindowPiece& piece = slice.pieces[line.back()];
  const bool transformed = line.size() > 1 || slice.pieces[line.front()].origin.kind ==
                                                  OriginKind::transformation;
  const Origin& origin = piece.origin;
  source.pc = origin.pc;
  source.size = piece.size;
  source.offset = piece.parent ? 0 : piece.offset;
  source.certainty = piece.certainty;
  source.constant = origin.constant;
  if (transformed) {
    // The value was computed from another one: the chain goes on with the pointer-sized input, but the
    // bytes are no longer the suspect's.
    source.kind = ValueSource::Kind::arithmetic;
    source.note = "the value was computed; its pointer-sized input was followed";
    if (!piece.value.empty() && piece.value.size() <= 8) {
      std::uint64_t value = 0;
      std::memcpy(&value, piece.value.data(), piece.value.size());
      source.value = value;
    }
  }
  switch (origin.kind) {
    case OriginKind::memory:
      if (!transformed) source.kind = ValueSource::Kind::memory;
      if (const auto* range = origin.place ? std::get_if<ByteRange>(&*origin.place) : nullptr) {
        source.address = range->start;
      }
      break;
    case OriginKind::immediate:
      if (!transformed) source.kind = ValueSource::Kind::immediate;
      break;
    case OriginKind::zero:
      if (!transformed) source.kind = ValueSource::Kind::zero;
      break;
    case OriginKind::system_call:
      if (!transformed) source.kind = ValueSource::Kind::system_call;
      break;
    case OriginKind::window_start:
      source.kind = ValueSource::Kind::register_;
      if (const auto* reg = origin.place ? std::get_if<x86::RegisterBytes>(&*origin.place) : nullptr) {
        source.reg = *reg;
      }
      break;
    case OriginKind::transformation:
      if (origin.transformation && *origin.transformation < slice.transformations.size()) {
        const Transformation& t = slice.transformations[*origin.transformation];
        source.kind = t.kind == x86::FlowKind::address ? ValueSource::Kind::address
                                                       : ValueSource::Kind::arithmetic;
        source.pc = t.pc;
      }
      break;
    case OriginKind::inconsistent:
    case OriginKind::unreadable_code:
    case OriginKind::limit:
      source.kind = ValueSource::Kind::unknown;
      source.note = to_string(origin.kind);
      break;
  }
  const auto instruction = x86::decode_at(code, source.pc);
  if (instruction.ok()) source.instruction = x86::text(*instruction);
  return source;
}

/// Slices the window when it arrives, and names the place that it leads to.
class WindowObserver : public replay::PassObserver {
 public:
  WindowObserver(const ProcessImage& image, const Moment& moment, const ModuleCode& code, Place asked,
                 std::uint64_t value, std::size_t frame, ResolvedSource& out)
      : image_(image), moment_(moment), code_(code), asked_(std::move(asked)), value_(value),
        frame_(frame), out_(out) {}

  void on_window(const replay::StepWindow& window) override {
    WindowQuery query;
    query.steps = window.steps;
    query.final_registers = window.final_registers;
    query.code = &code_;
    query.asked = asked_;
    const std::uint64_t size = std::holds_alternative<ByteRange>(asked_)
                                   ? std::get<ByteRange>(asked_).size
                                   : std::get<x86::RegisterBytes>(asked_).size;
    query.value.resize(8);
    std::memcpy(query.value.data(), &value_, 8);
    query.value.resize(static_cast<std::size_t>(std::min<std::uint64_t>(8, size)));
    const auto slice = slice_window(query);
    if (!slice.ok()) {
      out_.source.note = slice.error().message;
      return;
    }
    out_.source = from_window(*slice, code_, frame_);
    if (window.truncated) {
      out_.source.note = "the step window was cut at its limit: older instructions are missing";
      out_.source.certainty = Certainty::likely;
    }
  }
  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    name_place(image_, moment_, live, out_);
  }

 private:
  const ProcessImage& image_;
  const Moment& moment_;
  const ModuleCode& code_;
  Place asked_;
  std::uint64_t value_;
  std::size_t frame_;
  ResolvedSource& out_;
};

std::optional<Place> asked_place(const ValueQuestion& question, const Moment& moment,
                                 const ModuleCode& code) {
  if (const auto* reg = std::get_if<x86::RegisterBytes>(&question.asked)) return Place{*reg};
  if (const auto* range = std::get_if<ByteRange>(&question.asked)) return Place{*range};
  const auto& stored = std::get<StoredBytes>(question.asked);
  const auto instruction = x86::decode_at(code, question.pc);
  if (!instruction.ok() || stored.operand >= instruction->memory.size()) return std::nullopt;
  const auto before = x86::registers_before(*instruction, moment.registers);
  const auto address = x86::effective_address(instruction->memory[stored.operand], before.registers);
  if (!address) return std::nullopt;
  return Place{ByteRange{*address + stored.offset, stored.size}};
}

}  // namespace

Result<ResolvedSource> resolve_load(replay::Replay& replay, const ProcessImage& image,
                                    const Moment& moment, const ValueSource& load,
                                    std::chrono::milliseconds deadline, report::Stats& stats) {
  ResolvedSource out{load, std::nullopt};
  if (!load.operand || load.frame >= moment.frames.size()) return out;
  LoadObserver observer(image, moment, out);
  replay::PassSpec spec;
  spec.probes.push_back(execution_of(load.pc, image, moment.position.thread));
  spec.probes.front().keep_last = kKeptHits;
  spec.end = moment.mark;
  spec.deadline = deadline;
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  return out;
}

Result<ResolvedSource> resolve_by_window(replay::Replay& replay, const ProcessImage& image,
                                         const Moment& moment, const ValueQuestion& question,
                                         std::uint64_t value, WindowLimits limits,
                                         std::chrono::milliseconds deadline, report::Stats& stats) {
  const ModuleCode code(image.modules());
  ResolvedSource out;
  out.source.frame = question.frame;
  out.source.pc = question.pc;
  const auto asked = asked_place(question, moment, code);
  if (!asked) {
    out.source.note = "the bytes asked for have no known place";
    return out;
  }
  for (int widened = 0; widened < limits.max_frames; ++widened) {
    const std::size_t i = question.frame + static_cast<std::size_t>(widened);
    if (i >= moment.frames.size()) break;
    const WalkFrame& frame = moment.frames[i];
    if (!frame.code.entry || !frame.frame.cfa) break;

    // Which entry of the function made this frame?
    ExecutionObserver entries;
    replay::PassSpec counting;
    counting.probes.push_back(execution_of(frame.code.entry, image, moment.position.thread));
    counting.probes.front().keep_last = kKeptHits;
    counting.end = moment.mark;
    counting.deadline = deadline;
    CULPRIT_ASSIGN(const replay::PassResult counted, replay.run(counting, entries));
    count(stats, counted);
    const replay::Hit* entry = nullptr;
    for (const replay::Hit& hit : entries.hits) {
      if (hit.registers.sp() == *frame.frame.cfa - 8) entry = &hit;
    }
    if (entry == nullptr) {
      out.source.note = "the function's entry was not seen: its frame is older than the recording shows";
      break;
    }

    replay::PassSpec stepping;
    replay::StepSpec step;
    step.begin.kind = replay::Mark::Kind::probe_hit;
    step.begin.probe = execution_of(frame.code.entry, image, moment.position.thread);
    step.begin.ordinal = entry->ordinal;
    step.max_steps = limits.max_steps;
    stepping.step = step;
    stepping.end = moment.mark;
    stepping.deadline = deadline;
    WindowObserver observer(image, moment, code, *asked, value, i, out);
    CULPRIT_ASSIGN(const replay::PassResult stepped, replay.run(stepping, observer));
    count(stats, stepped);
    if (out.source.kind != ValueSource::Kind::register_) break;
  }
  return out;
}

}  // namespace culprit::provenance
