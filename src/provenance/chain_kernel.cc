// Bytes that no instruction wrote: what the program was started with, mapped files, the kernel's
// input.
#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/cached_memory.h"
#include "provenance/chain.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/start_block.h"

namespace culprit::provenance {
namespace {

/// Stands at the return of the exec, where rsp points to the start block.
class StartObserver : public replay::PassObserver {
 public:
  explicit StartObserver(Address address) : address_(address) {}
  void on_end(const replay::Position&, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    part = find_in_start_block(memory, registers.sp(), address_);
  }
  std::optional<StartBlockPart> part;

 private:
  Address address_;
};

}  // namespace

std::optional<StartBlockPart> Chain::part_of_start_block(const replay::Mark& exec,
                                                         Address address) {
  begin_phase("finding out which argument it is");
  StartObserver observer(address);
  replay::PassSpec spec;
  spec.end = exec;
  spec.deadline = remaining();
  const auto pass = replay_.run(spec, observer);
  if (!pass.ok()) return std::nullopt;
  count(report_.stats, *pass);
  return observer.part;
}

bool Chain::end_at_kernel(const WriterHit& writer, const ResolvedSource& resolved) {
  const Link& link = *link_;
  const replay::Hit::Kernel& kernel = *writer.hit.kernel;
  report::Hop hop = writer_hop(*image_, writer, link.slot, resolved.source, resolved.place, style_);
  const report::RegionKind region = link.place.location.region;
  const std::string name = name_of(link.place.location);
  const bool at_exec = syscall_name(kernel.syscall) == "execve";
  if (kernel.remapped &&
      (region == report::RegionKind::global || region == report::RegionKind::code)) {
    hop.kind = report::HopKind::initial_image;
    hop.summary = fmt::format("{} has held {} since the program's file was mapped", name,
                              to_hex(link.slot.value));
    hop.note = "no instruction wrote these bytes after their file was mapped";
    report_.hops.push_back(std::move(hop));
    stop(report::StopReason::initial_image, "no instruction ever wrote the slot");
    return false;
  }
  if (at_exec) {
    hop.kind = report::HopKind::initial_image;
    hop.source.emplace();
    hop.source->kind = report::SourceKind::argument;
    const auto part = part_of_start_block(writer.moment.mark, link.slot.address);
    hop.source->description = part ? part->words() : StartBlockPart{}.words();
    hop.summary = fmt::format("{} has held {} since the program was started: {}", name,
                              to_hex(link.slot.value), hop.source->description);
    if (part && part->kind == StartBlockPart::Kind::environment) {
      // What a variable is set to is nobody's business.
      hop.value_after.reset();
      hop.value_before.reset();
      hop.summary = fmt::format("{} is a part of {} since the program was started", name, part->words());
    }
    report_.hops.push_back(std::move(hop));
    stop(report::StopReason::initial_image, "the program was started with it");
    return false;
  }
  const replay::Mapping* mapping = image_->mapping_of(link.slot.address);
  if (kernel.remapped && syscall_name(kernel.syscall) == "mmap" && mapping != nullptr &&
      mapping->kind == replay::MappingKind::file && !mapping->path.empty()) {
    hop.syscall->path = mapping->path;
    hop.syscall->file_offset =
        mapping->file_offset + static_cast<std::uint64_t>(link.slot.address - mapping->range.start);
    hop.syscall->descriptor = static_cast<std::int32_t>(kernel.arguments[4]);
    hop.source.emplace();
    hop.source->kind = report::SourceKind::file;
    hop.source->description = mapping->path;
    hop.summary = fmt::format("{} holds {} of {}, mapped by {}", name, to_hex(link.slot.value),
                              mapping->path, hop.syscall->name);
  }
  if (!kernel.remapped && follow_input(writer, hop)) return true;
  report_.hops.push_back(std::move(hop));
  stop(kernel.remapped ? report::StopReason::mapping_created : report::StopReason::kernel_input,
       std::string(syscall_name(kernel.syscall)));
  return follow_older_bytes(writer);
}

}  // namespace culprit::provenance
