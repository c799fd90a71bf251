#include "provenance/hops.h"

#include <fmt/format.h>
#include <sys/syscall.h>

#include <algorithm>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/heap.h"
#include "provenance/naming.h"
#include "replay/forward_replay.h"
#include "report/program_code.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

std::string display(const report::Writer& w) {
  const std::string& name = w.demangled.empty() ? w.function : w.demangled;
  if (!name.empty()) return name;
  return w.pc ? to_hex(*w.pc) : "unknown code";
}

report::Confidence from(Certainty certainty) {
  return certainty == Certainty::proved ? report::Confidence::proved : report::Confidence::likely;
}

std::string kernel_name(const replay::Hit::Kernel& kernel) {
  const std::string_view name = syscall_name(kernel.syscall);
  return name.empty() ? fmt::format("system call {}", kernel.syscall) : std::string(name);
}

report::Syscall report_syscall(const replay::Hit::Kernel& kernel) {
  report::Syscall out;
  out.number = kernel.syscall;
  out.name = kernel_name(kernel);
  out.arguments.assign(kernel.arguments.begin(), kernel.arguments.end());
  out.result = kernel.result;
  return out;
}

std::string source_words(const ValueSource& source, const std::optional<SourcePlace>& place) {
  switch (source.kind) {
    case ValueSource::Kind::memory:
    case ValueSource::Kind::load:
      if (place && !place->name.empty()) return place->name;
      return source.address ? to_hex(*source.address) : "memory";
    case ValueSource::Kind::immediate:
      return "a constant in the code";
    case ValueSource::Kind::zero:
      return "zero";
    case ValueSource::Kind::address:
      return "an address taken here";
    case ValueSource::Kind::arithmetic:
      return place && !place->name.empty() ? "computed from " + place->name : "computed here";
    case ValueSource::Kind::system_call:
      return "the kernel";
    case ValueSource::Kind::register_:
      return source.reg ? "register " + x86::to_string(*source.reg) : "a register";
    case ValueSource::Kind::unknown:
      break;
  }
  return "unknown";
}

}  // namespace

bool in_write_barrier_buffer(const report::Location& location) {
  return location.region == report::RegionKind::runtime_object && location.owner &&
         location.owner->member.starts_with("wbBuf.buf");
}

report::Source report_source(const ValueSource& source, const std::optional<SourcePlace>& place,
                             std::uint64_t value) {
  report::Source out;
  out.size = source.size;
  out.pc = source.pc ? std::optional(source.pc) : std::nullopt;
  out.instruction = source.instruction;
  out.description = source_words(source, place);
  switch (source.kind) {
    case ValueSource::Kind::memory:
    case ValueSource::Kind::load:
      out.kind = report::SourceKind::memory;
      out.address = source.address;
      out.value = value;
      break;
    case ValueSource::Kind::immediate:
      out.kind = report::SourceKind::immediate;
      out.value = source.constant;
      break;
    case ValueSource::Kind::zero:
      out.kind = report::SourceKind::zero;
      break;
    case ValueSource::Kind::address:
      out.kind = report::SourceKind::address;
      out.value = value;
      break;
    case ValueSource::Kind::arithmetic:
      out.kind = report::SourceKind::arithmetic;
      out.address = source.address;
      out.value = source.value;
      break;
    case ValueSource::Kind::system_call:
      out.kind = report::SourceKind::syscall;
      break;
    case ValueSource::Kind::register_:
      out.kind = report::SourceKind::register_;
      if (source.reg) out.register_name = x86::to_string(*source.reg);
      break;
    case ValueSource::Kind::unknown:
      out.kind = report::SourceKind::unknown;
      break;
  }
  return out;
}

std::vector<report::Source> report_inputs(const ValueSource& source) {
  std::vector<report::Source> out;
  for (const ComputedInput& input : source.inputs) {
    report::Source one;
    one.kind = input.constant ? report::SourceKind::immediate : report::SourceKind::register_;
    one.value = input.value;
    one.size = 8;
    one.pc = input.pc;
    one.instruction = input.instruction;
    one.register_name = input.constant ? std::string() : input.name;
    one.description = input.constant ? "a constant in the code" : input.name;
    one.followed = input.followed;
    out.push_back(std::move(one));
  }
  return out;
}

namespace {

/// The program's own code among the callers of an allocator: past the allocator itself and the
/// headers of the language's library, which only hand the call on.
report::Writer program_code(const ProcessImage& image, const std::vector<report::Frame>& frames) {
  const report::Frame* chosen = nullptr;
  for (std::size_t i = 1; i < frames.size() && chosen == nullptr; ++i) {
    const report::Frame& f = frames[i];
    if (!report::is_program_code(f.file)) continue;
    chosen = &f;
  }
  if (chosen == nullptr && frames.size() > 1) chosen = &frames[1];
  report::Writer out;
  if (chosen == nullptr) return out;
  out.function = chosen->function;
  out.demangled = chosen->demangled;
  out.file = chosen->file;
  out.line = chosen->line;
  out.column = chosen->column;
  out.module = chosen->module;
  out.module_offset = chosen->module_offset;
  out.pc = chosen->pc;
  if (out.line != 0) {
    if (auto text = image.sources().line(out.file, out.line)) out.source_line = *std::move(text);
  }
  return out;
}

}  // namespace

report::Hop crash_hop(const ProcessImage& image, const CrashScene& scene,
                      std::string_view reporting, const Slot* slot,
                      const report::Location* location, const RevisitStyle& style) {
  report::Hop hop;
  hop.kind = report::HopKind::crash_report;
  hop.confidence = report::Confidence::proved;
  hop.position = report_position(image, scene.moment.position, &scene.moment.mark);
  std::size_t noticed = 0;
  for (std::size_t i = 0; i < scene.moment.frames.size(); ++i) {
    const binary::CodeLocation& code = scene.moment.frames[i].code;
    if (!reporting.empty() && (code.best_name() == reporting || code.symbol == reporting)) {
      noticed = i;
      break;
    }
  }
  // A program that the allocator or the stack protector stopped: what called that.
  const bool stopped =
      scene.abort && reporting.empty() && scene.abort->frame < scene.moment.frames.size();
  if (stopped) {
    const bool called = scene.abort->kind != AbortScene::Kind::stack_protector;
    noticed = std::min(scene.abort->frame + (called ? 1 : 0), scene.moment.frames.size() - 1);
  }
  // From the frame that noticed; Crash::frames has the reporting machinery inside it too.
  hop.backtrace =
      report_frames(image, {scene.moment.frames.begin() + static_cast<std::ptrdiff_t>(noticed),
                            scene.moment.frames.end()});
  if (!scene.moment.frames.empty()) {
    const bool at_fault = scene.fault && noticed == 0 && !scene.fault->execute;
    hop.writer = report_writer(image, scene.moment.frames[noticed].code,
                               at_fault ? &scene.fault->instruction : nullptr);
  }
  if (stopped && noticed > 0) {
    const report::Writer program = program_code(
        image, report_frames(
                   image, {scene.moment.frames.begin() + static_cast<std::ptrdiff_t>(noticed - 1),
                           scene.moment.frames.end()}));
    if (!program.function.empty()) hop.writer = program;
  }
  if (slot != nullptr) hop.value_after = slot->value;
  if (location != nullptr) hop.location = *location;
  if (scene.fault && slot == nullptr) hop.value_after = scene.fault->pointer_value;
  const std::string where = location != nullptr ? name_of(*location) : std::string();
  if (scene.fault) {
    hop.summary = fmt::format("{} {} {}", display(hop.writer),
                              scene.fault->execute ? "jumped to"
                              : scene.fault->write ? "wrote to"
                                                   : "read from",
                              to_hex(scene.fault->address));
    if (!where.empty()) hop.summary += fmt::format(" through the pointer in {}", where);
  } else {
    hop.summary = where.empty()
                      ? fmt::format("{} noticed the bad value", display(hop.writer))
                      : fmt::format("{} found the bad value in {}", display(hop.writer), where);
  }
  hop.revisit = revisit_crash(image.index(), scene.moment, noticed, slot, style);
  return hop;
}

report::HopKind kind_of_write(const ProcessImage& image, const replay::Hit& hit) {
  if (!hit.kernel) return report::HopKind::store;
  if (hit.kernel->syscall == replay::kNoSyscall) {
    return hit.kernel->arguments[0] != 0 ? report::HopKind::kernel_write : report::HopKind::channel;
  }
  if (hit.kernel->remapped) return report::HopKind::remap;
  return hit.position.process == image.process() ? report::HopKind::kernel_write
                                                 : report::HopKind::foreign_write;
}

std::optional<report::Syscall> syscall_of(const replay::Hit::Kernel& kernel) {
  if (kernel.syscall == replay::kNoSyscall) return std::nullopt;
  return report_syscall(kernel);
}

bool took_away(const replay::Hit::Kernel& kernel, Address address) {
  const ByteRange old{Address{kernel.arguments[0]}, kernel.arguments[1]};
  if (!kernel.remapped) return false;
  if (kernel.syscall == SYS_munmap) return true;
  const ByteRange moved{Address{static_cast<std::uint64_t>(kernel.result)}, kernel.arguments[2]};
  return kernel.syscall == SYS_mremap && old.contains(address) && !moved.contains(address);
}

report::Hop writer_hop(const ProcessImage& image, const WriterHit& writer, const Slot& slot,
                       const ValueSource& source, const std::optional<SourcePlace>& place,
                       const RevisitStyle& style) {
  report::Hop hop;
  hop.position = report_position(image, writer.moment.position, &writer.moment.mark);
  hop.location = writer.location;
  hop.value_after = slot.value;
  if (writer.hit.before_known) hop.value_before = writer.hit.value_before;
  hop.backtrace = report_frames(image, writer.moment.frames);
  hop.writer =
      report_writer(image, writer.code, writer.writer ? &writer.writer->instruction : nullptr);
  const std::string name = name_of(writer.location);

  if (writer.hit.kernel) {
    const replay::Hit::Kernel& kernel = *writer.hit.kernel;
    hop.kind = kind_of_write(image, writer.hit);
    hop.syscall = syscall_of(kernel);
    hop.confidence = report::Confidence::proved;
    hop.note = "no instruction made this change: the bytes differ before and after the system call";
    if (hop.kind == report::HopKind::channel) {
      hop.confidence = report::Confidence::likely;
      const ProcessId ran = writer.moment.position.process;
      hop.summary =
          ran == image.process()
              ? fmt::format("{} changed to {} while other processes ran that share it", name,
                            to_hex(slot.value))
              : fmt::format("{} changed to {} while process {} ran: memory that the two share", name,
                            to_hex(slot.value), ran.value);
      hop.note = "no instruction and no system call of this process made the change";
    } else if (!hop.syscall) {
      hop.summary = fmt::format("the kernel wrote the frame of the handler of signal {} over {}",
                                kernel.arguments[0], name);
      hop.note = "no instruction made this change: the kernel did, when it delivered the signal";
    } else if (took_away(kernel, slot.address)) {
      hop.value_after.reset();
      hop.summary = fmt::format("{} took the memory at {} away", hop.syscall->name, name);
      hop.note = "nothing is mapped there after the system call";
    } else if (hop.kind == report::HopKind::remap) {
      hop.summary = fmt::format("{} {} the memory at {}", hop.syscall->name,
                                writer.hit.before_known ? "replaced" : "mapped", name);
    } else if (hop.kind == report::HopKind::foreign_write) {
      hop.summary = fmt::format("process {} wrote {} into {} of process {} ({})",
                                writer.moment.position.process.value, to_hex(slot.value), name,
                                image.process().value, hop.syscall->name);
    } else {
      hop.summary = fmt::format("the kernel wrote {} into {} ({})", to_hex(slot.value), name,
                                hop.syscall->name);
    }
    hop.revisit = revisit_kernel_write(image.index(), writer.moment.position, slot, style);
    return hop;
  }

  hop.kind = in_write_barrier_buffer(writer.location) ? report::HopKind::runtime_store
                                                      : report::HopKind::store;
  hop.source = report_source(source, place, slot.value);
  hop.inputs = report_inputs(source);
  const bool known = writer.writer.has_value();
  const bool exact = known && writer.writer->confidence == x86::WriterConfidence::proved;
  hop.confidence = !known  ? report::Confidence::unknown
                   : exact ? from(source.certainty)
                           : report::Confidence::likely;
  if (source.kind == ValueSource::Kind::unknown || source.kind == ValueSource::Kind::load) {
    hop.confidence = std::max(hop.confidence, report::Confidence::likely);
  }

  if (hop.kind == report::HopKind::runtime_store) {
    hop.summary = source.kind == ValueSource::Kind::memory
                      ? fmt::format("{} recorded the old contents of {} for the garbage collector",
                                    display(hop.writer), source_words(source, place))
                      : fmt::format("{} recorded a new pointer ({}) for the garbage collector",
                                    display(hop.writer), source_words(source, place));
  } else {
    hop.summary = fmt::format("{} stored {} into {}, from {}", display(hop.writer),
                              to_hex(slot.value), name, source_words(source, place));
  }
  if (!writer.value_meaning.empty()) {
    hop.summary += fmt::format("; it was {} then", writer.value_meaning);
  }
  if (known && *writer.writer->note != '\0') hop.note = writer.writer->note;
  if (!source.note.empty() && source.certainty != Certainty::proved) {
    if (!hop.note.empty()) hop.note += "; ";
    hop.note += source.note;
  }
  if (hop.note.empty() && exact) {
    hop.note = fmt::format("the instruction's own operand covers the slot, which held {} after it",
                           to_hex(slot.value));
  }
  hop.revisit = revisit_store(image.index(), writer, slot, style);
  return hop;
}

report::Hop origin_hop(const ProcessImage& image, const ValueSource& source,
                       const std::vector<WalkFrame>& frames, std::uint64_t value,
                       const report::Hop& writer) {
  report::Hop hop;
  hop.kind = report::HopKind::origin;
  hop.position = writer.position;
  hop.position.probe.reset();
  hop.writer = report_writer(image, image.symbols().locate(source.pc), nullptr);
  hop.writer.instruction = source.instruction;
  hop.backtrace = report_frames(image, frames);
  hop.value_after = value;
  hop.source = report_source(source, std::nullopt, value);
  hop.inputs = report_inputs(source);
  hop.confidence = from(source.certainty);
  hop.summary = fmt::format("{} made the value {} ({})", display(hop.writer), to_hex(value),
                            source_words(source, std::nullopt));
  hop.note = "found by slicing back over the executed instructions";
  return hop;
}

report::Hop asked_size_hop(const ProcessImage& image, const std::vector<WalkFrame>& frames,
                           std::string_view function, std::uint64_t size, const report::Hop& user) {
  report::Hop hop;
  hop.kind = report::HopKind::register_slice;
  hop.position = user.position;
  hop.position.probe.reset();
  hop.backtrace = report_frames(image, frames);
  hop.writer = program_code(image, hop.backtrace);
  hop.value_after = size;
  hop.source.emplace();
  hop.source->kind = report::SourceKind::register_;
  hop.source->value = size;
  hop.source->description = report::kAskedSize;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("{} asked {} for {} bytes", display(hop.writer), function, size);
  hop.note = "the argument, as the step window shows it at the call";
  return hop;
}

report::Hop told_length_hop(const ProcessImage& image, const std::vector<WalkFrame>& frames,
                            std::uint64_t length, const report::Hop& store) {
  report::Hop hop = asked_size_hop(image, frames, {}, length, store);
  hop.source->description = report::kToldLength;
  hop.summary = fmt::format("{} called {} for {} bytes", display(hop.writer),
                            frames.front().code.best_name(), length);
  hop.note = "the argument, as it was at the call";
  return hop;
}

report::Hop long_jump_hop(const ProcessImage& image, const LongJump& jump, Address local) {
  report::Hop hop;
  hop.kind = report::HopKind::release;
  hop.position = report_position(image, jump.moment.position, nullptr);
  hop.backtrace = report_frames(image, jump.moment.frames);
  hop.writer = program_code(image, hop.backtrace);
  hop.location.emplace();
  hop.location->address = local;
  hop.location->size = 1;
  hop.location->region = report::RegionKind::stack;
  hop.value_after = local.value;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("{} jumped out of the frame that {} was in (longjmp)", display(hop.writer),
                            to_hex(local));
  hop.note = fmt::format("seen at the entry of longjmp: its jmp_buf holds the stack pointer {}",
                         to_hex(jump.target));
  return hop;
}

report::Hop left_frame_hop(const ProcessImage& image, const std::vector<WalkFrame>& left,
                           std::uint64_t value, const report::Hop& user) {
  report::Hop hop;
  hop.kind = report::HopKind::register_slice;
  hop.position = user.position;
  hop.position.probe.reset();
  hop.writer = report_writer(image, left.front().code, nullptr);
  hop.backtrace = report_frames(image, left);
  hop.value_after = value;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("{}, the address of a local of {}, left that function here",
                            to_hex(value), display(hop.writer));
  hop.note = "seen in the step window: the frame ended, and the address went on in registers";
  return hop;
}

report::Hop stale_hop(const ProcessImage& image, const Slot& slot, const SourcePlace& place,
                      const LastWriter& found, const report::Hop& reader) {
  report::Hop hop;
  hop.kind = report::HopKind::stale_bytes;
  hop.position = reader.position;
  hop.location = place.location;
  hop.value_after = slot.value;
  hop.confidence = report::Confidence::proved;
  hop.backtrace = reader.backtrace;
  std::string function = "its function";
  if (hop.location->owner) {
    report::Owner& owner = *hop.location->owner;
    function = owner.function;
    if (found.entered) {
      report::LifeEvent born;
      born.position = report_position(image, *found.entered, nullptr);
      born.description = fmt::format("frame of {} entered", owner.function);
      owner.life.born = std::move(born);
    }
    owner.life.alive_at_write = false;
    // Whose declaration has to change.
    hop.writer.function = owner.function;
    hop.writer.file = owner.declared_file;
    hop.writer.line = owner.declared_line;
    hop.writer.module = owner.module;
    if (owner.declared_line != 0) {
      if (auto text = image.sources().line(owner.declared_file, owner.declared_line)) {
        hop.writer.source_line = *std::move(text);
      }
    }
  }
  hop.summary = fmt::format("{} was never written while {} ran: its bytes are older than the frame",
                            name_of(place.location), function);
  hop.note =
      found.writer
          ? fmt::format(
                "the last of {} write{} of this value came before the entry of {}, and no other "
                "write of any value to these bytes can lie between, since the value was still "
                "there when it was read",
                found.matches, found.matches == 1 ? "" : "s", function)
          : "no write to these bytes was seen at all";
  if (reader.revisit) hop.revisit = revisit_reader(*reader.revisit, slot);
  return hop;
}

report::Hop block_hop(const ProcessImage& image, const replay::HeapBlock& block, bool released,
                      const report::Location& about) {
  report::Hop hop;
  const bool gone = released && block.released;
  const report::LifeEvent event = life_event(image, gone ? *block.released : block.allocated);
  hop.kind = gone ? report::HopKind::release : report::HopKind::allocation;
  hop.position = event.position;
  hop.backtrace = event.backtrace;
  hop.writer = program_code(image, event.backtrace);
  hop.location = about;
  replay::HeapBlocks blocks;
  blocks.holding.push_back(block);
  add_block(image, blocks, *hop.location);
  hop.value_after = block.range.start.value;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("{} {} the block of {} bytes at {} ({})", display(hop.writer),
                            gone ? "gave up" : "was given", block.range.size,
                            to_hex(block.range.start), event.description);
  hop.note = "seen at the allocator's own entry in the replay";
  return hop;
}

report::Hop unmapping_hop(const ProcessImage& image, const Unmapping& unmapping, Address address) {
  report::Hop hop;
  hop.kind = report::HopKind::remap;
  hop.position = report_position(image, unmapping.moment.position, nullptr);
  hop.backtrace = report_frames(image, unmapping.moment.frames);
  hop.writer = program_code(image, hop.backtrace);
  hop.syscall = report_syscall(unmapping.syscall);
  hop.location.emplace();
  hop.location->address = address;
  hop.location->size = 1;
  hop.location->region = report::RegionKind::unmapped;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("{} took the memory at {} away ({})", display(hop.writer),
                            to_hex(address), hop.syscall->name);
  hop.note = "the newest change of the mapping before the crash; nothing was mapped there after it";
  return hop;
}

report::Hop mapping_change_hop(const ProcessImage& image, const replay::Hit::Kernel& call,
                               bool made, ByteRange range, const Moment& moment, Address address) {
  report::Hop hop;
  hop.kind = report::HopKind::remap;
  hop.position = report_position(image, moment.position, &moment.mark);
  hop.backtrace = report_frames(image, moment.frames);
  hop.writer = program_code(image, hop.backtrace);
  hop.syscall = report_syscall(call);
  hop.location.emplace();
  hop.location->address = address;
  hop.location->size = 1;
  hop.location->region = made ? report::RegionKind::mapping : report::RegionKind::unmapped;
  hop.location->mapping = range;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("{} {} {} bytes from {} on ({})", display(hop.writer),
                            made ? "mapped" : "gave back", range.size,
                            to_hex(range.start), hop.syscall->name);
  hop.note = fmt::format("{} is in that range", to_hex(address));
  return hop;
}

void describe_sweep(report::Hop& hop, const runtimes::Reclaimed& block,
                    const std::optional<runtimes::BlindSpot>& hidden_by) {
  hop.kind = report::HopKind::release;
  hop.summary =
      fmt::format("{} took {} at {} for garbage and put it on its free list, while it was in use",
                  display(hop.writer), block.name, to_hex(block.reference));
  if (!hop.location->owner) hop.location->owner.emplace();
  hop.location->owner->allocator = report::kGarbageCollector;
  if (!hop.location->owner->object) hop.location->owner->object = block.reference;
  if (!hop.note.empty()) hop.note += "; ";
  hop.note += hidden_by
                  ? fmt::format("its address lies in {}, [{}, {})", hidden_by->name,
                                to_hex(hidden_by->range.start), to_hex(hidden_by->range.end()))
                  : "no range that would hide its address from the collector is known";
}

report::Hop registration_hop(const ProcessImage& image, const Moment& moment,
                             const binary::CodeLocation& code, const report::Location& location,
                             const runtimes::Registrar& registrar) {
  report::Hop hop;
  hop.kind = report::HopKind::registration;
  hop.position = report_position(image, moment.position, &moment.mark);
  hop.backtrace = report_frames(image, moment.frames);
  hop.writer = report_writer(image, code, nullptr);
  hop.location = location;
  hop.confidence = report::Confidence::proved;
  hop.summary =
      fmt::format("{} made {}, {} bytes at {}, known as a {}", display(hop.writer),
                  name_of(location), location.size, to_hex(location.address), registrar.noun);
  hop.note = registrar.rule;
  return hop;
}

report::Hop stale_block_hop(const ProcessImage& image, const Slot& slot, const SourcePlace& place,
                            const LastWriter& found, const report::Hop& reader) {
  report::Hop hop;
  hop.kind = report::HopKind::stale_bytes;
  hop.position = reader.position;
  hop.location = place.location;
  hop.value_after = slot.value;
  hop.confidence = report::Confidence::proved;
  add_block(image, *found.blocks, *hop.location);
  report::Owner& owner = *hop.location->owner;
  owner.life.alive_at_write = false;
  const report::LifeEvent& born = *owner.life.born;
  hop.writer = program_code(image, born.backtrace);
  hop.backtrace = born.backtrace;
  hop.summary =
      fmt::format("{} was never written since its block was allocated ({}): its bytes are older",
                  name_of(place.location), born.description);
  hop.note = found.writer
                 ? "the last write of these bytes came before the allocation, and the allocator "
                   "handed the block out as it was"
                 : "no write to these bytes was seen at all";
  if (reader.revisit) hop.revisit = revisit_reader(*reader.revisit, slot);
  return hop;
}

report::Hop intended_object_hop(const ProcessImage& image, const ObjectBounds& object,
                                const Slot& stored) {
  report::Hop hop;
  if (object.block) {
    hop = block_hop(image, *object.block, false, object.location);
  } else {
    hop.kind = report::HopKind::allocation;
    hop.location = object.location;
    hop.confidence = report::Confidence::proved;
    if (object.location.owner) {
      hop.writer.function = object.location.owner->function;
      hop.writer.file = object.location.owner->declared_file;
      hop.writer.line = object.location.owner->declared_line;
      hop.writer.module = object.location.owner->module;
    }
  }
  const bool behind = stored.address >= object.range.end();
  const std::int64_t distance = behind ? stored.address - object.range.end()
                                       : object.range.start - (stored.address + stored.size);
  std::string object_name = name_of(object.location);
  if (object.block)
    object_name =
        fmt::format("the block of {} bytes at {}", object.range.size, to_hex(object.range.start));
  hop.summary = fmt::format("the store was meant for {} ({} bytes), and went {} bytes {} it",
                            object_name, object.range.size, std::max<std::int64_t>(distance, 0),
                            behind ? "behind the end of" : "before the start of");
  hop.note = "the pointer that the store went through points into this object";
  return hop;
}

}  // namespace culprit::provenance
