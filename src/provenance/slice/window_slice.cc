#include "provenance/slice/window_slice.h"

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "provenance/slice/constant_inputs.h"
#include "provenance/slice/window_pieces.h"
#include "x86/data_flow.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

using x86::DataFlow;
using x86::DataFlowEdge;
using x86::FlowKind;
using x86::FlowPlace;
using x86::Instruction;
using x86::MemoryBytes;
using x86::RegisterBytes;
using x86::RegisterClass;

constexpr std::uint64_t kFirstPages = 0x1'0000;  // vm.mmap_min_addr
constexpr std::uint64_t kMaxAskedMemory = 4096;
constexpr std::size_t kMaxLive = 1U << 14;
// Inputs larger than this (state areas) are named but not followed.
constexpr std::uint64_t kMaxFollowedInput = 64;
// A signal frame is the saved context and the vector state (Linux, arch/x86/kernel/signal.c): with
// AVX-512 less than 4 KiB.
constexpr std::uint64_t kSignalFrame = 4096;
// A stack pointer that went up by less than this is on the same stack: steps are missing there.
constexpr std::uint64_t kFarAway = std::uint64_t{1} << 20;
constexpr std::uint64_t kDirectionFlag = 1U << 10;

bool looks_like_pointer(std::uint64_t value) {
  // User addresses with 47 bits; the first pages are never mapped.
  return value >= kFirstPages && value < 0x8000'0000'0000;
}

std::uint64_t low_bytes(std::uint64_t value, std::uint64_t size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

// An instruction of the window, decoded once however often it ran.
struct Decoded {
  bool ok = false;
  Instruction instruction;
  DataFlow flow;  // valid unless flow.depends_on_registers
};

// One execution of a string instruction with a rep prefix that the log has in one step.
struct StringRun {
  std::uint64_t count = 0;
  std::uint64_t element = 0;
  std::uint64_t source = 0;  // first element's address
  std::uint64_t destination = 0;
  bool has_source = false;
  bool has_destination = false;
  bool down = false;

  // All bytes written.
  Spot written() const {
    const std::uint64_t size = count * element;
    return {down ? destination - (size - element) : destination, size, true};
  }
  std::uint64_t iteration_of_destination(std::uint64_t address) const {
    return down ? (destination + element - 1 - address) / element
                : (address - destination) / element;
  }
};

class WindowTrace {
 public:
  explicit WindowTrace(const WindowQuery& query) : query_(query) {}

  Result<WindowSlice> run() {
    CULPRIT_TRY(ask());
    const std::size_t n = query_.steps.size();
    for (std::size_t i = n; i-- > 0 && live_.count() > 0;) {
      if (!step(i)) break;
    }
    finish_rest();
    WindowSlice result;
    result.pieces = join_fragments(std::move(finished_), paths_, groups_);
    result.transformations = std::move(transformations_);
    settle_constant_inputs(query_, result);
    return result;
  }

 private:
  Status ask() {
    if (query_.steps.empty() || query_.code == nullptr)
      return Error{ErrorCode::bad_input, "a window slice needs steps and their code"};
    std::optional<Spot> asked;
    if (const auto* r = std::get_if<RegisterBytes>(&query_.asked)) {
      asked = to_spot(*r);
    } else {
      asked = to_spot(std::get<ByteRange>(query_.asked));
      if (asked->size > kMaxAskedMemory) asked.reset();
    }
    if (!asked || asked->size == 0)
      return Error{ErrorCode::bad_input, "a window slice must be asked for 1 to 4096 bytes"};
    Fragment all;
    all.since = query_.steps.size();
    all.spot = *asked;
    all.in_index = query_.number;
    std::vector<Fragment> units;
    split_to_units(all, *asked, units);
    for (Fragment& f : units) {
      if (const auto value = logged_value(f.spot, query_.final_registers)) {
        f.value = *value;
        f.known = true;
      } else if (f.target + f.spot.size <= query_.value.size()) {
        f.value = 0;
        for (std::uint64_t k = f.spot.size; k-- > 0;)
          f.value = (f.value << 8) | std::to_integer<std::uint64_t>(query_.value[f.target + k]);
        f.known = true;
      }
      live_.add(f);
    }
    return {};
  }

  const Registers& after(std::size_t i) const {
    return i + 1 < query_.steps.size() ? query_.steps[i + 1] : query_.final_registers;
  }

  const Decoded& decoded(Address pc) {
    auto& entry = cache_[pc.value];
    if (!entry) {
      entry = std::make_unique<Decoded>();
      auto instruction = x86::decode_at(*query_.code, pc);
      if (instruction.ok()) {
        entry->ok = true;
        entry->instruction = std::move(*instruction);
        entry->flow = x86::data_flow(entry->instruction, nullptr);
      }
    }
    return *entry;
  }

  // Undoes step i. False if nothing can be followed past it.
  bool step(std::size_t i) {
    const Registers& before = query_.steps[i];
    const Registers& then = after(i);
    const Decoded& d = decoded(before.pc());
    if (!d.ok) {
      end_all(OriginKind::unreadable_code, i);
      return false;
    }
    staged_.clear();
    check_continuity(d.instruction, before, then, i);
    if (!apply_string_run(d.instruction, before, then, i)) {
      DataFlow dynamic;
      const DataFlow* flow = &d.flow;
      if (d.flow.depends_on_registers) {
        dynamic = x86::data_flow(d.instruction, &before, &then);
        flow = &dynamic;
      }
      for (const DataFlowEdge& e : flow->edges) apply(d.instruction, e, before, i);
    }
    if (d.instruction.category == x86::Category::system_call) {
      system_calls_.push_back(i);
      memory_doubts_.push_back(i);
    }
    check_registers(d.instruction, before, then, i);
    for (const Fragment& f : staged_) {
      if (live_.count() >= kMaxLive) {
        finish(f, OriginKind::limit, i);
      } else {
        live_.add(f);
      }
    }
    return true;
  }

  // --- moves -----------------------------------------------------------------------------------

  std::optional<Spot> spot_of(const Instruction& instruction, const FlowPlace& place,
                              const Registers& before) const {
    if (const auto* r = std::get_if<RegisterBytes>(&place)) return to_spot(*r);
    const auto& m = std::get<MemoryBytes>(place);
    if (m.operand >= instruction.memory.size()) return std::nullopt;
    const auto address = x86::effective_address(instruction.memory[m.operand], before);
    if (!address) return std::nullopt;
    return Spot{address->value + m.offset, m.size, true};
  }

  void apply(const Instruction& instruction, const DataFlowEdge& e, const Registers& before,
             std::size_t i) {
    const auto destination = spot_of(instruction, e.destination, before);
    if (!destination) {
      // A scatter: it may have written any memory.
      if (memory_doubts_.empty() || memory_doubts_.back() != i) memory_doubts_.push_back(i);
      return;
    }
    taken_.clear();
    live_.take(*destination, taken_);
    if (taken_.empty()) return;
    std::optional<std::size_t> transformation;
    for (Fragment& f : taken_) {
      note_doubts(f);
      const std::uint64_t offset = f.spot.position - destination->position;
      switch (e.kind) {
        case FlowKind::copy: {
          auto source =
              e.sources.empty() ? std::nullopt : spot_of(instruction, e.sources[0], before);
          if (!source) {
            finish(f, OriginKind::unreadable_code, i);
            break;
          }
          source->position += offset;
          source->size = f.spot.size;
          move(f, *source, FlowKind::copy, before, i);
          break;
        }
        case FlowKind::immediate:
        case FlowKind::zero:
          constant(f, e, offset, i);
          break;
        case FlowKind::system_call:
          f.path = paths_.add(f.path, i, before.pc(), e.kind, std::nullopt, f.spot);
          finish(f, OriginKind::system_call, i);
          break;
        default:
          if (passes_through(f, e, before, i)) break;
          transform(f, instruction, e, destination->size, before, i, transformation);
          break;
      }
    }
  }

  // The fragment's bytes were at `to` before step i.
  void move(const Fragment& f, const Spot& to, FlowKind kind, const Registers& before,
            std::size_t i) {
    moved_.clear();
    split_to_units(f, to, moved_);
    for (Fragment& part : moved_) {
      const Spot old{f.spot.position + (part.target - f.target), part.spot.size, f.spot.memory};
      const auto value = logged_value(part.spot, before);
      if (value && part.known && *value != part.value) {
        contradiction(part, old, i);
        continue;
      }
      if (value) {
        part.value = *value;
        part.known = true;
      }
      part.path = paths_.add(f.path, i, before.pc(), kind, part.spot, old);
      part.since = i;
      staged_.push_back(part);
    }
  }

  // The value that the code moves is not the value that was followed.
  void contradiction(Fragment f, const Spot& at, std::size_t i) {
    f.spot = at;
    finish(f, OriginKind::inconsistent, at.memory ? f.since : i);
  }

  void constant(Fragment& f, const DataFlowEdge& e, std::uint64_t offset, std::size_t i) {
    std::uint64_t value = 0;
    if (e.kind == FlowKind::immediate && offset < 8)
      value = low_bytes(e.constant.value_or(0) >> (8 * offset), f.spot.size);
    if (f.known && f.value != value) {
      contradiction(f, f.spot, i);
      return;
    }
    f.value = value;
    f.known = true;
    f.path = paths_.add(f.path, i, query_.steps[i].pc(), e.kind, std::nullopt, f.spot);
    Origin origin;
    origin.kind = e.kind == FlowKind::zero ? OriginKind::zero : OriginKind::immediate;
    if (e.kind == FlowKind::immediate) origin.constant = value;
    finish(f, origin, i);
  }

  // Behind a transformation, constant steps of a whole register are passed through.
  bool passes_through(const Fragment& f, const DataFlowEdge& e, const Registers& before,
                      std::size_t i) {
    if (f.group == 0 || e.linear_scale == 0 || e.sources.size() != 1 || f.spot.memory ||
        f.spot.size != 8 || f.spot.position % 8 != 0)
      return false;
    const auto* source = std::get_if<RegisterBytes>(&e.sources[0]);
    if (source == nullptr || source->size != 8) return false;
    const auto spot = to_spot(*source);
    const auto value = spot ? logged_value(*spot, before) : std::nullopt;
    if (!value) return false;
    const std::uint64_t delta = e.constant.value_or(0);
    if (f.known && *value + delta != f.value) return false;
    Fragment g = f;
    g.added = static_cast<std::int64_t>(static_cast<std::uint64_t>(g.added) + delta);
    g.value = *value;
    g.known = true;
    g.path = paths_.add(f.path, i, before.pc(), e.kind, *spot, f.spot);
    g.spot = *spot;
    g.since = i;
    staged_.push_back(g);
    return true;
  }

  void transform(Fragment& f, const Instruction& instruction, const DataFlowEdge& e,
                 std::uint64_t destination_size, const Registers& before, std::size_t i,
                 std::optional<std::size_t>& transformation) {
    if (!transformation) {
      transformation = transformations_.size();
      Transformation t;
      t.step = i;
      t.pc = before.pc();
      t.kind = e.kind;
      t.result = to_place(f.spot);
      t.constant = e.constant;
      std::vector<Spot> spots;
      for (const FlowPlace& source : e.sources) {
        const auto spot = spot_of(instruction, source, before);
        if (!spot) continue;
        spots.push_back(*spot);
        t.inputs.push_back(to_place(*spot));
        t.input_values.push_back(logged_value(*spot, before));
      }
      const auto value = logged_value(f.spot, after(i));
      t.main_input = main_input(e, spots, before, value);
      const auto scaled = f.in_index ? scaled_number(spots, before, value) : std::nullopt;
      if (scaled) t.main_input = scaled;
      const bool chose_index = index_of_bad_sum(spots, before, value).has_value();
      t.index = chose_index;
      t.carries = t.main_input &&
                  (chose_index || scaled ||
                   carries(e, spots, *t.main_input, before, value, destination_size, f.in_index));
      t.followed = query_.follow_inputs && transformations_.size() < query_.max_transformations;
      if (t.followed) {
        const auto null = null_of_small_sum(e, spots, before, value);
        t.followed = follow(spots, before, i, f.in_index || chose_index, null);
      }
      transformations_.push_back(std::move(t));
    } else {
      widen(transformations_[*transformation].result, f.spot);
    }
    f.path = paths_.add(f.path, i, before.pc(), e.kind, std::nullopt, f.spot);
    Origin origin;
    origin.kind = OriginKind::transformation;
    origin.transformation = transformation;
    finish(f, origin, i);
  }

  static void widen(Place& place, const Spot& spot) {
    Spot all = std::holds_alternative<ByteRange>(place)
                   ? to_spot(std::get<ByteRange>(place))
                   : to_spot(std::get<RegisterBytes>(place)).value_or(spot);
    if (all.memory != spot.memory) return;
    const std::uint64_t start = std::min(all.position, spot.position);
    const std::uint64_t end = std::max(all.position + all.size, spot.position + spot.size);
    place = to_place({start, end - start, all.memory});
  }

  // Starts following each input of the transformation that is about to be added.
  // `null`: an input that is 0, also where no register says so.
  bool follow(const std::vector<Spot>& inputs, const Registers& before, std::size_t i, bool in_index,
              std::optional<std::size_t> null) {
    bool any = false;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const Spot& input = inputs[k];
      if (!worth_following(input)) continue;
      any = true;
      groups_.push_back({transformations_.size(), k});
      Fragment all;
      all.spot = input;
      all.group = static_cast<std::uint32_t>(groups_.size());
      all.since = i;
      all.in_index = in_index;
      moved_.clear();
      split_to_units(all, input, moved_);
      for (Fragment& part : moved_) {
        if (const auto value = logged_value(part.spot, before)) {
          part.value = *value;
          part.known = true;
        } else if (null == k) {
          part.value = 0;
          part.known = true;
        }
        staged_.push_back(part);
      }
    }
    return any;
  }

  static bool worth_following(const Spot& input) {
    if (input.size == 0 || input.size > kMaxFollowedInput) return false;
    if (input.memory) return true;
    const Place place = to_place(input);
    const auto& r = std::get<RegisterBytes>(place);
    // The stack pointer's past is a chain of pushes that says nothing about a value.
    if (r.same_register(x86::whole(Gpr::rsp))) return false;
    return r.cls == RegisterClass::gpr || r.cls == RegisterClass::vector ||
           r.cls == RegisterClass::segment_base;
  }

  // The input that the result stands or falls with.
  std::optional<std::size_t> main_input(const DataFlowEdge& e, const std::vector<Spot>& inputs,
                                        const Registers& before,
                                        std::optional<std::uint64_t> result) const {
    if (inputs.size() == 1) return 0;
    if (e.kind == FlowKind::select) return taken_input(inputs, before, result);
    if (const auto index = index_of_bad_sum(inputs, before, result)) return index;
    if (const auto null = null_of_small_sum(e, inputs, before, result)) return null;
    // The pointer: the first register that holds a plausible address; else a whole word from
    // memory, whose value is not logged.
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const auto value = logged_value(inputs[k], before);
      if (value && inputs[k].size == 8 && looks_like_pointer(*value)) return k;
    }
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k].memory && inputs[k].size == 8) return k;
    }
    return std::nullopt;
  }

  // An address in the first pages, which are never mapped, is a null and an offset.
  static std::optional<std::size_t> null_of_small_sum(const DataFlowEdge& e,
                                                      const std::vector<Spot>& inputs,
                                                      const Registers& before,
                                                      std::optional<std::uint64_t> result) {
    if (!result || looks_like_pointer(*result) || *result >= kFirstPages || inputs.size() != 2)
      return {};
    std::optional<std::size_t> null;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k].size != 8) continue;
      const auto value = logged_value(inputs[k], before);
      // What was read from memory is not logged. It is the null if it adds nothing to the other: a
      // pointer that is kept in memory, beside the offset of an element.
      const bool adds_nothing = e.kind == FlowKind::arithmetic && inputs[k].memory &&
                                logged_value(inputs[1 - k], before) == result;
      if (value == 0 || adds_nothing) {
        if (!null || inputs[k].memory) null = k;
      }
    }
    return null;
  }

  // True if whoever made the main input made the result.
  static bool carries(const DataFlowEdge& e, const std::vector<Spot>& inputs, std::size_t main,
                      const Registers& before, std::optional<std::uint64_t> result,
                      std::uint64_t result_size, bool in_index) {
    if (e.kind == FlowKind::select) return true;
    const auto value = logged_value(inputs[main], before);
    const bool from_pointer = inputs[main].size == 8 && value && looks_like_pointer(*value);
    const bool to_pointer = result_size == 8 && result && looks_like_pointer(*result);
    // One input: one more of it, a tag, a mask, an extension; of an index also its scale.
    if (inputs.size() == 1) {
      return e.linear_scale == 1 || in_index || inputs[main].size < result_size || from_pointer ||
             to_pointer;
    }
    if (null_of_small_sum(e, inputs, before, result)) return true;
    return to_pointer && (from_pointer || (!value && inputs[main].size == 8));
  }

  // Of a conditional move: the input whose value the result has, if only one can be it.
  static std::optional<std::size_t> taken_input(const std::vector<Spot>& inputs,
                                                const Registers& before,
                                                std::optional<std::uint64_t> result) {
    std::optional<std::size_t> taken;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const auto value = logged_value(inputs[k], before);
      if (value && result && *value != *result) continue;
      if (taken) return std::nullopt;
      taken = k;
    }
    return taken;
  }

  // Of an index or a size that is a product: the factor that is no element's size.
  static std::optional<std::size_t> scaled_number(const std::vector<Spot>& inputs,
                                                  const Registers& before,
                                                  std::optional<std::uint64_t> result) {
    constexpr std::uint64_t kLargestElement = 4096;
    if (!result || inputs.size() != 2) return {};
    const auto a = logged_value(inputs[0], before);
    const auto b = logged_value(inputs[1], before);
    if (!a || !b || *a * *b != *result || *a <= 1 || *b <= 1) return {};
    if ((*a <= kLargestElement) == (*b <= kLargestElement)) return {};
    return *a <= kLargestElement ? 1 : 0;
  }

  // A good pointer and something else made an address that is none: the something else.
  std::optional<std::size_t> index_of_bad_sum(const std::vector<Spot>& inputs,
                                              const Registers& before,
                                              std::optional<std::uint64_t> result) const {
    if (!query_.mapped || !result || query_.mapped(*result) || inputs.size() != 2) return {};
    std::optional<std::size_t> pointer;
    for (std::size_t k = 0; k < 2; ++k) {
      auto value = logged_value(inputs[k], before);
      // What memory added is the rest of the sum. (Of another operation that rest is no address.)
      if (const auto other = logged_value(inputs[1 - k], before); !value && other)
        value = *result - *other;
      if (!value || inputs[k].size != 8 || !query_.mapped(*value)) continue;
      if (pointer) return {};
      pointer = k;
    }
    if (!pointer) return {};
    return 1 - *pointer;
  }

  // --- string runs -----------------------------------------------------------------------------

  // True if step i is a rep string instruction that did not run exactly once: handled here.
  bool apply_string_run(const Instruction& instruction, const Registers& before,
                        const Registers& then, std::size_t i) {
    if (!instruction.repeated || instruction.memory.empty()) return false;
    const bool narrow = instruction.memory[0].address_size == 4;
    const auto counter = [narrow](const Registers& r) {
      return narrow ? r[Gpr::rcx] & 0xffff'ffff : r[Gpr::rcx];
    };
    const std::uint64_t count = counter(before) - counter(then);
    if (count == 1) return false;
    if (count == 0) return true;
    StringRun run;
    run.count = count;
    run.down = (before.rflags & kDirectionFlag) != 0;
    for (const x86::MemOperand& m : instruction.memory) {
      const auto address = x86::effective_address(m, before);
      if (!address) return true;
      run.element = m.size;
      if (m.written) {
        run.destination = address->value;
        run.has_destination = true;
      } else {
        run.source = address->value;
        run.has_source = true;
      }
    }
    // A count that cannot be a run inside one address space comes from a broken log.
    constexpr std::uint64_t kLargest = std::uint64_t{1} << 47;
    if (run.element == 0 || count > kLargest / run.element) {
      memory_doubts_.push_back(i);
      return true;
    }
    const bool writes_accumulator =
        !run.has_destination &&
        std::any_of(instruction.writes.begin(), instruction.writes.end(),
                    [](const auto& r) { return r.overlaps(x86::whole(Gpr::rax)); });
    if (run.has_destination) {
      taken_.clear();
      live_.take(run.written(), taken_);
      for (Fragment& f : taken_) {
        note_doubts(f);
        undo_run(f, run, before, i);
      }
    } else if (writes_accumulator && run.has_source) {
      load_last(run, before, i);
    }
    step_pointers(run, writes_accumulator, before, i);
    return true;
  }

  void undo_run(const Fragment& f, const StringRun& run, const Registers& before, std::size_t i) {
    const std::uint64_t delta = run.destination - run.source;
    const bool self_feeding =
        run.has_source &&
        !disjoint({run.down ? run.source - (run.count - 1) * run.element : run.source,
                   run.count * run.element, true},
                  run.written());
    if (run.has_source && !self_feeding) {
      move(f, {f.spot.position - delta, f.spot.size, true}, FlowKind::copy, before, i);
      return;
    }
    // Byte by byte: the pattern repeats within the fragment.
    for (std::uint64_t k = 0; k < f.spot.size; ++k) {
      const Fragment byte = part_of(f, k, 1);
      if (!run.has_source) {
        const std::uint64_t phase = (byte.spot.position - run.written().position) % run.element;
        move(byte, {phase, 1, false}, FlowKind::copy, before, i);
        continue;
      }
      const auto source = source_of_byte(byte.spot.position, run);
      if (source) {
        move(byte, {*source, 1, true}, FlowKind::copy, before, i);
      } else {
        finish(byte, OriginKind::limit, i);
      }
    }
  }

  static bool disjoint(const Spot& a, const Spot& b) {
    return a.position - b.position >= b.size && b.position - a.position >= a.size;
  }

  // Where a byte written by an overlapping movs run came from before the run began.
  static std::optional<std::uint64_t> source_of_byte(std::uint64_t address, const StringRun& run) {
    const std::uint64_t delta = run.destination - run.source;
    // Each hop goes to an earlier iteration, so whole hops can be taken at once where the distance
    // is at least one element.
    const Spot written = run.written();
    std::uint64_t at = address;
    for (int hops = 0; hops < 1 << 16; ++hops) {
      const std::uint64_t iteration = run.iteration_of_destination(at);
      const std::uint64_t source = at - delta;
      const bool was_written = source - written.position < written.size &&
                               run.iteration_of_destination(source) < iteration;
      if (!was_written) return source;
      const std::uint64_t distance = run.down ? std::uint64_t{0} - delta : delta;
      if (distance >= run.element && distance < written.size) {
        const std::uint64_t into =
            run.down ? run.destination + run.element - 1 - at : at - run.destination;
        const std::uint64_t whole_hops = into / distance;
        at = run.down ? at + whole_hops * distance : at - whole_hops * distance;
        return at - delta;
      }
      at = source;
    }
    return std::nullopt;
  }

  void load_last(const StringRun& run, const Registers& before, std::size_t i) {
    const std::uint64_t steps = (run.count - 1) * run.element;
    const std::uint64_t last = run.down ? run.source - steps : run.source + steps;
    taken_.clear();
    live_.take({0, run.element, false}, taken_);
    for (Fragment& f : taken_) {
      note_doubts(f);
      move(f, {last + f.spot.position, f.spot.size, true}, FlowKind::copy, before, i);
    }
    if (run.element != 4) return;
    taken_.clear();
    live_.take({4, 4, false}, taken_);
    for (Fragment& f : taken_) {
      note_doubts(f);
      constant(f, DataFlowEdge{RegisterBytes{}, FlowKind::zero, {}, {}, 0}, 0, i);
    }
  }

  // rsi, rdi and rcx after a run: the old value and a multiple of the element.
  void step_pointers(const StringRun& run, bool loads, const Registers& before, std::size_t i) {
    const bool scans = !run.has_destination && !loads;
    for (const Gpr r : {Gpr::rsi, Gpr::rdi, Gpr::rcx}) {
      if (r == Gpr::rsi && !run.has_source && !scans) continue;
      if (r == Gpr::rdi && loads) continue;
      DataFlowEdge e;
      e.destination = x86::whole(r);
      e.kind = r == Gpr::rcx ? FlowKind::arithmetic : FlowKind::address;
      e.sources = {x86::whole(r)};
      e.constant = r == Gpr::rcx || run.down ? std::uint64_t{0} - run.count : run.count;
      if (r != Gpr::rcx) e.constant = *e.constant * run.element;
      e.linear_scale = 1;
      const auto value = before[r];
      // scas has no rsi, cmps has both: what did not move was not stepped.
      if (after(i)[r] == value) continue;
      apply(Instruction{}, e, before, i);
    }
  }

  // --- checks ----------------------------------------------------------------------------------

  // A general-purpose register that the instruction does not write must keep its logged value.
  void check_registers(const Instruction& instruction, const Registers& before,
                       const Registers& then, std::size_t i) {
    std::uint32_t left = live_.gprs_in_use();
    while (left != 0) {
      const auto number = static_cast<std::size_t>(__builtin_ctz(left));
      left &= left - 1;
      if (before.gpr[number] == then.gpr[number]) continue;
      auto& unit = live_.gpr(number);
      const auto changed = std::stable_partition(unit.begin(), unit.end(), [&](const Fragment& f) {
        return logged_value(f.spot, before) == logged_value(f.spot, then);
      });
      const auto how_many = static_cast<std::size_t>(unit.end() - changed);
      if (how_many == 0) continue;
      const bool by_kernel = instruction.category == x86::Category::system_call;
      for (auto it = changed; it != unit.end(); ++it) {
        finish(*it, by_kernel ? OriginKind::system_call : OriginKind::inconsistent, i);
      }
      unit.erase(changed, unit.end());
      live_.removed_from_gpr(number, how_many);
    }
  }

  // Where the next step is not where the instruction leads, a signal handler began or steps are
  // missing.
  void check_continuity(const Instruction& instruction, const Registers& before,
                        const Registers& then, std::size_t i) {
    const Address next = then.pc();
    bool follows = true;
    switch (instruction.flow) {
      case x86::Flow::fallthrough:
        follows = next == instruction.end() || (instruction.repeated && next == before.pc());
        break;
      case x86::Flow::jump:
      case x86::Flow::call:
        follows = next == instruction.target;
        break;
      case x86::Flow::conditional:
        follows = next == instruction.end() || next == instruction.target;
        break;
      default:
        break;
    }
    if (follows) return;
    doubts_.push_back(i);
    if (instruction.category == x86::Category::system_call) return;
    // The kernel may just have written a signal frame at the new stack pointer: below the old one,
    // or on another stack.
    const std::uint64_t down = before.sp().value - then.sp().value;
    const bool same_stack = down < 4 * kSignalFrame;
    const bool back_up = std::uint64_t{0} - down < kFarAway;
    if (down == 0 || (!same_stack && back_up)) return;
    taken_.clear();
    live_.take({then.sp().value, same_stack ? std::min(down, kSignalFrame) : kSignalFrame, true},
               taken_);
    for (const Fragment& f : taken_) finish(f, OriginKind::inconsistent, f.since);
  }

  // Marks what may have been changed unseen between the step that read the bytes and now.
  void note_doubts(Fragment& f) const {
    const bool gap = !doubts_.empty() && doubts_.back() < f.since;
    const bool unseen = f.spot.memory && !memory_doubts_.empty() && memory_doubts_.back() < f.since;
    if (gap || unseen) f.likely = true;
  }

  // --- ends ------------------------------------------------------------------------------------

  void finish(const Fragment& f, OriginKind kind, std::size_t i) {
    Origin origin;
    origin.kind = kind;
    origin.place = to_place(f.spot);
    finish(f, origin, i);
  }

  void finish(const Fragment& f, Origin origin, std::size_t i) {
    origin.step = i;
    origin.pc = i < query_.steps.size() ? query_.steps[i].pc() : query_.final_registers.pc();
    finished_.push_back({f, origin});
  }

  void end_all(OriginKind kind, std::size_t i) {
    taken_.clear();
    live_.take_all(taken_);
    for (const Fragment& f : taken_) finish(f, kind, i);
  }

  void finish_rest() {
    taken_.clear();
    live_.take_all(taken_);
    for (Fragment& f : taken_) {
      note_doubts(f);
      if (!f.spot.memory) {
        finish(f, OriginKind::window_start, 0);
        continue;
      }
      Origin origin;
      origin.kind = OriginKind::memory;
      origin.place = to_place(f.spot);
      // system_calls_ is in descending order.
      const auto call = std::upper_bound(system_calls_.begin(), system_calls_.end(), f.since,
                                         [](std::size_t a, std::size_t b) { return b < a; });
      if (call != system_calls_.end()) origin.earlier_system_call = *call;
      finish(f, origin, f.since);
    }
  }

  const WindowQuery& query_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Decoded>> cache_;
  LiveFragments live_;
  PathArena paths_;
  std::vector<FinishedFragment> finished_;
  std::vector<GroupParent> groups_;
  std::vector<Transformation> transformations_;
  // Steps, newest first: system calls; unseen stores (system calls included); gaps in the log.
  std::vector<std::size_t> system_calls_;
  std::vector<std::size_t> memory_doubts_;
  std::vector<std::size_t> doubts_;
  // Scratch space of one step: found at a destination; cut; to be added when the step is undone.
  std::vector<Fragment> taken_;
  std::vector<Fragment> moved_;
  std::vector<Fragment> staged_;
};

}  // namespace

const char* to_string(OriginKind kind) {
  switch (kind) {
    case OriginKind::memory:
      return "memory";
    case OriginKind::immediate:
      return "immediate";
    case OriginKind::zero:
      return "zero";
    case OriginKind::transformation:
      return "transformation";
    case OriginKind::system_call:
      return "system_call";
    case OriginKind::window_start:
      return "window_start";
    case OriginKind::inconsistent:
      return "inconsistent";
    case OriginKind::unreadable_code:
      return "unreadable_code";
    case OriginKind::limit:
      break;
  }
  return "limit";
}

std::vector<std::size_t> WindowSlice::main_line() const {
  // Constants beside a pointer (zero-extension, masked bits) are not its line.
  const auto is_constant = [](const WindowPiece& p) {
    return p.origin.kind == OriginKind::zero || p.origin.kind == OriginKind::immediate;
  };
  std::vector<std::size_t> result;
  std::optional<std::size_t> parent;
  std::optional<std::size_t> input;
  while (result.size() <= transformations.size()) {
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const WindowPiece& p = pieces[i];
      if (p.parent != parent || (input && p.input != *input)) continue;
      if (!best) {
        best = i;
        continue;
      }
      const WindowPiece& b = pieces[*best];
      if (is_constant(p) != is_constant(b)) {
        if (is_constant(b)) best = i;
      } else if (p.size > b.size) {
        best = i;
      }
    }
    if (!best) break;
    result.push_back(*best);
    const Origin& origin = pieces[*best].origin;
    if (origin.kind != OriginKind::transformation || !origin.transformation ||
        *origin.transformation >= transformations.size())
      break;
    parent = origin.transformation;
    input = transformations[*parent].main_input;
    if (!input || !transformations[*parent].carries) break;
  }
  return result;
}

Result<WindowSlice> slice_window(const WindowQuery& query) { return WindowTrace(query).run(); }

}  // namespace culprit::provenance
