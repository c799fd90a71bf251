#include "provenance/ask_window.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/heap.h"
#include "provenance/number_text.h"
#include "provenance/slice/sums_of_nulls.h"
#include "provenance/slice/window_slice.h"
#include "provenance/window_moment.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

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
void add_inputs(const Transformation& t, const MemoryReader& code,
                std::vector<ComputedInput>& out) {
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
      const auto* range =
          piece.input < t.inputs.size() ? std::get_if<ByteRange>(&t.inputs[piece.input]) : nullptr;
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
          source.kind =
              !computed && pointer && t.kind == x86::FlowKind::address && t.inputs.size() <= 1
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
class WindowAnswer {
 public:
  /// `frame`: of the moment, at whose entry the window begins.
  WindowAnswer(const ProcessImage& image, const Moment& moment, const ModuleCode& code,
               const WindowQuestion& question, std::size_t frame, ResolvedSource& out)
      : image_(image),
        moment_(moment),
        code_(code),
        question_(question),
        frame_(frame),
        out_(out) {}

  void slice(const replay::StepWindow& window, const replay::LiveState& live) {
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
    auto slice = slice_window(query);
    if (!slice.ok()) {
      out_.source.note = slice.error().message;
      return;
    }
    settle_sums_of_nulls(*slice, [&](const ByteRange& at) { return holds_pointer(at, live); });
    stations_ = stations(*slice, query, frame_);
    if (!question_.to_the_end) characters_ = characters(*slice);
    if (stations_.empty()) out_.source.note = "the step window explains no byte of the value";
    look_for_bound(query);
  }

  void name(const replay::LiveState& live) {
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
  /// Whether the program's types call what is there a pointer.
  [[nodiscard]] bool holds_pointer(const ByteRange& at, const replay::LiveState& live) const {
    const CachedMemory memory(live);
    const auto place =
        describe_source(image_, moment_, at.start, static_cast<std::uint32_t>(at.size), memory);
    const auto& owner = place.location.owner;
    if (!owner) return false;
    const std::string& type = owner->member.empty() ? owner->type : owner->member_type;
    return type.find_first_of("*&") != std::string::npos;
  }

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

  /// A word of memory that a bit operation took is in no register. What is there by now is what it
  /// was, unless somebody has written it since: the search for the writer will tell.
  void read_input(const MemoryReader& memory) {
    ValueSource& source = out_.source;
    if (source.kind != ValueSource::Kind::arithmetic || !source.address || source.value ||
        source.size != 8) {
      return;
    }
    source.value = memory.read_as<std::uint64_t>(*source.address);
    if (source.value) source.certainty = Certainty::likely;
  }

  /// A number that was computed from the characters of a text which says it: the chain goes on with
  /// the text.
  bool read_from_text(const MemoryReader& memory) {
    if (!question_.value) return false;
    const auto size =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(8, size_of(question_.asked)));
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
      out_.source.note =
          "the number was computed from the characters of a text, and the text says it";
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

}  // namespace

void ask_window(const ProcessImage& image, const Moment& moment, const ModuleCode& code,
                const WindowQuestion& question, std::size_t frame, const replay::StepWindow& window,
                const replay::LiveState& live, ResolvedSource& out) {
  WindowAnswer answer(image, moment, code, question, frame, out);
  answer.slice(window, live);
  answer.name(live);
}

}  // namespace culprit::provenance
