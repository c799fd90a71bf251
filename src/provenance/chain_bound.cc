// An index that a loop counted up to: what should have ended the loop.
#include <fmt/format.h>

#include "provenance/chain.h"
#include "provenance/naming.h"
#include "provenance/window_moment.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
void Chain::add_way_of_bound(const ResolvedSource& index, const Moment& moment) {
  if (!index.bound || report_.verdict.stopped_because != report::StopReason::arithmetic ||
      report_.hops.empty()) {
    return;
  }
  const LoopBound& bound = *index.bound;
  const auto frame = moment.frame_running(bound.pc);
  if (!frame) return;
  begin_phase("finding where the bound of the loop came from");
  ResolvedSource made;
  std::optional<std::uint64_t> value = bound.value;
  if (bound.reg) {
    auto found = resolve_register_at(replay_, *image_, moment, *frame, bound.pc, *bound.reg, false,
                                     kAside, remaining(), report_.stats, answers_);
    if (!found.ok()) return;
    made = *std::move(found);
  } else if (bound.memory && index.bound_place) {
    value = index.bound_value;
    made.source.kind = ValueSource::Kind::memory;
    made.source.frame = *frame;
    made.source.pc = bound.pc;
    made.source.address = bound.memory->start;
    made.source.size = bound.size;
    made.place = index.bound_place;
  }
  if (!value) return;
  report::Hop hop;
  hop.kind = report::HopKind::register_slice;
  hop.position = report_.hops.front().position;
  hop.position.probe.reset();
  const auto compare = x86::decode_at(ModuleCode(image_->modules()), bound.pc);
  hop.writer = report_writer(*image_, image_->symbols().locate(bound.pc),
                             compare.ok() ? &*compare : nullptr);
  std::vector<WalkFrame> stack(moment.frames.begin() + static_cast<std::ptrdiff_t>(*frame),
                               moment.frames.end());
  hop.backtrace = report_frames(*image_, stack);
  hop.value_after = *value;
  hop.source = report_source(made.source, made.place, *value);
  hop.source->description = report::kLoopBound;
  hop.inputs = report_inputs(made.source);
  hop.confidence = report::Confidence::likely;
  hop.summary = fmt::format("the loop went on: {} was compared with {}", to_hex(bound.counter),
                            to_hex(*value));
  hop.note = "the newest comparison of the counter in a step window";
  const std::uint32_t at = add_side(std::move(hop), 0);
  follow_copies(std::move(made), moment, *value, at, "the bound");
}

}  // namespace culprit::provenance
