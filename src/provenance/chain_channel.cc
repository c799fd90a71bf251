// Bytes that a system call read: from which file, or from which other process of the recording.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "base/syscall_names.h"
#include "provenance/cached_memory.h"
#include "provenance/chain.h"
#include "provenance/descriptors.h"
#include "provenance/kernel_input.h"
#include "provenance/naming.h"

namespace culprit::provenance {

bool Chain::follow_input(const WriterHit& writer, report::Hop& hop) {
  begin_phase("finding out what the system call read from");
  const DescriptorHistory history = DescriptorHistory::read(index_);
  MarkReader reader(replay_, remaining(), report_.stats);
  const auto input = trace_input(reader, history, writer, link_->slot);
  if (!input || !hop.syscall) return false;
  hop.syscall->descriptor = input->descriptor;
  hop.syscall->path = input->path;
  hop.syscall->file_offset = input->file_offset;
  hop.source.emplace();
  hop.source->kind = input->path.empty() ? report::SourceKind::syscall : report::SourceKind::file;
  hop.source->description = input->path.empty() ? input->description : input->path;
  hop.source->size = link_->slot.size;
  hop.source->value = link_->slot.value;
  if (!hop.source->description.empty()) {
    hop.summary += fmt::format(", from {}", hop.source->description);
    if (input->file_offset) hop.summary += fmt::format(" at offset {}", *input->file_offset);
  }
  if (!input->write) return false;
  const Slot slot = link_->slot;
  report_.hops.push_back(std::move(hop));
  if (cross_to(*input, slot)) return true;
  // The other process is gone from sight; what the call read is known all the same.
  hop = std::move(report_.hops.back());
  report_.hops.pop_back();
  return false;
}

bool Chain::cross_to(const KernelInput& input, const Slot& slot) {
  const DescriptorCall& call = input.write->call;
  ProcessImage* const here = image_;
  ProcessImage* const there = &image_at(call.process, call.event);
  Link next;
  next.slot = Slot{*input.buffer, slot.size, slot.value};
  next.before = mark_of(call, replay::Mark::Kind::syscall_entry);
  Moment moment;
  moment.mark = next.before;
  MarkReader reader(replay_, remaining(), report_.stats);
  reader.at(next.before, [&](const replay::Position& at, const Registers& registers,
                             const replay::LiveState& live) {
    const CachedMemory memory(live);
    there->verify(memory);
    stand_at(*there, at, registers, memory, moment);
    next.place = describe_source(*there, moment, next.slot.address, next.slot.size, memory);
  });
  if (moment.frames.empty()) return false;

  image_ = there;
  report::Hop hop;
  hop.kind = report::HopKind::channel;
  hop.position = report_position(*there, moment.position, &moment.mark);
  hop.backtrace = report_frames(*there, moment.frames);
  hop.writer = report_writer(*there, moment.frames.front().code, nullptr);
  hop.location = next.place.location;
  hop.value_after = next.slot.value;
  hop.bytes = bytes_;
  hop.syscall.emplace();
  hop.syscall->number = call.number;
  hop.syscall->name = std::string(syscall_name(call.number));
  hop.syscall->arguments.assign(call.arguments.begin(), call.arguments.end());
  hop.syscall->result = call.result;
  hop.syscall->descriptor = static_cast<std::int32_t>(call.arguments[0]);
  hop.source.emplace();
  hop.source->kind = report::SourceKind::memory;
  hop.source->address = next.slot.address;
  hop.source->size = next.slot.size;
  hop.source->value = next.slot.value;
  hop.source->description = next.place.name;
  hop.confidence = report::Confidence::proved;
  hop.summary = fmt::format("process {} wrote {} into {}, from {} ({})", call.process.value,
                            to_hex(next.slot.value), input.description,
                            next.place.name.empty() ? to_hex(next.slot.address) : next.place.name,
                            hop.syscall->name);
  hop.note = fmt::format(
      "the bytes have the same place in what was written and what process {} read, and "
      "they are the same",
      here->process().value);
  report_.hops.push_back(std::move(hop));
  link_ = std::move(next);
  return true;
}

}  // namespace culprit::provenance
