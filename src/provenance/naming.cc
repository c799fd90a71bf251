#include "provenance/naming.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provenance/unnamed_arguments.h"
#include "report/limits.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

report::StackKind stack_kind(const runtimes::StackLabel& label) {
  switch (label.kind) {
    case runtimes::StackKind::goroutine: return report::StackKind::goroutine;
    case runtimes::StackKind::system: return report::StackKind::system;
    case runtimes::StackKind::signal: return report::StackKind::signal;
    case runtimes::StackKind::native: return report::StackKind::native;
  }
  return report::StackKind::unknown;
}

std::optional<std::int64_t> goroutine_id(const runtimes::StackLabel& label) {
  constexpr std::string_view kPrefix = "goroutine ";
  if (label.kind != runtimes::StackKind::goroutine || !label.name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  std::int64_t id = 0;
  for (const char c : std::string_view(label.name).substr(kPrefix.size())) {
    if (c < '0' || c > '9') return std::nullopt;
    id = id * 10 + (c - '0');
  }
  return id;
}

void fill_module(const ProcessImage& image, const binary::CodeLocation& code, std::string& module,
                 std::optional<std::uint64_t>& offset) {
  if (code.module != nullptr) {
    module = code.module->path;
    offset = code.file_address;
  } else {
    module = image.modules().region_at(code.pc).name;
  }
}

report::Frame inlined_frame(const binary::FunctionFrame& f) {
  report::Frame out;
  out.function = f.linkage_name.empty() ? f.name : f.linkage_name;
  if (f.name != out.function) out.demangled = f.name;
  out.file = f.position.file;
  out.line = f.position.line;
  out.column = f.position.column;
  out.inlined = f.inlined;
  return out;
}

std::string member_of(std::string_view path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  return std::string(path);
}

report::Owner owner_of(const binary::AddressDescription& d) {
  report::Owner owner;
  owner.variable = d.variable;
  owner.type = d.variable_type;
  owner.member = member_of(d.place.path);
  owner.member_type = d.place.type_name;
  owner.declared_file = d.declared.file;
  owner.declared_line = d.declared.line;
  owner.function = d.function;
  if (d.module != nullptr) owner.module = d.module->path;
  owner.object = d.start;
  if (d.size != 0) owner.object_size = d.size;
  owner.offset = d.offset;
  return owner;
}

report::RegionKind region_kind(binary::RegionKind kind) {
  switch (kind) {
    case binary::RegionKind::unmapped: return report::RegionKind::unmapped;
    case binary::RegionKind::module_code: return report::RegionKind::code;
    case binary::RegionKind::module_data: return report::RegionKind::global;
    case binary::RegionKind::heap: return report::RegionKind::heap;
    case binary::RegionKind::stack: return report::RegionKind::stack;
    case binary::RegionKind::vdso:
    case binary::RegionKind::kernel: return report::RegionKind::kernel;
    case binary::RegionKind::file:
    case binary::RegionKind::anonymous: return report::RegionKind::mapping;
  }
  return report::RegionKind::unknown;
}

std::string function_name(const binary::CodeLocation& code) {
  if (!code.best_name().empty()) return std::string(code.best_name());
  if (code.module != nullptr) {
    return fmt::format("{}+{:#x}", code.module->name(), code.file_address);
  }
  return to_hex(code.pc);
}

/// The physical function's own name: a frame belongs to it, not to what is inlined at its pc.
std::string physical_name(const binary::CodeLocation& code) {
  if (!code.frames.empty()) return code.frames.back().name;
  return function_name(code);
}

void describe_frame_slot(const ProcessImage& image, const Moment& moment, std::size_t i,
                         Address address, const MemoryReader& memory, report::Location& out) {
  const WalkFrame& f = moment.frames[i];
  out.region = f.stack.kind == runtimes::StackKind::goroutine ? report::RegionKind::runtime_stack
                                                              : report::RegionKind::stack;
  report::Owner owner;
  if (const auto d = image.variables().describe_address(view_of(moment, i, memory), address)) {
    owner = owner_of(*d);
  }
  if (owner.variable.empty()) {
    if (const auto argument = unnamed_argument(moment, address, ModuleCode(image.modules()))) {
      const std::string number =
          argument->position ? fmt::format(" {}", *argument->position) : std::string();
      owner.variable = fmt::format("{}{} of {}", report::kUnnamedArgument, number,
                                   physical_name(moment.frames[argument->frame].code));
    }
  }
  if (owner.function.empty()) owner.function = physical_name(f.code);
  if (owner.module.empty() && f.code.module != nullptr) owner.module = f.code.module->path;
  if (f.frame.cfa) {
    owner.frame = *f.frame.cfa;
    owner.frame_offset = address - *f.frame.cfa;
  }
  out.description = fmt::format("frame of {} on thread {}'s stack", physical_name(f.code),
                                moment.position.thread.value);
  if (f.stack.kind == runtimes::StackKind::goroutine) {
    out.description = fmt::format("frame of {} on {}'s stack", physical_name(f.code), f.stack.name);
  }
  if (owner.variable.empty() && !f.code.has_debug_info) {
    out.description += fmt::format(" (no variable names: {})", f.code.no_debug_info);
  }
  out.owner = std::move(owner);
}

}  // namespace

std::vector<report::Frame> report_frames(const ProcessImage& image,
                                         const std::vector<WalkFrame>& frames) {
  std::vector<report::Frame> out;
  // What a signal interrupted is a frame whose pc is exact; all that is inside it is the handler's.
  std::size_t handler_frames = 0;
  for (std::size_t i = 1; i < frames.size(); ++i) {
    const bool native = frames[i].stack.kind == runtimes::StackKind::native;
    if (native && (frames[i].frame.is_signal_frame || frames[i].frame.pc_kind == binary::PcKind::exact)) {
      handler_frames = i;
    }
  }
  for (const WalkFrame& f : frames) {
    const bool in_handler = static_cast<std::size_t>(&f - frames.data()) < handler_frames;
    std::vector<report::Frame> group;
    for (const binary::FunctionFrame& function : f.code.frames) {
      group.push_back(inlined_frame(function));
    }
    if (group.empty()) {
      report::Frame bare;
      bare.function = f.code.symbol_linkage;
      if (f.code.symbol != f.code.symbol_linkage) bare.demangled = f.code.symbol;
      group.push_back(std::move(bare));
    }
    for (report::Frame& frame : group) {
      fill_module(image, f.code, frame.module, frame.module_offset);
      frame.pc = f.frame.pc;
      frame.frame_address = f.frame.cfa;
      frame.stack = in_handler ? report::StackKind::signal : stack_kind(f.stack);
      frame.goroutine = goroutine_id(f.stack);
      out.push_back(std::move(frame));
      if (out.size() >= report::kMaxFrames) return out;
    }
  }
  return out;
}

report::Writer report_writer(const ProcessImage& image, const binary::CodeLocation& code,
                             const x86::Instruction* instruction) {
  report::Writer w;
  fill_module(image, code, w.module, w.module_offset);
  if (code.module != nullptr) w.build_id = code.module->build_id;
  w.pc = code.pc;
  if (instruction != nullptr) w.instruction = x86::text(*instruction);
  if (code.frames.empty()) {
    w.function = code.symbol_linkage;
    if (code.symbol != code.symbol_linkage) w.demangled = code.symbol;
    return w;
  }
  const binary::FunctionFrame& innermost = code.frames.front();
  w.function = innermost.linkage_name.empty() ? innermost.name : innermost.linkage_name;
  if (innermost.name != w.function) w.demangled = innermost.name;
  w.file = innermost.position.file;
  w.line = innermost.position.line;
  w.column = innermost.position.column;
  for (std::size_t i = 1; i < code.frames.size(); ++i) {
    report::Frame f = inlined_frame(code.frames[i]);
    fill_module(image, code, f.module, f.module_offset);
    w.inlined_in.push_back(std::move(f));
  }
  if (innermost.position.known()) {
    constexpr std::uint32_t kAround = 2;
    const std::uint32_t line = innermost.position.line;
    const std::uint32_t first = line > kAround ? line - kAround : 1;
    for (std::uint32_t n = first; n <= line + kAround; ++n) {
      auto text = image.sources().line(innermost.position.file, n);
      if (!text) continue;
      if (n == line) w.source_line = *text;
      w.excerpt.push_back({n, *std::move(text)});
    }
  }
  return w;
}

report::Position report_position(const ProcessImage& image, const replay::Position& position,
                                 const replay::Mark* mark) {
  report::Position out;
  out.event = image.index().event_of(position);
  out.thread = position.thread;
  out.process = position.process;
  out.syscalls = position.syscalls;
  if (mark != nullptr && mark->kind == replay::Mark::Kind::probe_hit) {
    report::Position::Probe probe;
    const bool write = mark->probe.kind == replay::ProbeKind::write;
    probe.kind = write ? "write" : "execute";
    probe.address = mark->probe.address;
    probe.size = write ? mark->probe.size : 0;
    if (mark->probe.filter) probe.value_filter = mark->probe.filter->value;
    probe.ordinal = mark->ordinal;
    out.probe = probe;
  }
  return out;
}

report::Location describe_location(const ProcessImage& image, const Moment& moment, Address address,
                                   std::uint64_t size, const MemoryReader& memory) {
  report::Location out;
  out.address = address;
  out.size = size;
  const binary::Region region = image.modules().region_at(address);
  if (!region.range.empty()) out.mapping = region.range;
  out.region = region_kind(region.kind);
  out.description = region.name;
  for (const binary::Mapping& m : image.modules().mappings()) {
    if (m.range.contains(address)) out.mapping_path = m.path;
  }

  std::optional<runtimes::RuntimePlace> place;
  for (const auto& runtime : image.runtimes()) {
    if ((place = runtime->describe(address, memory))) break;
  }
  if (place && place->role != runtimes::RuntimePlace::Role::goroutine_stack) {
    out.region = report::RegionKind::runtime_object;
    report::Owner owner;
    owner.variable = place->name.substr(0, place->name.size() - std::min(place->name.size(),
                                                                         place->member.size()));
    while (owner.variable.ends_with('.')) owner.variable.pop_back();
    owner.member = place->member;
    owner.type = place->type;
    owner.object = place->object.start;
    owner.object_size = place->object.size;
    owner.offset = static_cast<std::uint64_t>(address - place->object.start);
    out.owner = std::move(owner);
    out.description = place->name;
    if (place->role == runtimes::RuntimePlace::Role::write_barrier_buffer) {
      out.description =
          fmt::format("write barrier buffer, entry {} ({})", place->index, place->name);
    }
    return out;
  }
  if (const auto frame = moment.frame_of(address)) {
    describe_frame_slot(image, moment, *frame, address, memory, out);
    return out;
  }
  if (place) {
    out.region = report::RegionKind::runtime_stack;
    out.description = place->name;
    return out;
  }
  if (const auto d =
          image.variables().describe_global(address, moment.registers.fs_base)) {
    out.owner = owner_of(*d);
    if (out.region != report::RegionKind::global) out.region = report::RegionKind::tls;
    return out;
  }
  // Memory without a name of its own: perhaps a pointer variable of a near frame leads to it. One to a whole
  // object says more than one to a number in it.
  constexpr std::size_t kNearFrames = 4;
  for (std::size_t i = 0; i < moment.frames.size() && i < kNearFrames; ++i) {
    const auto d = image.variables().describe_pointee(view_of(moment, i, memory), address);
    if (!d) continue;
    report::Owner owner = owner_of(*d);
    if (out.owner && owner.member.empty()) continue;
    owner.variable = "*" + d->variable;
    owner.function = d->function;
    out.owner = std::move(owner);
    if (!out.owner->member.empty()) break;
  }
  return out;
}

std::string short_name(const ProcessImage& image, const Moment& moment, Address address,
                       const MemoryReader& memory) {
  // The code's own word for it comes first: the innermost frames' pointers.
  constexpr std::size_t kNearFrames = 2;
  for (std::size_t i = 0; i < moment.frames.size() && i < kNearFrames; ++i) {
    if (const auto d =
            image.variables().describe_pointee(view_of(moment, i, memory), address)) {
      return d->expression;
    }
  }
  return name_of(describe_location(image, moment, address, 8, memory));
}

Result<binary::NamedPlace> place_named(const ProcessImage& image, const Moment& moment,
                                       std::string_view expression, const MemoryReader& memory) {
  std::vector<binary::FrameView> views;
  // A program that stops itself is inside its C library: what is meant is the program's own frame.
  const auto in_system = [&](std::size_t i) {
    const binary::Module* module = moment.frames[i].code.module;
    if (module == nullptr) return true;
    const std::string_view path = module->path;
    return path.starts_with("/lib") || path.starts_with("/usr/lib");
  };
  std::size_t first = 0;
  while (first < moment.frames.size() && in_system(first)) ++first;
  if (first == moment.frames.size()) first = 0;
  for (std::size_t i = first; i < moment.frames.size(); ++i)
    views.push_back(view_of(moment, i, memory));
  for (std::size_t i = 0; i < first; ++i) views.push_back(view_of(moment, i, memory));
  return binary::find_place(image.variables(), views, memory, expression);
}

std::string name_of(const report::Location& location) {
  if (location.owner && !location.owner->variable.empty()) {
    const report::Owner& owner = *location.owner;
    if (owner.member.empty()) return owner.variable;
    return owner.variable + (owner.member.starts_with('[') ? "" : ".") + owner.member;
  }
  if (location.owner && location.owner->frame_offset) {
    const std::int64_t offset = *location.owner->frame_offset;
    return fmt::format("{}'s frame at CFA{}{:#x}", location.owner->function, offset < 0 ? "-" : "+",
                       offset < 0 ? -offset : offset);
  }
  if (!location.description.empty()) return location.description;
  return to_hex(location.address);
}

}  // namespace culprit::provenance
