// The chain of a value that somebody asked about, at a moment that need not be a crash.
#include <fmt/format.h>

#include <utility>

#include "provenance/asked_moment.h"
#include "provenance/chain.h"
#include "provenance/naming.h"

namespace culprit::provenance {

/// The moment takes the crash's place.
Status Chain::pick_asked_moment() {
  begin_phase("finding the moment that was asked about");
  CULPRIT_ASSIGN(const FoundMoment found,
                 find_asked_moment(replay_, index_, *options_.at, remaining(), report_.stats));
  if (options_.process && *options_.process != found.process) {
    return Error{ErrorCode::usage,
                 fmt::format("thread {} is in process {}, not in {}", options_.at->thread.value,
                             found.process.value, options_.process->value)};
  }
  candidate_.thread = options_.at->thread;
  candidate_.process = found.process;
  candidate_.event = options_.at->event;
  candidate_.mark = found.mark;
  asked_alike_ = found.alike;
  return {};
}

Status Chain::begin_at_question() {
  SlotName name;
  name.expression = options_.overrides.expression;
  if (name.expression.empty()) name.address = options_.overrides.address;
  name.size = options_.slot_size;
  begin_phase("going to the moment that was asked about");
  CULPRIT_ASSIGN(scene_,
                 visit_crash(replay_, *image_, candidate_, name, remaining(), report_.stats));
  learn_timeout();
  if (!scene_.named_trouble.empty()) {
    return Error{ErrorCode::usage, "--address: " + scene_.named_trouble};
  }
  const Address address = scene_.named_address;
  scene_.abort.reset();
  report_.crash.kind = "asked";
  report_.crash.message =
      fmt::format("asked what {} held at event {} of thread {}\n", to_hex(address),
                  candidate_.event.value, candidate_.thread.value);
  report_.crash.position = report_position(*image_, scene_.moment.position, &scene_.moment.mark);
  report_.crash.frames = report_frames(*image_, scene_.moment.frames);
  if (asked_alike_ > 1) {
    image_->warn(
        fmt::format("{} moments look like the one that was asked about (the same event, thread "
                    "and instruction); this is the last of them",
                    asked_alike_));
  }
  if (!use_slot(options_.overrides.pointer)) {
    report_.hops.push_back(crash_hop(*image_, scene_, {}, nullptr, nullptr, style_));
    report_.hops.back().revisit.reset();
    stop(report::StopReason::value_not_found,
         fmt::format(
             "{}, the slot named by --address, does not hold a value to follow at that moment",
             to_hex(address)));
    return {};
  }
  report::Suspect out;
  out.value = link_->slot.value;
  out.size = link_->slot.size;
  out.description = "the value that was asked about";
  out.how_chosen = "read at the moment that was asked about";
  out.confidence = asked_alike_ > 1 ? report::Confidence::likely : report::Confidence::proved;
  out.location = link_->place.location;
  report_.suspect = out;
  report::Hop hop = crash_hop(*image_, scene_, {}, &link_->slot, &link_->place.location, style_);
  const std::string slot_name = name_of(link_->place.location);
  hop.summary = fmt::format("{} held {} when it was asked about",
                            slot_name.empty() ? to_hex(address) : slot_name, to_hex(out.value));
  hop.confidence = out.confidence;
  // The way of a crash leads to a signal or to the end; here neither is.
  hop.revisit.reset();
  report_.hops.push_back(std::move(hop));
  return {};
}

}  // namespace culprit::provenance
