// A value that other code had read and returned: a getter, a lookup.
#include <fmt/format.h>

#include <algorithm>

#include "provenance/chain.h"
#include "provenance/naming.h"

namespace culprit::provenance {

void Chain::add_load(const ResolvedSource& resolved, const binary::CodeLocation& user,
                     std::uint64_t value) {
  const ValueSource& source = resolved.source;
  if (resolved.frames.size() < 2 || !resolved.place || user.function.contains(source.pc)) return;
  // It was read in a function that `user` had called; who unpacked a word is told wherever that
  // was.
  const bool computed = source.kind == ValueSource::Kind::arithmetic && value != 0;
  const bool returned = std::any_of(
      resolved.frames.begin() + 1, resolved.frames.end(),
      [&](const WalkFrame& frame) { return frame.code.entry && frame.code.entry == user.entry; });
  if (!returned && !computed) return;
  const report::Hop& last = report_.hops.back();
  report::Hop hop;
  hop.kind = report::HopKind::load;
  hop.position = last.position;
  hop.position.probe.reset();
  hop.writer = report_writer(*image_, image_->symbols().locate(source.pc), nullptr);
  hop.writer.instruction = source.instruction;
  hop.backtrace = report_frames(*image_, resolved.frames);
  hop.location = resolved.place->location;
  hop.value_after = value;
  hop.bytes = bytes_;
  hop.source = report_source(source, resolved.place, value);
  hop.inputs = report_inputs(source);
  hop.confidence = source.certainty == Certainty::proved ? report::Confidence::proved
                                                         : report::Confidence::likely;
  const std::string& name =
      hop.writer.demangled.empty() ? hop.writer.function : hop.writer.demangled;
  hop.summary = fmt::format("{} read {} from {} and {}", name.empty() ? "unnamed code" : name,
                            to_hex(value), name_of(resolved.place->location),
                            computed ? "computed the value from it" : "returned it");
  hop.note = "found by slicing back over the executed instructions";
  report_.hops.push_back(std::move(hop));
}

}  // namespace culprit::provenance
