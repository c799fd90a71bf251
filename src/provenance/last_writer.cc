#include "provenance/last_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/pointer_origin.h"
#include "provenance/probes.h"
#include "provenance/whole_parts.h"

namespace culprit::provenance {
namespace {

/// Each live stop walks a stack; a value written more often than this is found by its ordinal
/// first.
constexpr std::size_t kMaxLiveHits = 24;
/// Recursive functions are entered often: so many of the newest entries are kept.
constexpr std::uint32_t kKeptEntries = 256;
/// So many of the newest writes of a hot slot are kept, to tell how often the last one was
/// repeated.
constexpr std::uint32_t kKeptWrites = 256;

std::uint64_t mask_of(std::uint32_t size) {
  return size >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * size)) - 1;
}

/// The frame whose code holds the writing instruction: the innermost, or its caller when the store
/// was the return address that a call pushed.
std::size_t frame_of_writer(const Moment& moment, Address pc) {
  for (std::size_t i = 0; i < moment.frames.size() && i < 2; ++i) {
    if (moment.frames[i].code.function.contains(pc)) return i;
  }
  return 0;
}

/// The pointer that the store went through, as far as the stopped moment tells.
void examine_pointer(const ProcessImage& image, const Slot& slot, const replay::LiveState& live,
                     const MemoryReader& memory, WriterHit& out) {
  const x86::Instruction& store = out.writer->instruction;
  out.slot_object = object_at(image, out.moment, slot.address, live);
  if (out.writer->operand >= store.memory.size()) return;
  const x86::MemOperand& operand = store.memory[out.writer->operand];
  const auto before = x86::registers_before(store, out.moment.registers);
  const auto pointer = pointer_of(image, operand, before.registers, before.known,
                                  out.moment.frames[out.frame].frame.cfa);
  if (!pointer) return;
  out.pointer_register = pointer->reg;
  if (store.repeated) return;  // the register has run along the block
  out.pointer = pointer->value;
  if (!pointer->reg) {
    out.pointer_direct = true;
    out.pointer_object = object_at(image, out.moment, Address{*pointer->value}, live);
    return;
  }
  if (!pointer->value) return;
  out.pointer_source = find_source(
      image, out.moment, {out.frame, store.address, false, x86::whole(*pointer->reg)}, memory);
  const ValueSource::Kind kind = out.pointer_source.kind;
  out.pointer_direct = kind == ValueSource::Kind::memory || kind == ValueSource::Kind::load ||
                       kind == ValueSource::Kind::address || kind == ValueSource::Kind::immediate;
  if (kind == ValueSource::Kind::memory && out.pointer_source.address) {
    out.pointer_place = describe_source(image, out.moment, *out.pointer_source.address,
                                        out.pointer_source.size, memory);
  }
  out.pointer_object = object_at(image, out.moment, Address{*out.pointer}, live);
  const Address named = Address{*out.pointer} + (operand.index && operand.base ? operand.disp : 0);
  out.named = SeenObject{named, object_meant_at(image, out.moment, named, slot.address, live)};
  if (operand.index && out.pointer_direct) {
    out.array = array_left(image, out.moment, named, slot.address, live);
  }
}

/// What the pointer of an indexed store leads to at the moment of the slot's reader, with the
/// operand's displacement and without.
std::vector<SeenObject> seen_by(const ProcessImage& image, const Moment& reader, const Slot& slot,
                                const WriterHit& writer, const replay::LiveState& live) {
  std::vector<SeenObject> out;
  if (!writer.writer || !writer.pointer || writer.writer->instruction.repeated) return out;
  const auto& operands = writer.writer->instruction.memory;
  if (writer.writer->operand >= operands.size()) return out;
  const x86::MemOperand& operand = operands[writer.writer->operand];
  if (!operand.index) return out;
  const Address first{*writer.pointer};
  const auto ask = [&](Address pointer) {
    out.push_back({pointer, object_meant_at(image, reader, pointer, slot.address, live)});
  };
  if (operand.base && operand.disp != 0) ask(first + operand.disp);
  ask(first);
  return out;
}

/// How many of the earlier `hits` look the same as `last` to somebody who stands at `last`'s
/// previous system call: same thread, call, instruction and stack pointer. Nothing if hits are
/// missing that may belong to them.
std::optional<std::uint64_t> count_repeats(const std::vector<replay::Hit>& hits,
                                           const replay::Hit& last, bool all) {
  std::uint64_t same = 0;
  for (const replay::Hit& hit : hits) {
    if (hit.ordinal >= last.ordinal || hit.position.thread != last.position.thread) continue;
    if (hit.position.syscalls < last.position.syscalls) {
      all = true;  // whatever is missing came before this one
    } else if (hit.registers.rip == last.registers.rip &&
               hit.registers.sp() == last.registers.sp() && !hit.kernel) {
      ++same;
    }
  }
  return all ? std::optional(same) : std::nullopt;
}

/// Examines each matching write as it happens and keeps the newest; collects the owner's entries.
class WriterObserver : public replay::PassObserver {
 public:
  WriterObserver(const ProcessImage& image, const Slot& slot, const replay::Probe& probe,
                 const std::optional<Activation>& owner)
      : image_(image), slot_(slot), probe_(probe), owner_(owner) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState* live) override {
    if (hit.probe == 1 && owner_) {
      if (hit.registers.sp() == owner_->cfa - 8) {
        entered = hit.position;
        entry_ordinal = hit.ordinal;
      }
      return replay::Next::go_on;
    }
    newest = hit;
    hits.push_back(hit);
    if (live == nullptr) return replay::Next::go_on;
    if (++live_hits_ > kMaxLiveHits) {
      too_many = true;
      return replay::Next::stop_pass;
    }
    writer = examine_write(image_, slot_, hit_mark(probe_, hit.ordinal), hit, *live);
    return replay::Next::go_on;
  }

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    if (auto found = live.heap_blocks(slot_.address); found.ok()) blocks = *std::move(found);
    if (reader != nullptr && writer) {
      writer->seen_by_reader = seen_by(image_, *reader, slot_, *writer, live);
    }
  }

  const Moment* reader = nullptr;  ///< in: the moment of the end, if the slot was read there
  std::optional<replay::HeapBlocks> blocks;
  std::optional<WriterHit> writer;
  std::optional<replay::Hit> newest;
  std::vector<replay::Hit> hits;  ///< of the slot, as far as they were reported
  std::optional<replay::Position> entered;
  std::optional<std::uint64_t> entry_ordinal;
  bool too_many = false;

 private:
  const ProcessImage& image_;
  const Slot& slot_;
  const replay::Probe probe_;
  const std::optional<Activation>& owner_;
  std::size_t live_hits_ = 0;
};

/// Stops at one known write and examines it.
class OneWriterObserver : public replay::PassObserver {
 public:
  OneWriterObserver(const ProcessImage& image, const Slot& slot, replay::Mark mark, replay::Hit hit)
      : image_(image), slot_(slot), mark_(std::move(mark)), hit_(std::move(hit)) {}

  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    (void)at;
    hit_.registers = registers;
    writer = examine_write(image_, slot_, mark_, hit_, live);
  }

  std::optional<WriterHit> writer;

 private:
  const ProcessImage& image_;
  const Slot& slot_;
  replay::Mark mark_;
  replay::Hit hit_;
};

Result<LastWriter> outcome(const WriterObserver& observer, const replay::PassResult& pass,
                           std::optional<WriterHit> writer) {
  if (!pass.end_reached) {
    return Error{ErrorCode::replay_failed,
                 "the replay ended before the moment that an earlier pass had reached"};
  }
  LastWriter out;
  out.writer = std::move(writer);
  if (!pass.matches.empty()) out.matches = pass.matches.front();
  if (!pass.raw_hits.empty()) out.writes = pass.raw_hits.front();
  out.entered = observer.entered;
  out.entry_ordinal = observer.entry_ordinal;
  if (out.writer) {
    out.writer->repeats =
        count_repeats(observer.hits, out.writer->hit, observer.hits.size() == out.matches);
  }
  if (out.entered) {
    out.older_than_owner =
        !observer.newest || observer.newest->position.sequence < out.entered->sequence;
  }
  out.blocks = observer.blocks;
  if (out.blocks && out.blocks->complete && !out.blocks->holding.empty()) {
    out.older_than_block =
        !observer.newest || observer.newest->position.sequence <
                                out.blocks->holding.front().allocated.position.sequence;
  }
  return out;
}

}  // namespace

StoredBytes stored_bytes(const x86::WriterCandidate& writer, const Slot& slot) {
  StoredBytes out{writer.operand, 0, slot.size};
  if (!writer.written) return out;
  // A wide store covers more than the slot, a narrow one only a part of it.
  const std::int64_t delta = slot.address - writer.written->start;
  if (delta < 0 || static_cast<std::uint64_t>(delta) >= writer.written->size) return out;
  out.offset = static_cast<std::uint32_t>(delta);
  out.size = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(slot.size, writer.written->size - out.offset));
  const auto& memory = writer.instruction.memory;
  if (writer.instruction.repeated && memory.size() == 1 && memory[0].size != 0) {
    // rep stos: several steps may have passed before the processor stopped; each stored the same.
    out.offset %= memory[0].size;
    out.size = std::min<std::uint32_t>(out.size, memory[0].size - out.offset);
  }
  return out;
}

std::optional<ObjectBounds> object_at(const ProcessImage& image, const Moment& moment,
                                      Address address, const replay::LiveState& live) {
  const CachedMemory memory(live);
  ObjectBounds out;
  auto blocks = live.heap_blocks(address);
  if (blocks.ok()) {
    blocks = without_replaced(image, *std::move(blocks),
                              describe_location(image, moment, address, 1, memory));
  }
  if (blocks.ok() && !blocks->holding.empty()) {
    out.block = blocks->holding.front();
    out.range = out.block->range;
    out.location = describe_location(image, moment, out.range.start, out.range.size, memory);
    add_block(image, *blocks, out.location);
    return out;
  }
  out.location = describe_location(image, moment, address, 1, memory);
  const bool owned = out.location.region == report::RegionKind::stack ||
                     out.location.region == report::RegionKind::runtime_stack ||
                     out.location.region == report::RegionKind::global ||
                     out.location.region == report::RegionKind::tls;
  if (!owned || !out.location.owner || !out.location.owner->object ||
      !out.location.owner->object_size || *out.location.owner->object_size == 0) {
    return std::nullopt;
  }
  out.range = ByteRange{*out.location.owner->object, *out.location.owner->object_size};
  return out;
}

std::optional<ObjectBounds> array_left(const ProcessImage& image, const Moment& moment,
                                       Address first, Address other,
                                       const replay::LiveState& live) {
  constexpr std::uint64_t kFarthest = 1024;
  const CachedMemory memory(live);
  const auto array_at = [&](Address a) -> std::string {
    const report::Location place = describe_location(image, moment, a, 1, memory);
    if (!place.owner) return {};
    const std::size_t bracket = place.owner->member.rfind('[');
    // "values[3]" of a larger object; an array by itself is an object.
    if (bracket == std::string::npos || bracket == 0) return {};
    return place.owner->variable + "." + place.owner->member.substr(0, bracket);
  };
  const std::string name = array_at(first);
  if (name.empty() || array_at(other) == name || other <= first ||
      other.value - first.value > kFarthest) {
    return std::nullopt;
  }
  Address end = other;
  while (end > first && array_at(end - 1) != name) end = end - 1;
  ObjectBounds out;
  out.range = ByteRange{first, end.value - first.value};
  out.location = describe_location(image, moment, first, 1, memory);
  if (!out.location.owner || out.range.size == 0) return std::nullopt;
  out.location.owner->object = first;
  out.location.owner->object_size = out.range.size;
  return out;
}

namespace {

/// "variable.member" with all that the byte is in; empty if no variable is there.
std::string full_name(const ProcessImage& image, const Moment& moment, Address a,
                      const MemoryReader& memory) {
  const report::Location place = describe_location(image, moment, a, 1, memory);
  const bool named = place.owner && !place.owner->variable.empty();
  return named ? name_of(place) : std::string();
}

}  // namespace

bool fills_whole_parts(const ProcessImage& image, const Moment& moment, const ByteRange& range,
                       const replay::LiveState& live) {
  const CachedMemory memory(live);
  const auto name = [&](Address a) { return full_name(image, moment, a, memory); };
  return are_whole_parts(
      {name(range.start - 1), name(range.start), name(range.end() - 1), name(range.end())});
}

IntendedObject object_meant_at(const ProcessImage& image, const Moment& moment, Address pointer,
                               Address stored, const replay::LiveState& live) {
  IntendedObject out;
  out.object = object_at(image, moment, pointer, live);
  if (out.object && out.object->range.contains(stored)) {
    out.array = array_left(image, moment, pointer, stored, live);
  }
  return out;
}

replay::Probe Slot::probe() const {
  replay::Probe probe;
  probe.kind = replay::ProbeKind::write;
  probe.address = address;
  probe.size = static_cast<std::uint8_t>(size);
  probe.filter = replay::ValueFilter{value & mask_of(size), mask_of(size)};
  return probe;
}

WriterHit examine_write(const ProcessImage& image, const Slot& slot, replay::Mark mark,
                        const replay::Hit& hit, const replay::LiveState& live) {
  const CachedMemory memory(live);
  WriterHit out;
  out.hit = hit;
  out.moment.mark = std::move(mark);
  stand_at(image, hit.position, hit.registers, memory, out.moment);
  out.location = describe_location(image, out.moment, slot.address, slot.size, memory);
  if (auto blocks = live.heap_blocks(slot.address); blocks.ok()) {
    out.blocks = without_replaced(image, *std::move(blocks), out.location);
    add_block(image, *out.blocks, out.location);
  }
  if (slot.size == 8) {
    if (auto blocks = live.heap_blocks(Address{slot.value}); blocks.ok()) {
      out.value_blocks = *std::move(blocks);
    }
  }
  for (const auto& runtime : image.runtimes()) {
    out.value_meaning = runtime->describe_value(slot.value, memory);
    if (!out.value_meaning.empty()) break;
  }
  out.code = out.moment.frames.front().code;
  if (hit.kernel) return out;

  std::optional<Address> start;
  if (!out.code.function.empty()) start = out.code.function.start;
  auto candidates = x86::find_writer_before(memory, start, hit.registers, slot.range());
  if (candidates.empty()) {
    out.source.note = "no instruction before this one can have stored into the slot";
    return out;
  }
  out.writer = std::move(candidates.front());
  const Address pc = out.writer->instruction.address;
  out.frame = frame_of_writer(out.moment, pc);
  out.code = image.symbols().locate(pc);

  examine_pointer(image, slot, live, memory, out);

  out.source = find_source(image, out.moment,
                           {out.frame, pc, true, stored_bytes(*out.writer, slot)}, memory);
  if (out.source.kind == ValueSource::Kind::memory && out.source.address) {
    out.source_place =
        describe_source(image, out.moment, *out.source.address, out.source.size, memory);
  }
  return out;
}

SourcePlace describe_source(const ProcessImage& image, const Moment& moment, Address address,
                            std::uint64_t size, const MemoryReader& memory) {
  SourcePlace place;
  place.location = describe_location(image, moment, address, size, memory);
  place.name = short_name(image, moment, address, memory);
  if (const auto i = moment.frame_of(address)) {
    const WalkFrame& frame = moment.frames[*i];
    if (!frame.code.has_debug_info || !frame.code.no_debug_info.empty()) {
      place.no_debug_info =
          fmt::format("{} debug info for {} in {}: {}",
                      frame.code.has_debug_info ? "incomplete" : "no", frame.code.best_name(),
                      frame.code.module != nullptr ? frame.code.module->path : "unknown code",
                      frame.code.no_debug_info);
    }
    if (frame.frame.cfa && frame.code.entry) {
      place.activation = Activation{frame.code.entry, *frame.frame.cfa, moment.position.thread};
    }
  }
  return place;
}

namespace {

/// A search for the writer and the entry of the slot's owner is given up after so many hits, some
/// 14 s.
constexpr std::uint64_t kHotSearch = 400'000;

/// The search that `spec` describes: its first probe is the slot's, its second the owner's entry if
/// there is an owner.
Result<LastWriter> search(replay::Replay& replay, const ProcessImage& image, const Slot& slot,
                          replay::PassSpec spec, const std::optional<Activation>& owner,
                          const Moment* reader, report::Stats& stats) {
  WriterObserver observer(image, slot, spec.probes.front(), owner);
  observer.reader = reader;
  CULPRIT_ASSIGN(replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!observer.too_many) return outcome(observer, pass, std::move(observer.writer));

  // Too hot to walk the stack at each write: find the newest one's ordinal, then stop only there.
  spec.probes.front().live = false;
  spec.probes.front().keep_last = kKeptWrites;
  WriterObserver counting(image, slot, spec.probes.front(), owner);
  CULPRIT_ASSIGN(pass, replay.run(spec, counting));
  count(stats, pass);
  if (!counting.newest) return outcome(counting, pass, std::nullopt);
  replay::PassSpec again;
  again.end = hit_mark(spec.probes.front(), counting.newest->ordinal);
  again.deadline = spec.deadline;
  again.heap = spec.heap;
  OneWriterObserver one(image, slot, again.end, *counting.newest);
  CULPRIT_ASSIGN(const replay::PassResult last, replay.run(again, one));
  count(stats, last);
  return outcome(counting, pass, std::move(one.writer));
}

}  // namespace

Result<LastWriter> find_last_writer(replay::Replay& replay, const ProcessImage& image,
                                    const Slot& slot, const replay::Mark& before,
                                    const std::optional<Activation>& owner, bool with_heap,
                                    std::chrono::milliseconds deadline, report::Stats& stats,
                                    const Moment* reader) {
  replay::PassSpec spec;
  spec.probes.push_back(slot.probe());
  spec.probes.front().live = true;
  spec.probes.front().process = image.process();
  spec.end = before;
  spec.deadline = deadline;
  if (with_heap && image.heap() != nullptr) spec.heap = *image.heap();
  if (owner) {
    replay::PassSpec both = spec;
    both.probes.push_back(execution_of(owner->entry, image, owner->thread));
    both.probes.back().keep_last = kKeptEntries;
    both.stop_budget = kHotSearch;
    const auto started = std::chrono::steady_clock::now();
    auto found = search(replay, image, slot, std::move(both), owner, reader, stats);
    const bool too_hot = !found.ok() && found.error().code == ErrorCode::bad_input;
    if (!too_hot && (found.ok() || found.error().code != ErrorCode::usage)) return found;
    // The owner's function is called all the time, or the slot is written all the time, or there is
    // no debug register left for it. Who wrote it is worth more than whether that was before the
    // owner's entry.
    if (too_hot) stats.passes += 1;
    spec.deadline -= std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - started);
  }
  return search(replay, image, slot, std::move(spec), std::nullopt, reader, stats);
}

}  // namespace culprit::provenance
