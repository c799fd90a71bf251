#include "provenance/crash_scene.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include "provenance/cached_memory.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/source_passes.h"

namespace culprit::provenance {
namespace {

/// The bytes of a range of at most eight, little endian; nothing if one cannot be read.
std::optional<std::uint64_t> read_number(const MemoryReader& memory, ByteRange range) {
  std::uint64_t value = 0;
  const std::span bytes(reinterpret_cast<std::byte*>(&value), sizeof value);
  if (range.size == 0 || range.size > bytes.size()) return std::nullopt;
  const auto size = static_cast<std::size_t>(range.size);
  if (memory.read(range.start, bytes.first(size)) != size) return std::nullopt;
  return value;
}

bool canonical(Address a) {
  const std::uint64_t top = a.value >> 47;
  return top == 0 || top == 0x1ffff;
}

/// Would this access fault with the mappings of the crash?
bool would_fault(const ProcessImage& image, Address a, bool write, bool execute) {
  if (!canonical(a)) return true;
  const replay::Mapping* m = image.mapping_of(a);
  if (m == nullptr) return true;
  return (write && !m->writable) || (execute && !m->executable) ||
         (!write && !execute && !m->readable);
}

/// Which register of an operand made the address bad: the base, unless only an index is there, or the
/// base alone is a good address.
std::optional<Gpr> bad_register(const ProcessImage& image, const x86::MemOperand& operand,
                                const Registers& registers) {
  if (!operand.base || !operand.index) return operand.base ? operand.base : operand.index;
  if (operand.scale == 1 && image.is_mapped(Address{registers[*operand.index]})) return operand.base;
  if (image.is_mapped(Address{registers[*operand.base]})) return operand.index;
  // [a + b]: the larger one is the pointer.
  return operand.scale == 1 && registers[*operand.index] > registers[*operand.base] ? operand.index
                                                                                    : operand.base;
}

std::optional<FaultingAccess> find_fault(const ProcessImage& image, const Registers& registers,
                                         const MemoryReader& memory) {
  FaultingAccess fault;
  const auto instruction = x86::decode_at(memory, registers.pc());
  if (!instruction.ok() || would_fault(image, registers.pc(), false, true)) {
    fault.address = registers.pc();
    fault.pointer_value = registers.rip;
    fault.execute = true;
    return fault;
  }
  fault.instruction = *instruction;
  if (instruction->flow == x86::Flow::ret) {
    // A return address that is no address at all faults before the jump.
    const auto target = memory.read_u64(registers.sp());
    if (!target || canonical(Address{*target})) return std::nullopt;
    fault.address = Address{*target};
    fault.pointer_value = *target;
    fault.execute = true;
    return fault;
  }
  for (const x86::MemOperand& operand : instruction->memory) {
    const auto address = x86::effective_address(operand, registers);
    if (!address || !would_fault(image, *address, operand.written, false)) continue;
    fault.address = *address;
    fault.write = operand.written;
    fault.pointer = bad_register(image, operand, registers);
    fault.index = fault.pointer && operand.base && fault.pointer != operand.base &&
                  image.is_mapped(Address{registers[*operand.base]});
    fault.index |= fault.pointer && !operand.base && image.is_mapped(Address{
                                                       static_cast<std::uint64_t>(operand.disp)});
    fault.pointer_value = fault.pointer ? registers[*fault.pointer] : address->value;
    if (operand.base && operand.index && operand.scale == 1 &&
        registers[*operand.base] == registers[*operand.index]) {
      fault.twin = fault.pointer == operand.base ? operand.index : operand.base;
    }
    return fault;
  }
  return std::nullopt;
}

/// Where the target of a call or jump to a bad address came from: the call instruction's operand in the
/// frame that the pushed return address names.
std::optional<ValueQuestion> question_of_bad_target(const Moment& moment, const MemoryReader& memory) {
  if (moment.frames.size() < 2) return std::nullopt;
  const auto call = call_before(moment.frames[1], memory);
  if (!call || call->flow != x86::Flow::indirect_call) return std::nullopt;
  for (const x86::MemOperand& operand : call->memory) {
    if (!operand.read) continue;
    Registers before = moment.frames[1].frame.registers.values;
    if (const auto address = x86::effective_address(operand, before)) {
      return ValueQuestion{1, call->address, false, ByteRange{*address, 8}};
    }
  }
  for (const x86::RegisterBytes& reg : call->reads) {
    if (reg.cls == x86::RegisterClass::gpr && reg.number != static_cast<std::uint8_t>(Gpr::rsp)) {
      return ValueQuestion{1, call->address, false, reg};
    }
  }
  return std::nullopt;
}

/// Where the return address was that led to the bad target: it has just been popped, or is about to be.
std::optional<Slot> return_slot(const Moment& moment, std::uint64_t target, const MemoryReader& memory) {
  const Address sp = moment.registers.sp();
  for (const Address at : {sp - 8, sp}) {
    if (memory.read_u64(at) == target) return Slot{at, 8, target};
  }
  return std::nullopt;
}

/// The instruction that a thread was stopped by, if it is made for that (ud2, int3): compilers put them where
/// a check has failed.
std::optional<Address> trap_at(const Registers& registers, const MemoryReader& memory) {
  for (const std::int64_t behind : {1, 0}) {  // int3 is reported behind it
    const Address at = registers.pc() - behind;
    const auto instruction = x86::decode_at(memory, at);
    if (instruction.ok() && instruction->flow == x86::Flow::stop &&
        (behind == 0 || instruction->bytes[0] == std::byte{0xcc})) {
      return at;
    }
  }
  return std::nullopt;
}

class CrashObserver : public replay::PassObserver {
 public:
  CrashObserver(ProcessImage& image, const replay::CrashCandidate& candidate, const SlotName& named)
      : image_(image), candidate_(candidate), named_(named) {}

  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    image_.verify(memory);
    scene.moment.mark = candidate_.mark;
    stand_at(image_, at, registers, memory, scene.moment);
    scene.stack = StackCopy(scene.moment, memory);
    look_at_named(memory);
    check_heap(live);
    const auto trap = candidate_.deterministic ? trap_at(registers, memory) : std::nullopt;
    if (trap || !candidate_.deterministic) {
      scene.check = find_failed_check(image_, scene.moment, trap, memory);
    }
    if (!candidate_.deterministic) {
      scene.abort = look_at_abort(image_, scene.moment, live);
      return;
    }
    scene.fault = find_fault(image_, registers, memory);
    if (!scene.fault) return;
    std::optional<ValueQuestion> question;
    if (scene.fault->execute) {
      question = question_of_bad_target(scene.moment, memory);
      if (!question) scene.return_slot = return_slot(scene.moment, scene.fault->pointer_value, memory);
      if (scene.return_slot) {
        scene.fault_place = describe_source(image_, scene.moment, scene.return_slot->address, 8, memory);
      }
    } else if (scene.fault->pointer) {
      question = ValueQuestion{0, registers.pc(), false, x86::whole(*scene.fault->pointer)};
    }
    if (!question) return;
    scene.fault_source = find_source(image_, scene.moment, *question, memory);
    if (scene.fault->twin && scene.fault_source->kind == ValueSource::Kind::arithmetic) {
      // [a + b] with both zero: an offset is computed, a pointer is not.
      question->asked = x86::whole(*scene.fault->twin);
      ValueSource other = find_source(image_, scene.moment, *question, memory);
      if (other.kind != ValueSource::Kind::arithmetic) {
        scene.fault->pointer = scene.fault->twin;
        scene.fault_source = std::move(other);
      }
    }
    if (scene.fault_source->kind == ValueSource::Kind::memory && scene.fault_source->address) {
      scene.fault_place = describe_source(image_, scene.moment, *scene.fault_source->address,
                                          scene.fault_source->size, memory);
    }
  }

  CrashScene scene;

 private:
  void look_at_named(const MemoryReader& memory) {
    if (named_.address) {
      scene.named_address = *named_.address;
    } else if (!named_.expression.empty()) {
      const auto place = place_named(image_, scene.moment, named_.expression, memory);
      if (!place.ok()) {
        scene.named_trouble = place.error().message;
        return;
      }
      scene.named_address = place->address;
      if (place->size >= 1 && place->size <= 8)
        scene.named_size = static_cast<std::uint32_t>(place->size);
    } else {
      return;
    }
    if (named_.size != 0) scene.named_size = named_.size;
    scene.named_place =
        describe_source(image_, scene.moment, scene.named_address, scene.named_size, memory);
    if (!named_.expression.empty() && !scene.named_place->location.owner) {
      // The program's own word for memory that has no other name.
      scene.named_place->location.description = named_.expression;
      scene.named_place->name = named_.expression;
    }
    scene.named_value = read_number(memory, ByteRange{scene.named_address, scene.named_size});
  }

  /// A program that allocates all the time is too slow to follow.
  void check_heap(const replay::LiveState& live) {
    if (image_.heap() == nullptr) return;
    const auto blocks = live.heap_blocks(Address{0});
    if (!blocks.ok()) return image_.forget_heap();
    if (!blocks->complete) {
      image_.give_up_heap(fmt::format(
          "the program makes more than {} calls of its allocator: heap blocks were not followed",
          image_.heap()->max_calls));
    }
  }

  ProcessImage& image_;
  const replay::CrashCandidate& candidate_;
  const SlotName& named_;
};

/// How many frames are looked at, innermost first, for the value's way in.
constexpr std::size_t kMaxReportingFrames = 24;
/// Execute probes of one pass; the end mark may need one debug register of its own.
constexpr std::size_t kProbesPerPass = 3;

std::optional<Gpr> register_with(const Registers& registers, std::uint64_t value) {
  // Argument registers first, in the order of the two conventions (System V; Go's ABIInternal).
  constexpr std::array<Gpr, 14> kOrder = {Gpr::rdi, Gpr::rsi, Gpr::rax, Gpr::rbx, Gpr::rdx,
                                          Gpr::rcx, Gpr::r8,  Gpr::r9,  Gpr::r10, Gpr::r11,
                                          Gpr::r12, Gpr::r13, Gpr::r15, Gpr::rbp};
  for (const Gpr r : kOrder) {
    if (registers[r] == value) return r;
  }
  return std::nullopt;
}

/// The frames to look at, innermost first: from the callee of the frame that the crash report names, or
/// from the innermost one. Frames whose entry or CFA is not known are left out.
std::vector<std::size_t> reporting_frames(const std::vector<WalkFrame>& frames,
                                          std::string_view reporting) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < frames.size() && !reporting.empty(); ++i) {
    if (frames[i].code.best_name() == reporting || frames[i].code.symbol == reporting) {
      begin = i > 0 ? i - 1 : 0;
      break;
    }
  }
  std::vector<std::size_t> out;
  const std::size_t end = std::min(frames.size(), begin + kMaxReportingFrames);
  for (std::size_t i = begin; i < end; ++i) {
    if (frames[i].code.entry && frames[i].frame.cfa) out.push_back(i);
  }
  return out;
}

/// Finds the frames that were entered with a value, and asks where the call that entered the outermost of
/// them got it from.
class ArgumentObserver : public replay::PassObserver {
 public:
  ArgumentObserver(const ProcessImage& image, const Moment& moment, std::vector<std::size_t> frames,
                   std::uint64_t value)
      : image_(image), moment_(moment), frames_(std::move(frames)), value_(value) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (hit.probe >= frames_.size()) return replay::Next::go_on;
    const WalkFrame& frame = moment_.frames[frames_[hit.probe]];
    if (hit.registers.sp() == *frame.frame.cfa - 8) {
      registers_[hit.probe] = register_with(hit.registers, value_);
    }
    return replay::Next::go_on;
  }

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    std::optional<Gpr> reg;
    for (std::size_t k = 0; k < frames_.size(); ++k) {
      if (registers_[k]) {
        entered = frames_[k];
        reg = registers_[k];
      } else if (entered) {
        bounded = true;  // the next frame out did not get the value: its own code loaded it
        break;
      }
    }
    if (!entered || *entered + 1 >= moment_.frames.size()) return;
    const CachedMemory memory(live);
    const auto call = call_before(moment_.frames[*entered + 1], memory);
    if (!call) return;
    source = find_source(image_, moment_, {*entered + 1, call->address, false, x86::whole(*reg)},
                         memory);
    if (source->kind == ValueSource::Kind::memory && source->address) {
      place = describe_source(image_, moment_, *source->address, source->size, memory);
    }
  }

  std::optional<std::size_t> entered;  ///< index of the outermost frame entered with the value
  bool bounded = false;
  std::optional<ValueSource> source;
  std::optional<SourcePlace> place;

 private:
  const ProcessImage& image_;
  const Moment& moment_;
  std::vector<std::size_t> frames_;
  std::uint64_t value_;
  std::array<std::optional<Gpr>, kProbesPerPass> registers_;
};

}  // namespace

Result<CrashScene> visit_crash(replay::Replay& replay, ProcessImage& image,
                               const replay::CrashCandidate& candidate, const SlotName& named,
                               std::chrono::milliseconds deadline, report::Stats& stats) {
  replay::PassSpec spec;
  spec.end = candidate.mark;
  spec.deadline = deadline;
  if (image.heap() != nullptr) spec.heap = *image.heap();
  CrashObserver observer(image, candidate, named);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!pass.end_reached || observer.scene.moment.frames.empty()) {
    return Error{ErrorCode::replay_failed,
                 "the replay ended before the crash that the trace records; record it again"};
  }
  return std::move(observer.scene);
}

Result<std::optional<SlotCandidate>> slot_from_arguments(
    replay::Replay& replay, const ProcessImage& image, const CrashScene& scene, std::uint64_t value,
    std::string_view reporting, std::chrono::milliseconds deadline, report::Stats& stats) {
  const std::vector<WalkFrame>& frames = scene.moment.frames;
  const std::vector<std::size_t> candidates = reporting_frames(frames, reporting);
  std::optional<std::size_t> entered;
  std::optional<ValueSource> source;
  std::optional<SourcePlace> place;
  for (std::size_t first = 0; first < candidates.size(); first += kProbesPerPass) {
    const std::size_t n = std::min(kProbesPerPass, candidates.size() - first);
    std::vector<std::size_t> group(candidates.begin() + static_cast<std::ptrdiff_t>(first),
                                   candidates.begin() + static_cast<std::ptrdiff_t>(first + n));
    replay::PassSpec spec;
    for (const std::size_t i : group) {
      spec.probes.push_back(
          execution_of(frames[i].code.entry, image, scene.moment.position.thread));
      spec.probes.back().keep_last = 16;
    }
    spec.end = scene.moment.mark;
    spec.deadline = deadline;
    ArgumentObserver observer(image, scene.moment, std::move(group), value);
    CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
    count(stats, pass);
    if (observer.entered) {
      entered = observer.entered;
      source = std::move(observer.source);
      place = std::move(observer.place);
    }
    if (observer.bounded || (entered && !observer.entered)) break;
  }
  if (!entered || !source) return std::optional<SlotCandidate>{};

  ResolvedSource resolved{*source, place};
  if (resolved.source.kind == ValueSource::Kind::load) {
    CULPRIT_ASSIGN(resolved, resolve_load(replay, image, scene.moment, *source, deadline, stats));
  }
  if (resolved.source.kind != ValueSource::Kind::memory || !resolved.source.address) {
    return std::optional<SlotCandidate>{};
  }
  SlotCandidate candidate;
  candidate.slot = Slot{*resolved.source.address, std::min<std::uint32_t>(resolved.source.size, 8),
                        value};
  if (resolved.place) candidate.place = *resolved.place;
  candidate.confidence = resolved.source.certainty == Certainty::proved ? report::Confidence::proved
                                                                        : report::Confidence::likely;
  const binary::CodeLocation loader = image.symbols().locate(resolved.source.pc);
  const std::string_view file = loader.frames.empty() ? std::string_view{}
                                                      : std::string_view(loader.frames[0].position.file);
  const std::size_t slash = file.rfind('/');
  candidate.how = fmt::format(
      "{} loaded it from there ({}, {}:{}) and passed it to {}", loader.best_name(),
      resolved.source.instruction, slash == std::string_view::npos ? file : file.substr(slash + 1),
      loader.frames.empty() ? 0 : loader.frames[0].position.line,
      frames[*entered].code.best_name());
  return std::optional<SlotCandidate>{std::move(candidate)};
}

namespace {

/// Scans writable private memory for a value while the replay stands at the crash.
class SearchObserver : public replay::PassObserver {
 public:
  SearchObserver(const ProcessImage& image, const CrashScene& scene, std::uint64_t value)
      : image_(image), scene_(scene), value_(value) {}

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    constexpr std::uint64_t kChunk = 1 << 20;
    constexpr std::uint64_t kMaxScanned = std::uint64_t{4} << 30;
    constexpr std::size_t kMaxFound = 256;
    std::vector<std::uint64_t> chunk(kChunk / 8);
    std::uint64_t scanned = 0;
    std::vector<Address> found;
    for (const replay::Mapping& m : image_.mappings()) {
      if (!m.writable || m.kind == replay::MappingKind::recorder) continue;
      for (std::uint64_t at = 0; at < m.range.size && scanned < kMaxScanned; at += kChunk) {
        const auto n = static_cast<std::size_t>(std::min(kChunk, m.range.size - at));
        auto bytes = std::as_writable_bytes(std::span(chunk)).first(n);
        const std::size_t got = live.read(Address{m.range.start.value + at}, bytes);
        scanned += n;
        for (std::size_t i = 0; i < got / 8 && found.size() < kMaxFound; ++i) {
          if (chunk[i] == value_) found.push_back(Address{m.range.start.value + at + 8 * i});
        }
      }
    }
    const CachedMemory memory(live);
    for (const Address a : found) {
      SlotCandidate candidate;
      candidate.slot = Slot{a, 8, value_};
      candidate.place = describe_source(image_, scene_.moment, a, 8, memory);
      candidate.how = fmt::format("found by searching memory at the crash for the value ({} place{})",
                                  found.size(), found.size() == 1 ? "" : "s");
      candidate.confidence = report::Confidence::likely;
      candidates.push_back(std::move(candidate));
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
      return rank(a.place.location) < rank(b.place.location);
    });
    constexpr std::size_t kKept = 16;
    if (candidates.size() > kKept) candidates.resize(kKept);
  }

  std::vector<SlotCandidate> candidates;

 private:
  static int rank(const report::Location& location) {
    // The stack of the reporting code holds copies of the value; the slot it came from does not lie there.
    switch (location.region) {
      case report::RegionKind::runtime_object: return 0;
      case report::RegionKind::heap: return 1;
      case report::RegionKind::global: return 2;
      case report::RegionKind::mapping: return 3;
      case report::RegionKind::runtime_stack: return 4;
      case report::RegionKind::stack: return location.owner && !location.owner->variable.empty() ? 5 : 6;
      default: return 7;
    }
  }

  const ProcessImage& image_;
  const CrashScene& scene_;
  std::uint64_t value_;
};

}  // namespace

Result<std::vector<SlotCandidate>> slots_by_search(replay::Replay& replay, const ProcessImage& image,
                                                   const CrashScene& scene, std::uint64_t value,
                                                   std::chrono::milliseconds deadline,
                                                   report::Stats& stats) {
  SearchObserver observer(image, scene, value);
  replay::PassSpec spec;
  spec.end = scene.moment.mark;
  spec.deadline = deadline;
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  return std::move(observer.candidates);
}

}  // namespace culprit::provenance
