#include "provenance/source_passes.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/heap.h"
#include "provenance/number_text.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/slice/window_slice.h"
#include "provenance/window_answers.h"
#include "provenance/window_moment.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::uint32_t kKeptHits = 256;
/// A load that is executed more often is left to a window, some turns of its loop long.
constexpr std::uint64_t kHotLoad = 30'000;

/// Collects the newest executions of one instruction.
class ExecutionObserver : public replay::PassObserver {
 public:
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    hits.push_back(hit);
    return replay::Next::go_on;
  }
  std::vector<replay::Hit> hits;  ///< oldest first, at most kKeptHits
};

/// The newest hit that belongs to the activation with this CFA; where no CFA can be told, the
/// newest.
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

/// The bytes of a general-purpose register that a step of a path put there.
std::optional<std::uint64_t> value_after(const PathStep& step, const WindowQuery& query) {
  const auto* reg = step.to ? std::get_if<x86::RegisterBytes>(&*step.to) : nullptr;
  if (reg == nullptr || reg->cls != x86::RegisterClass::gpr || reg->size > 8) return std::nullopt;
  const std::size_t next = step.index + 1;
  const Registers& then = next < query.steps.size() ? query.steps[next] : query.final_registers;
  const std::uint64_t value = then.gpr[reg->number] >> (8 * reg->offset);
  return reg->size == 8 ? value : value & ((std::uint64_t{1} << (8 * reg->size)) - 1);
}

std::optional<std::uint64_t> value_of(const WindowPiece& piece) {
  if (piece.value.empty() || piece.value.size() > 8) return std::nullopt;
  std::uint64_t value = 0;
  std::memcpy(&value, piece.value.data(), piece.value.size());
  return value;
}

std::uint64_t size_of(const Place& place) {
  if (const auto* range = std::get_if<ByteRange>(&place)) return range->size;
  return std::get<x86::RegisterBytes>(place).size;
}

/// A place on the way of a value through a step window.
struct Station {
  ValueSource source;
  std::size_t step = 0;  ///< of the window: the instruction at source.pc
  /// The steps that the value went through since, newest first.
  std::vector<std::size_t> later{};
};

/// So many of the newest steps of a way are kept: it leaves a frame by one of the last ones.
constexpr std::size_t kLaterKept = 256;

/// Adds what is known of the numbers that one computation took.
void add_inputs(const Transformation& t, const MemoryReader& code, std::vector<ComputedInput>& out) {
  constexpr std::size_t kMost = 8;
  if (t.kind != x86::FlowKind::arithmetic || out.size() >= kMost) return;
  const auto instruction = x86::decode_at(code, t.pc);
  const std::string text = instruction.ok() ? x86::text(*instruction) : std::string();
  for (std::size_t k = 0; k < t.inputs.size() && k < t.input_values.size(); ++k) {
    if (!t.input_values[k] || out.size() >= kMost) continue;
    const auto* reg = std::get_if<x86::RegisterBytes>(&t.inputs[k]);
    const bool constant = t.constant == t.input_values[k] && t.inputs.size() > 1;
    out.push_back({*t.input_values[k], reg != nullptr ? x86::to_string(*reg) : "memory", constant,
                   t.carries && t.main_input == k, t.pc, text});
  }
  if (t.constant && t.inputs.size() == 1 && out.size() < kMost)
    out.push_back({*t.constant, {}, true, false, t.pc, text});
}

/// What a slice of a step window says about the asked bytes: each memory read on the way, the
/// nearest to the end of the window first, then where the way ends.
std::vector<Station> stations(const WindowSlice& slice, const WindowQuery& query,
                              std::size_t frame) {
  std::vector<Station> out;
  std::vector<ComputedInput> inputs;  // of the computations that the way has come through
  const auto text = [&](ValueSource& source) {
    const auto instruction = x86::decode_at(*query.code, source.pc);
    if (instruction.ok()) source.instruction = x86::text(*instruction);
  };
  bool computed = false;
  bool index = false;
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::vector<std::size_t> later;
  for (const std::size_t i : slice.main_line()) {
    const WindowPiece& piece = slice.pieces[i];
    if (!piece.parent) {
      offset = piece.offset;
      size = piece.size;
    } else {
      // The value was computed from another one: the chain goes on with an input, whose bytes are
      // no longer the suspect's.
      computed = true;
      add_inputs(slice.transformations[*piece.parent], *query.code, inputs);
      index |= slice.transformations[*piece.parent].index;
      offset = 0;
      size = piece.size;
    }
    const auto begin = [&](Address pc) {
      ValueSource source;
      source.frame = frame;
      source.pc = pc;
      source.offset = offset;
      source.size = size;
      source.certainty = piece.certainty;
      source.index = index;
      source.partial = !computed && piece.size < slice.pieces[slice.main_line().front()].size;
      if (computed) {
        source.inputs = inputs;
        source.kind = ValueSource::Kind::arithmetic;
        source.note = "the value was computed; the input that decides it was followed";
      }
      return source;
    };
    if (piece.parent) {
      // An operand in memory was read by the computation itself.
      const Transformation& t = slice.transformations[*piece.parent];
      const auto* range = piece.input < t.inputs.size()
                              ? std::get_if<ByteRange>(&t.inputs[piece.input])
                              : nullptr;
      if (range != nullptr && range->size <= 8 && piece.offset == 0) {
        ValueSource source = begin(t.pc);
        source.address = range->start;
        source.size = static_cast<std::uint32_t>(range->size);
        source.value = t.input_values[piece.input];
        if (!source.value && piece.size == range->size && piece.added == 0)
          source.value = value_of(piece);
        text(source);
        out.push_back({std::move(source), t.step, later});
      }
    }
    for (const PathStep& step : piece.path) {
      if (later.size() < kLaterKept) later.push_back(step.index);
      const auto* range = step.from ? std::get_if<ByteRange>(&*step.from) : nullptr;
      if (range == nullptr) continue;
      ValueSource source = begin(step.pc);
      if (!computed) source.kind = ValueSource::Kind::memory;
      source.address = range->start;
      source.value = value_after(step, query);
      // Bytes that were read together belong together, wherever each of them came from before.
      if (!computed && range->size > source.size && range->size <= 8) {
        const auto together = static_cast<std::uint32_t>(range->size);
        source.offset = source.offset / together * together;
        source.size = together;
        source.partial = together < size_of(query.asked);
      }
      text(source);
      out.push_back({std::move(source), step.index, later});
    }
    const Origin& origin = piece.origin;
    if (origin.kind == OriginKind::transformation && i != slice.main_line().back()) continue;

    ValueSource source = begin(origin.pc);
    source.constant = origin.constant;
    source.value = value_of(piece);
    const auto unless_computed = [&](ValueSource::Kind kind) {
      if (!computed) source.kind = kind;
    };
    switch (origin.kind) {
      case OriginKind::memory:
      case OriginKind::inconsistent: {
        // Memory whose last store in the window wrote another value: somebody else wrote it after
        // that, and the search for the last writer finds out who.
        const auto* range = origin.place ? std::get_if<ByteRange>(&*origin.place) : nullptr;
        if (range == nullptr) {
          source.kind = ValueSource::Kind::unknown;
          source.note = "a register changed behind the program's back in the step window";
          break;
        }
        unless_computed(ValueSource::Kind::memory);
        if (origin.kind == OriginKind::inconsistent) source.certainty = Certainty::likely;
        if (!out.empty() && out.back().source.address == range->start)
          continue;  // the load was on the path
        source.address = range->start;
        break;
      }
      case OriginKind::immediate:
        unless_computed(ValueSource::Kind::immediate);
        break;
      case OriginKind::zero:
        unless_computed(ValueSource::Kind::zero);
        break;
      case OriginKind::system_call:
        unless_computed(ValueSource::Kind::system_call);
        break;
      case OriginKind::window_start:
        source.kind = ValueSource::Kind::register_;
        if (const auto* reg =
                origin.place ? std::get_if<x86::RegisterBytes>(&*origin.place) : nullptr) {
          source.reg = *reg;
        }
        break;
      case OriginKind::transformation:
        if (origin.transformation && *origin.transformation < slice.transformations.size()) {
          const Transformation& t = slice.transformations[*origin.transformation];
          // lea computes numbers too.
          const bool pointer = !source.value || !query.mapped || query.mapped(*source.value);
          source.kind = !computed && pointer && t.kind == x86::FlowKind::address && t.inputs.size() <= 1
                            ? ValueSource::Kind::address
                            : ValueSource::Kind::arithmetic;
          source.pc = t.pc;
          if (source.kind == ValueSource::Kind::arithmetic) {
            source.inputs = inputs;
            for (std::size_t k = *origin.transformation; k < slice.transformations.size(); ++k)
              add_inputs(slice.transformations[k], *query.code, source.inputs);
          }
        }
        break;
      case OriginKind::unreadable_code:
      case OriginKind::limit:
        source.kind = ValueSource::Kind::unknown;
        source.note = to_string(origin.kind);
        break;
    }
    text(source);
    out.push_back({std::move(source), origin.step, later});
  }
  return out;
}

/// A character that a value was computed from, perhaps.
struct Character {
  Address address;
  Address pc;  ///< of the instruction that read it
  std::size_t step = 0;
};

/// The single bytes that the computations of a slice have read, the nearest first.
std::vector<Character> characters(const WindowSlice& slice) {
  constexpr std::size_t kMost = 64;
  std::vector<Character> out;
  for (const WindowPiece& piece : slice.pieces) {
    if (!piece.parent) continue;  // moved, not computed
    for (const PathStep& step : piece.path) {
      const auto* range = step.from ? std::get_if<ByteRange>(&*step.from) : nullptr;
      if (range != nullptr && range->size == 1 && out.size() < kMost) {
        out.push_back({range->start, step.pc, step.index});
      }
    }
    const auto* range = piece.origin.kind == OriginKind::memory && piece.origin.place
                            ? std::get_if<ByteRange>(&*piece.origin.place)
                            : nullptr;
    if (range != nullptr && range->size == 1 && out.size() < kMost) {
      out.push_back({range->start, piece.origin.pc, piece.origin.step});
    }
  }
  return out;
}

/// Slices the window when it arrives, and names the place that it leads to.
class WindowObserver : public replay::PassObserver {
 public:
  /// `frame`: of the moment, at whose entry the window begins.
  WindowObserver(const ProcessImage& image, const Moment& moment, const ModuleCode& code,
                 const WindowQuestion& question, std::size_t frame, ResolvedSource& out)
      : image_(image),
        moment_(moment),
        code_(code),
        question_(question),
        frame_(frame),
        out_(out) {}

  void on_window(const replay::StepWindow& window) override {
    WindowQuery query;
    query.steps = window.steps;
    query.final_registers = window.final_registers;
    // An instruction that faulted was begun, and did nothing.
    // (The resume flag is set by then.)
    if (!query.steps.empty() && query.steps.back().rip == query.final_registers.rip &&
        query.steps.back().gpr == query.final_registers.gpr) {
      query.steps = query.steps.first(query.steps.size() - 1);
    }
    query.code = &code_;
    query.asked = question_.asked;
    query.number = question_.number;
    query.mapped = [this](std::uint64_t a) { return image_.is_mapped(Address{a}); };
    if (question_.at) {
      std::size_t at = window.steps.size();
      // One that faults at the moment has not executed: in a loop, an earlier one is asked for.
      if (at > 0 && window.steps[at - 1].pc() == moment_.registers.pc()) --at;
      while (at > 0 && window.steps[at - 1].pc() != *question_.at) --at;
      if (at == 0) {
        out_.source.note = "the instruction was not executed in the step window";
        return;
      }
      query.final_registers = window.steps[at - 1];
      query.steps = query.steps.first(at - 1);
    }
    if (question_.value) {
      query.value.resize(8);
      std::memcpy(query.value.data(), &*question_.value, 8);
      query.value.resize(
          static_cast<std::size_t>(std::min<std::uint64_t>(8, size_of(question_.asked))));
    }
    window_ = &window;  // it stays until the pass has ended
    if (query.steps.empty()) {
      // Asked at the function's first instruction.
      Station entry;
      entry.source.kind = ValueSource::Kind::register_;
      entry.source.frame = frame_;
      entry.source.pc = query.final_registers.pc();
      if (const auto* reg = std::get_if<x86::RegisterBytes>(&question_.asked)) {
        entry.source.reg = *reg;
        entry.source.size = reg->size;
        entry.source.value = query.final_registers.gpr[reg->number];
      }
      stations_.push_back(std::move(entry));
      return;
    }
    const auto slice = slice_window(query);
    if (!slice.ok()) {
      out_.source.note = slice.error().message;
      return;
    }
    stations_ = stations(*slice, query, frame_);
    if (!question_.to_the_end) characters_ = characters(*slice);
    if (stations_.empty()) out_.source.note = "the step window explains no byte of the value";
    look_for_bound(query);
  }

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    const CachedMemory memory(live);
    if (bound_ && bound_->memory) {
      const ByteRange& at = *bound_->memory;
      out_.bound_place = describe_source(image_, moment_, at.start, at.size, memory);
      if (at.size == 8) {
        out_.bound_value = memory.read_as<std::uint64_t>(at.start);
      } else if (const auto narrow = memory.read_as<std::uint32_t>(at.start)) {
        out_.bound_value = *narrow;
      }
    }
    out_.bound = bound_;
    if (read_from_text(memory)) return;
    const std::size_t last = question_.to_the_end ? oldest_of_the_program() : 0;
    for (std::size_t i = 0; i < stations_.size(); ++i) {
      const ValueSource& source = stations_[i].source;
      const Moment then =
          moment_at_step(image_, moment_, *window_, stations_[i].step, frame_, code_);
      std::optional<SourcePlace> place;
      bool spill = false;
      if (source.address) {
        // A frame that has been left since is named by the registers of that time; its memory has
        // gone.
        const auto frame = then.frame_of(*source.address);
        const bool left = frame && !lives_on(then.frames[*frame], *source.address);
        const MemoryReader& readable = left ? static_cast<const MemoryReader&>(gone_) : memory;
        place =
            describe_source(image_, left ? then : moment_, *source.address, source.size, readable);
        // A register that was saved on the stack for a while, or passed there, is no variable that
        // the program's authors know of: the value goes through it.
        spill = frame && !(place->location.owner && !place->location.owner->variable.empty());
      }
      if (question_.to_the_end ? i != last : i + 1 < stations_.size() && (!place || spill))
        continue;
      out_.source = source;
      read_input(memory);
      out_.place = std::move(place);
      out_.frames = then.frames;
      out_.left = where_it_left(stations_[i], then);
      break;
    }
    if (window_ != nullptr && window_->truncated) {
      out_.source.note = "the step window was cut at its limit: older instructions are missing";
      out_.source.certainty = Certainty::likely;
    }
  }

 private:
  /// If the value that is asked for was counted up in a loop: what the loop compared it with.
  void look_for_bound(const WindowQuery& query) {
    if (question_.at || !question_.value || frame_ >= moment_.frames.size()) return;
    std::vector<std::uint64_t> counters = {*question_.value};
    for (const Station& station : stations_) {
      if (station.source.kind != ValueSource::Kind::arithmetic) continue;
      if (station.source.value) counters.push_back(*station.source.value);
      for (const ComputedInput& input : station.source.inputs) {
        if (!input.constant) counters.push_back(input.value);
      }
    }
    bound_ = find_loop_bound(query.steps, code_, moment_.frames.front().code.function, counters);
  }

  /// A word of memory that a bit operation took is in no register. What is there by now is what it was,
  /// unless somebody has written it since: the search for the writer will tell.
  void read_input(const MemoryReader& memory) {
    ValueSource& source = out_.source;
    if (source.kind != ValueSource::Kind::arithmetic || !source.address || source.value ||
        source.size != 8) {
      return;
    }
    source.value = memory.read_as<std::uint64_t>(*source.address);
    if (source.value) source.certainty = Certainty::likely;
  }

  /// A number that was computed from the characters of a text which says it: the chain goes on with the text.
  bool read_from_text(const MemoryReader& memory) {
    if (!question_.value) return false;
    const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(8, size_of(question_.asked)));
    for (const Character& character : characters_) {
      const auto text = text_of_number(memory, character.address, *question_.value, size);
      const auto first = text ? memory.read_as<std::uint8_t>(*text) : std::nullopt;
      if (!first) continue;
      out_.source = ValueSource{};
      out_.source.kind = ValueSource::Kind::arithmetic;
      out_.source.frame = frame_;
      out_.source.pc = character.pc;
      const auto instruction = x86::decode_at(code_, character.pc);
      if (instruction.ok()) out_.source.instruction = x86::text(*instruction);
      out_.source.address = *text;
      out_.source.size = 1;
      out_.source.value = *first;
      out_.source.certainty = Certainty::likely;
      out_.source.note = "the number was computed from the characters of a text, and the text says it";
      out_.place = describe_source(image_, moment_, *text, 1, memory);
      out_.frames = moment_at_step(image_, moment_, *window_, character.step, frame_, code_).frames;
      return true;
    }
    return false;
  }

  /// The oldest station of known value that is not inside the allocator: how an allocator comes by
  /// a block is its own affair.
  [[nodiscard]] std::size_t oldest_of_the_program() const {
    for (std::size_t i = stations_.size(); i-- > 1;) {
      if (!stations_[i].source.value) continue;
      const Moment then =
          moment_at_step(image_, moment_, *window_, stations_[i].step, frame_, code_);
      if (!in_allocator(image_, then.frames)) return i;
    }
    return 0;
  }
  /// True if the frame that holds `address` at the window's end is still `frame`.
  [[nodiscard]] bool lives_on(const WalkFrame& frame, Address address) const {
    const auto now = moment_.frame_of(address);
    return now && moment_.frames[*now].frame.cfa == frame.frame.cfa &&
           moment_.frames[*now].code.entry == frame.code.entry;
  }

  /// The stack, from the frame that the made address points into on, where the address left that
  /// frame for good. Empty if the frame lives on, or the address points into none.
  [[nodiscard]] std::vector<WalkFrame> where_it_left(const Station& made,
                                                     const Moment& then) const {
    if (!made.source.value) return {};
    const auto holder = then.frame_of(Address{*made.source.value});
    if (!holder || lives_on(then.frames[*holder], Address{*made.source.value})) return {};
    const WalkFrame& frame = then.frames[*holder];
    if (!frame.frame.cfa) return {};
    const std::uint64_t end = frame.frame.cfa->value - 8;
    std::size_t last_inside = made.step;
    std::size_t left = made.step;
    for (; left < window_->steps.size() && window_->steps[left].sp().value <= end; ++left) {
      if (frame.code.function.contains(window_->steps[left].pc())) last_inside = left;
    }
    // In a function that was called with it, the frame stands at that call.
    const auto carried = std::find_if(made.later.begin(), made.later.end(),
                                      [&](std::size_t step) { return step < left; });
    const std::size_t at = carried != made.later.end() ? std::max(*carried, made.step) : made.step;
    Moment there = moment_at_step(image_, moment_, *window_, at, frame_, code_);
    const auto is_frame = [&](const WalkFrame& f) {
      return f.frame.cfa == frame.frame.cfa && f.code.entry == frame.code.entry;
    };
    auto found = std::find_if(there.frames.begin(), there.frames.end(), is_frame);
    if (found == there.frames.begin() || found == there.frames.end()) {
      there = moment_at_step(image_, moment_, *window_, last_inside, frame_, code_);
      found = there.frames.begin();
    }
    return {found, there.frames.end()};
  }

  const ProcessImage& image_;
  const Moment& moment_;
  const ModuleCode& code_;
  const WindowQuestion& question_;
  std::size_t frame_;
  ResolvedSource& out_;
  std::vector<Station> stations_;
  std::vector<Character> characters_;
  std::optional<LoopBound> bound_;
  const replay::StepWindow* window_ = nullptr;
  const NoMemory gone_;
};

std::optional<Place> asked_place(const ValueQuestion& question, const Moment& moment,
                                 const ModuleCode& code) {
  if (const auto* reg = std::get_if<x86::RegisterBytes>(&question.asked)) return Place{*reg};
  if (const auto* range = std::get_if<ByteRange>(&question.asked)) return Place{*range};
  const auto& stored = std::get<StoredBytes>(question.asked);
  const auto instruction = x86::decode_at(code, question.pc);
  if (!instruction.ok() || stored.operand >= instruction->memory.size()) return std::nullopt;
  const auto before = x86::registers_before(*instruction, moment.registers);
  const auto address =
      x86::effective_address(instruction->memory[stored.operand], before.registers);
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
  CULPRIT_ASSIGN(const auto pass, run_unless_hot(replay, spec, observer, stats, kHotLoad));
  if (!pass) out.source.note = "the load is executed too often to be looked for";
  return out;
}

namespace {

/// A moment's life in its activation: so many system calls since the entry of its function mean
/// that a window from there would be long.
constexpr std::uint64_t kLongLife = 8;

/// While the entries of functions are counted, what follows them is stepped as well, up to so many
/// instructions of a caller before the next one's entry, and so many altogether.
constexpr std::uint32_t kOuterSteps = 2'000;
constexpr std::uint32_t kTrialSteps = 20'000;

/// True if the window's instructions, read from `code`, say no more than that the value was in a
/// register at the begin: a wider one may tell.
bool open_at_begin(const WindowQuestion& question, const ResolvedSource& out) {
  if (out.source.kind != ValueSource::Kind::register_) return false;
  return !(question.to_the_end && out.source.value);  // what the function was given
}

/// A question, and how far it has come.
struct Asking {
  FrameQuestion asked;
  ResolvedSource out;
  std::size_t frames = 0;  ///< of the window's frames: so many entries have been asked from
  bool settled = false;
};

/// Counts the entries of some of the moment's frames, innermost first, and asks the window that
/// came with them, if one did: from the entry of a question's own frame, then, if that is not
/// enough, of the next ones. Where an answer is that the value was loaded through a pointer, it is
/// asked where that came from: the chain often wants to know.
class EntriesObserver : public ExecutionObserver {
 public:
  EntriesObserver(const ProcessImage& image, const Moment& moment, const ModuleCode& code,
                  const std::vector<std::size_t>& frames, int max_frames,
                  std::vector<Asking>& questions)
      : image_(image),
        moment_(moment),
        code_(code),
        frames_(frames),
        max_frames_(static_cast<std::size_t>(std::max(max_frames, 1))),
        questions_(questions) {}

  void on_window(const replay::StepWindow& window) override {
    std::size_t begin = window.steps.size();
    for (const std::size_t frame : frames_) {
      const auto entry = entry_before(window, begin, moment_.frames[frame]);
      if (!entry) return;
      begin = *entry;
      replay::StepWindow& part = parts_.emplace_back();
      part.thread = window.thread;
      part.steps.assign(window.steps.begin() + static_cast<std::ptrdiff_t>(begin),
                        window.steps.end());
      part.final_registers = window.final_registers;
    }
  }

  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const std::size_t known = questions_.size();
    for (std::size_t i = 0; i < known; ++i) {
      ask(questions_[i], at, registers, live);
      const ValueSource& source = questions_[i].out.source;
      if (!questions_[i].settled || !source.address) continue;
      const auto pointer = pointer_of_load(code_, source.pc);
      if (!pointer) continue;
      Asking next;
      next.asked = {source.frame, source.pc, {x86::whole(*pointer), {}, source.pc}};
      next.out.source.frame = source.frame;
      next.out.source.pc = source.pc;
      ask(next, at, registers, live);
      questions_.push_back(std::move(next));
    }
  }

 private:
  /// The newest step before step `end` that begins the activation of `frame`.
  [[nodiscard]] static std::optional<std::size_t> entry_before(const replay::StepWindow& window,
                                                               std::size_t end,
                                                               const WalkFrame& frame) {
    for (std::size_t i = end; i-- > 0;) {
      const Registers& step = window.steps[i];
      if (step.pc() == frame.code.entry && step.sp() == *frame.frame.cfa - 8) return i;
    }
    return std::nullopt;
  }

  void ask(Asking& asking, const replay::Position& at, const Registers& registers,
           const replay::LiveState& live) const {
    const auto own = std::find(frames_.begin(), frames_.end(), asking.asked.frame);
    for (auto k = static_cast<std::size_t>(own - frames_.begin()); k < parts_.size(); ++k) {
      WindowObserver observer(image_, moment_, code_, asking.asked.question, frames_[k],
                              asking.out);
      observer.on_window(parts_[k]);
      observer.on_end(at, registers, live);
      ++asking.frames;
      asking.settled =
          !open_at_begin(asking.asked.question, asking.out) || asking.frames == max_frames_;
      if (asking.settled) return;
    }
  }

  const ProcessImage& image_;
  const Moment& moment_;
  const ModuleCode& code_;
  const std::vector<std::size_t>& frames_;
  std::size_t max_frames_;
  std::vector<Asking>& questions_;
  std::vector<replay::StepWindow>
      parts_;  ///< the window from the entry of each frame, as far as it goes
};

/// What asking one window came to.
enum class Asked : std::uint8_t { answered, open, too_long };

/// One question to any number of windows.
struct WindowAsker {
  replay::Replay& replay;
  const ProcessImage& image;
  const Moment& moment;
  const ModuleCode& code;
  const WindowQuestion& question;
  const WindowLimits& limits;
  std::chrono::milliseconds deadline;
  report::Stats& stats;

  /// Asks the window from `begin`, a moment in frame `frame`, to the moment. `out` keeps what is
  /// found.
  Result<Asked> ask(const replay::Mark& begin, std::size_t frame, ResolvedSource& out) const {
    return ask(begin, frame, limits.budget, out);
  }
  Result<Asked> ask(const replay::Mark& begin, std::size_t frame, std::uint64_t budget,
                    ResolvedSource& out) const {
    replay::PassSpec stepping;
    replay::StepSpec step;
    step.begin = begin;
    step.max_steps = limits.max_steps;
    step.budget = budget;
    stepping.step = step;
    stepping.end = moment.mark;
    stepping.deadline = deadline;
    WindowObserver observer(image, moment, code, question, frame, out);
    const auto stepped = replay.run(stepping, observer);
    if (!stepped.ok() && stepped.error().code == ErrorCode::bad_input) {
      // What a shorter window has found stands.
      stats.passes += 1;
      out.source.note = stepped.error().message;
      return Asked::too_long;
    }
    if (!stepped.ok()) return stepped.error();
    count(stats, *stepped);
    const bool at_start = out.source.kind == ValueSource::Kind::register_ ||
                          out.source.kind == ValueSource::Kind::unknown;
    return at_start ? Asked::open : Asked::answered;
  }
};

/// Asks windows that begin at earlier executions of the question's own instruction in the same
/// activation, the shortest first: in a function that runs for long (an interpreter's loop, main)
/// its entry is too far away, and the values that a turn of a loop uses are mostly made in that
/// turn. Nothing if none of them tells.
Result<std::optional<ResolvedSource>> ask_recent(const WindowAsker& asker, std::size_t frame,
                                                 Address pc, const ResolvedSource& unresolved) {
  const std::optional<ResolvedSource> nothing;
  ExecutionObserver executions;
  replay::PassSpec counting;
  counting.probes.push_back(execution_of(pc, asker.image, asker.moment.position.thread));
  counting.probes.back().keep_last = kKeptHits;
  counting.end = asker.moment.mark;
  counting.deadline = asker.deadline;
  CULPRIT_ASSIGN(const auto counted,
                 run_unless_hot(asker.replay, counting, executions, asker.stats));
  if (!counted) return nothing;
  std::vector<replay::Hit>& hits = executions.hits;
  if (!hits.empty()) hits.pop_back();  // the execution that is asked about
  std::erase_if(hits, [&](const replay::Hit& hit) {
    const auto cfa = cfa_at(asker.image, hit.registers);
    return cfa && cfa != asker.moment.frames[frame].frame.cfa;
  });

  std::optional<ResolvedSource> best;
  constexpr std::size_t kWider = 16;
  for (std::size_t back = 1; !hits.empty(); back = std::min(back * kWider, hits.size())) {
    const replay::Mark begin =
        hit_mark(execution_of(pc, asker.image, asker.moment.position.thread),
                 hits[hits.size() - back].ordinal);
    ResolvedSource found = unresolved;
    CULPRIT_ASSIGN(const Asked asked, asker.ask(begin, frame, found));
    if (asked == Asked::answered) {
      best = std::move(found);
      // A place on the stack without a name is a spill, which a wider window sees through.
      const bool spill = best->source.address && asker.moment.frame_of(*best->source.address) &&
                         !(best->place && best->place->location.owner &&
                           !best->place->location.owner->variable.empty());
      if (!spill) break;
    }
    if (asked == Asked::too_long || back == hits.size()) break;
  }
  return best;
}

/// A first try with a window takes this many instructions at most: some half a second.
constexpr std::uint64_t kShortWindow = 30'000;

/// True if ask_nearby() may tell: stored bytes are asked for.
bool beside_stored(const WindowQuestion& question) {
  return !question.at && std::holds_alternative<ByteRange>(question.asked);
}

/// Asks a window that begins where the bytes beside the stored ones were written last, by the same
/// activation: in a loop that copies a large block, that is some turns before, however long the loop has
/// run by then, and however often the function is called. Nothing if that does not tell.
Result<std::optional<ResolvedSource>> ask_nearby(const WindowAsker& asker, std::size_t frame,
                                                 const ResolvedSource& unresolved) {
  // More than any unrolled loop copies in one turn; less than a window's worth of single bytes.
  constexpr std::uint64_t kBeside = 512;
  constexpr std::uint64_t kWord = 8;
  const std::optional<ResolvedSource> nothing;
  if (!beside_stored(asker.question)) return nothing;
  const ByteRange stored = std::get<ByteRange>(asker.question.asked);
  const Address word{stored.start.value & ~(kWord - 1)};
  ExecutionObserver writes;
  replay::PassSpec looking;
  for (const std::uint64_t at : {word.value - kBeside, word.value + kBeside}) {
    replay::Probe probe;
    probe.kind = replay::ProbeKind::write;
    probe.address = Address{at};
    probe.process = asker.image.process();
    probe.thread = asker.moment.position.thread;
    looking.probes.push_back(probe);
    looking.probes.back().keep_last = 2 * kWord;  // a loop may go by single bytes
  }
  looking.end = asker.moment.mark;
  looking.deadline = asker.deadline;
  CULPRIT_ASSIGN(const auto looked, run_unless_hot(asker.replay, looking, writes, asker.stats));
  if (!looked) return nothing;
  for (auto hit = writes.hits.rbegin(); hit != writes.hits.rend(); ++hit) {
    const auto cfa = cfa_at(asker.image, hit->registers);
    if (hit->kernel || !cfa || cfa != asker.moment.frames[frame].frame.cfa) continue;
    const replay::Mark begin = hit_mark(looking.probes[hit->probe], hit->ordinal);
    ResolvedSource found = unresolved;
    CULPRIT_ASSIGN(const Asked asked, asker.ask(begin, frame, found));
    return asked == Asked::answered ? std::optional(std::move(found)) : nothing;
  }
  return nothing;
}

/// Asks windows that begin at the entry of the question's frame of the moment, or of its callers.
Result<ResolvedSource> ask_windows(replay::Replay& replay, const ProcessImage& image,
                                   const Moment& moment, const ModuleCode& code,
                                   const FrameQuestion& asked_of, WindowLimits limits,
                                   std::chrono::milliseconds deadline, report::Stats& stats,
                                   ResolvedSource out, WindowAnswers& answers) {
  const WindowQuestion& question = asked_of.question;
  const std::size_t first = asked_of.frame;
  const WindowAsker asker{replay, image, moment, code, question, limits, deadline, stats};
  const ResolvedSource unresolved = out;
  const Address pc = out.source.pc;
  // Which entry of its function made each frame that the window may begin in? All in one pass,
  // which tries to step what follows the right ones as well.
  replay::PassSpec counting;
  replay::ActivationSpec trial;
  std::vector<std::size_t> frames;
  for (int widened = 0; widened < limits.max_frames; ++widened) {
    const std::size_t i = first + static_cast<std::size_t>(widened);
    if (i >= moment.frames.size()) break;
    const WalkFrame& frame = moment.frames[i];
    if (!frame.code.entry || !frame.frame.cfa) break;
    counting.probes.push_back(execution_of(frame.code.entry, image, moment.position.thread));
    counting.probes.back().keep_last = kKeptHits;
    trial.entries.push_back({frames.size(), *frame.frame.cfa - 8});
    frames.push_back(i);
  }
  if (frames.empty()) return out;
  // The entries of an activation that lives for long are too far away.
  trial.syscalls_from =
      moment.position.syscalls - std::min(moment.position.syscalls, kLongLife - 1);
  trial.outer_steps = kOuterSteps;
  trial.budget = kTrialSteps;
  counting.activation = trial;
  counting.end = moment.mark;
  counting.deadline = deadline;
  std::vector<Asking> together(1);
  together.front().asked = asked_of;
  together.front().out = out;
  for (const FrameQuestion& other : answers.open(moment.mark)) {
    if (other.frame != first || other == asked_of) continue;
    Asking& next = together.emplace_back();
    next.asked = other;
    next.out.source.frame = other.frame;
    next.out.source.pc = other.pc;
  }
  EntriesObserver entries(image, moment, code, frames, limits.max_frames, together);
  CULPRIT_ASSIGN(const auto counted, run_unless_hot(replay, counting, entries, stats));
  if (!counted) {
    out.source.note = "the function is called too often to find this call's entry";
    CULPRIT_ASSIGN(auto nearby, ask_nearby(asker, first, unresolved));
    if (nearby) return *std::move(nearby);
    if (question.to_the_end) return out;
    CULPRIT_ASSIGN(auto recent, ask_recent(asker, first, pc, unresolved));
    return recent ? *std::move(recent) : out;
  }

  bool recent_asked =
      question.to_the_end;  // what came in at the entry is not seen by a shorter window
  for (Asking& asking : together) {
    if (asking.settled) answers.keep(moment.mark, asking.asked, asking.out, std::nullopt);
  }
  out = std::move(together.front().out);
  if (together.front().settled) return out;
  for (std::size_t k = together.front().frames; k < frames.size(); ++k) {
    const WalkFrame& frame = moment.frames[frames[k]];
    const replay::Hit* entry = nullptr;
    for (const replay::Hit& hit : entries.hits) {
      if (hit.probe == k && hit.registers.sp() == *frame.frame.cfa - 8) entry = &hit;
    }
    if (entry == nullptr) {
      out.source.note =
          "the function's entry was not seen: its frame is older than the recording shows";
    }
    const bool long_life =
        entry == nullptr || moment.position.syscalls - entry->position.syscalls >= kLongLife;
    Asked asked = Asked::too_long;
    if (k == 0 && long_life && !recent_asked) {
      recent_asked = true;
      CULPRIT_ASSIGN(auto recent, ask_recent(asker, first, pc, unresolved));
      if (recent) return *std::move(recent);
    }
    if (entry != nullptr) {
      const replay::Mark begin = hit_mark(
          execution_of(frame.code.entry, image, moment.position.thread), entry->ordinal);
      // A loop over a large block is told from a function that only has much to do by trying: some turns
      // of the loop are enough then, and much cheaper than all of it.
      const bool first_try = k == 0 && beside_stored(question) && limits.budget > kShortWindow;
      CULPRIT_ASSIGN(asked, asker.ask(begin, frames[k], first_try ? kShortWindow : limits.budget, out));
      if (first_try && asked == Asked::too_long) {
        CULPRIT_ASSIGN(auto nearby, ask_nearby(asker, first, unresolved));
        if (nearby) return *std::move(nearby);
        CULPRIT_ASSIGN(asked, asker.ask(begin, frames[k], out));
      }
    }
    if (asked == Asked::too_long) {
      if (k > 0 || recent_asked) break;
      CULPRIT_ASSIGN(auto recent, ask_recent(asker, first, pc, unresolved));
      if (recent) return *std::move(recent);
      break;
    }
    if (!open_at_begin(question, out)) break;
  }
  return out;
}

}  // namespace

namespace {

/// The question's own answer, if it is known; else ask_windows(), whose answer is kept.
Result<ResolvedSource> ask_once(replay::Replay& replay, const ProcessImage& image,
                                const Moment& moment, const FrameQuestion& asked,
                                WindowLimits limits, std::chrono::milliseconds deadline,
                                report::Stats& stats, WindowAnswers& answers) {
  if (const ResolvedSource* known = answers.find(moment.mark, asked, limits.budget)) return *known;
  const ModuleCode code(image.modules());
  ResolvedSource out;
  out.source.frame = asked.frame;
  out.source.pc = asked.pc;
  CULPRIT_ASSIGN(out, ask_windows(replay, image, moment, code, asked, limits, deadline, stats,
                                  std::move(out), answers));
  answers.keep(moment.mark, asked, out, limits.budget);
  return out;
}

std::optional<FrameQuestion> as_frame_question(const ProcessImage& image, const Moment& moment,
                                               const ValueQuestion& question, std::uint64_t value) {
  const auto asked = asked_place(question, moment, ModuleCode(image.modules()));
  if (!asked) return std::nullopt;
  return FrameQuestion{question.frame, question.pc, {*asked, value, {}, false, question.number}};
}

}  // namespace

Result<ResolvedSource> resolve_by_window(replay::Replay& replay, const ProcessImage& image,
                                         const Moment& moment, const ValueQuestion& question,
                                         std::uint64_t value, WindowLimits limits,
                                         std::chrono::milliseconds deadline, report::Stats& stats,
                                         WindowAnswers& answers) {
  const auto asked = as_frame_question(image, moment, question, value);
  if (!asked) {
    ResolvedSource out;
    out.source.frame = question.frame;
    out.source.pc = question.pc;
    out.source.note = "the bytes asked for have no known place";
    return out;
  }
  return ask_once(replay, image, moment, *asked, limits, deadline, stats, answers);
}

Result<ResolvedSource> resolve_register_at(replay::Replay& replay, const ProcessImage& image,
                                           const Moment& moment, std::size_t frame, Address pc,
                                           Gpr reg, bool to_the_end, WindowLimits limits,
                                           std::chrono::milliseconds deadline, report::Stats& stats,
                                           WindowAnswers& answers) {
  const FrameQuestion asked{frame, pc, {x86::whole(reg), {}, pc, to_the_end}};
  return ask_once(replay, image, moment, asked, limits, deadline, stats, answers);
}

void expect_by_window(const ProcessImage& image, const Moment& moment,
                      const ValueQuestion& question, std::uint64_t value, WindowAnswers& answers) {
  if (auto asked = as_frame_question(image, moment, question, value))
    answers.expect(moment.mark, *std::move(asked));
}

void expect_register_at(const Moment& moment, std::size_t frame, Address pc, Gpr reg,
                        bool to_the_end, WindowAnswers& answers) {
  answers.expect(moment.mark, {frame, pc, {x86::whole(reg), {}, pc, to_the_end}});
}

std::optional<Gpr> pointer_of_load(const MemoryReader& code, Address pc) {
  const auto load = x86::decode_at(code, pc);
  if (!load.ok() || load->memory.empty() || load->memory.front().base == Gpr::rsp ||
      load->memory.front().rip_relative) {
    return std::nullopt;
  }
  return load->memory.front().base;
}

}  // namespace culprit::provenance
