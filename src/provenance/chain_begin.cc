#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "provenance/chain.h"
#include "provenance/naming.h"
#include "report/suspect_words.h"

namespace culprit::provenance {

/// Uses a slot that was named, if it holds what it should.
bool Chain::use_slot(std::optional<std::uint64_t> value) {
  const Address address = scene_.named_address;
  if (!scene_.named_place || !scene_.named_value) {
    image_->warn(fmt::format("{} is not readable at the crash", to_hex(address)));
    return false;
  }
  if (value && *value != *scene_.named_value) {
    image_->warn(fmt::format("{} holds {} at the crash, not the reported {}", to_hex(address),
                             to_hex(*scene_.named_value), to_hex(*value)));
    return false;
  }
  link_ = Link{Slot{address, scene_.named_size, *scene_.named_value}, *scene_.named_place,
               candidate_.mark, std::nullopt};
  return true;
}

Status Chain::find_first_link() {
  const crash::Suspect* suspect = nullptr;
  const crash::Suspect* named = nullptr;
  if (crash_ != nullptr) {
    for (const crash::Suspect& s : crash_->suspects) {
      if (suspect == nullptr && s.value && s.role == crash::Role::bad_pointer) suspect = &s;
      if (named == nullptr && s.slot) named = &s;
    }
  }
  begin_phase("going to the crash");
  SlotName name;
  name.expression = options_.overrides.expression;
  if (named != nullptr && name.expression.empty()) name.address = named->slot;
  const bool users = !name.expression.empty() ||
                     (options_.overrides.address && name.address == options_.overrides.address);
  if (users) name.size = options_.slot_size;
  CULPRIT_ASSIGN(scene_,
                 visit_crash(replay_, *image_, candidate_, name, remaining(), report_.stats));
  learn_timeout();
  if (!scene_.named_trouble.empty()) {
    return Error{ErrorCode::usage, "--address: " + scene_.named_trouble};
  }
  if (options_.point) notice_in_program();
  report_.crash.position = report_position(*image_, scene_.moment.position, nullptr);
  report_.crash.frames = report_frames(*image_, scene_.moment.frames);
  if (scene_.fault && !report_.crash.fault_address) {
    report_.crash.fault_address = scene_.fault->address;
  }

  report::Suspect out;
  begin_phase("finding the slot that holds the bad value");
  if (!name.expression.empty() && use_slot(options_.overrides.pointer)) {
    out.how_chosen = "the user names the slot: " + name.expression;
    out.confidence = report::Confidence::proved;
  } else if (named != nullptr && name.address && use_slot(named->value)) {
    out.how_chosen = "the crash report names the slot";
    out.description = named->description;
    out.confidence = report::Confidence::proved;
  } else if (options_.overrides.address || !name.expression.empty()) {
    // The user said where to begin; beginning anywhere else would answer another question.
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
    stop(
        report::StopReason::value_not_found,
        fmt::format("{}, the slot named by --address, does not hold a value to follow at the crash",
                    to_hex(scene_.named_address)));
    return {};
  } else if (suspect != nullptr) {
    out.value = *suspect->value;
    out.description = suspect->description;
    auto found = slot_from_arguments(replay_, *image_, scene_, *suspect->value, reporting_,
                                     remaining(), report_.stats);
    if (!found.ok()) return found.error();
    if (*found) {
      link_ = Link{(*found)->slot, (*found)->place, candidate_.mark, std::nullopt};
      out.how_chosen = "named by the crash report; " + (*found)->how;
      out.confidence = (*found)->confidence;
    } else {
      auto places =
          slots_by_search(replay_, *image_, scene_, *suspect->value, remaining(), report_.stats);
      if (!places.ok()) return places.error();
      if (!places->empty()) {
        const SlotCandidate& best = places->front();
        link_ = Link{best.slot, best.place, candidate_.mark, std::nullopt};
        out.how_chosen = "named by the crash report; " + best.how;
        out.confidence = best.confidence;
      }
    }
    if (!link_) {
      out.how_chosen = "named by the crash report";
      report_.suspect = out;
      report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
      stop(
          report::StopReason::value_not_found,
          fmt::format("{} is in no register of the reporting frames and nowhere in writable memory "
                      "at the crash",
                      to_hex(*suspect->value)));
      return {};
    }
  } else if (scene_.fault && stack_is_full()) {
    out.value = scene_.moment.registers.sp().value;
    out.description = report::kStackPointer;
    out.how_chosen = "the access lies just below the end of the thread's stack";
    out.confidence = report::Confidence::proved;
    report_.suspect = out;
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
    stop(report::StopReason::origin_found, "the stack is used up");
    return {};
  } else if (scene_.fault && scene_.return_slot) {
    out.value = scene_.return_slot->value;
    out.description = report::kReturnTarget;
    out.how_chosen = "the return address at the stack pointer";
    out.confidence = report::Confidence::proved;
    out.location = scene_.fault_place->location;
    report_.suspect = out;
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, &*scene_.return_slot,
                                     &scene_.fault_place->location, style_));
    link_ = Link{*scene_.return_slot, *scene_.fault_place, candidate_.mark, std::nullopt};
    link_->place.activation.reset();  // it belongs to a frame that is damaged
    return {};
  } else if (scene_.fault && scene_.fault_source) {
    const std::uint64_t value = scene_.fault->pointer_value;
    out.value = value;
    out.description = scene_.fault->index ? std::string(report::kIndex)
                                          : fmt::format("the pointer that was {} at the crash",
                                                        scene_.fault->execute ? "called"
                                                        : scene_.fault->write ? "written through"
                                                                              : "read through");
    out.how_chosen = "the faulting instruction's own operand";
    out.confidence = report::Confidence::proved;
    ResolvedSource resolved{*scene_.fault_source, scene_.fault_place};
    if (scene_.fault->pointer) {
      const ValueQuestion question{0, scene_.moment.registers.pc(), false,
                                   x86::whole(*scene_.fault->pointer)};
      auto better = resolve(scene_.moment, question, resolved.source, resolved.place, value);
      if (!better.ok()) return better.error();
      resolved = *std::move(better);
    }
    if (resolved.source.index) {
      out.description = report::kIndex;
      if (resolved.source.value) out.value = *resolved.source.value;
    }
    report_.suspect = out;
    report::Hop hop = crash_hop(*image_, scene_, reporting_, nullptr,
                                resolved.place ? &resolved.place->location : nullptr, style_);
    hop.value_after = value;
    hop.source = report_source(resolved.source, resolved.place, value);
    hop.inputs = report_inputs(resolved.source);
    report_.hops.push_back(std::move(hop));
    go_on(resolved, scene_.moment, scene_.moment.frames.front().code, value);
    add_way_of_bound(resolved, scene_.moment);
    return {};
  } else if (auto map = begin_at_map(out); !map.ok() || *map) {
    return map.ok() ? Status{} : Status{map.error()};
  } else if (auto checker = begin_at_checker(out); !checker.ok() || *checker) {
    return checker.ok() ? Status{} : Status{checker.error()};
  } else if (const auto begun = begin_at_guard(out); !begun.ok() || *begun) {
    return begun.ok() ? Status{} : Status{begun.error()};
  } else if (scene_.abort) {
    begin_at_abort(out);
    return {};
  } else {
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
    stop(report::StopReason::value_not_found,
         "the crash names no bad value: say it with --pointer or --address");
    return {};
  }

  out.value = link_->slot.value;
  out.size = link_->slot.size;
  out.location = link_->place.location;
  report_.suspect = out;
  report_.hops.push_back(
      crash_hop(*image_, scene_, reporting_, &link_->slot, &link_->place.location, style_));
  return {};
}

/// A program that ends itself is in its library's code then: its own innermost frame is what
/// noticed.
void Chain::notice_in_program() {
  if (!reporting_.empty()) return;
  const binary::Module* main = image_->modules().main_module();
  for (const WalkFrame& frame : scene_.moment.frames) {
    if (main == nullptr || frame.code.module != main || frame.code.best_name().empty()) continue;
    reporting_ = frame.code.best_name();
    return;
  }
}

/// The access was made through the stack pointer or near it, where no stack is any more.
bool Chain::stack_is_full() const {
  constexpr std::uint64_t kNear = 1 << 16;
  const std::uint64_t sp = scene_.moment.registers.sp().value;
  const std::uint64_t fault = scene_.fault->address.value;
  const bool near = fault - sp < kNear || sp - fault < kNear;
  constexpr std::size_t kDeep = 64;
  return near && !scene_.fault->execute && scene_.moment.frames.size() >= kDeep &&
         image_->mapping_of(Address{fault}) == nullptr;
}

void Chain::explain_unmapped() {
  if (!scene_.fault || report_.hops.empty() || scene_.fault->address.value < 4096) return;
  auto found = find_unmapping(replay_, *image_, scene_.fault->address, remaining(), report_.stats);
  if (!found.ok() || !*found) return;
  report_.hops.push_back(unmapping_hop(*image_, **found, scene_.fault->address));
  stop(report::StopReason::origin_found, "the memory had been unmapped");
}

void Chain::begin_at_abort(report::Suspect& out) {
  const AbortScene& scene = *scene_.abort;
  if (scene.kind == AbortScene::Kind::release) {
    const replay::HeapBlock* block = nullptr;
    if (scene.blocks && !scene.blocks->holding.empty()) block = &scene.blocks->holding.front();
    const bool whole = block != nullptr && block->range.start.value == scene.pointer;
    // A block that lived until this very call: the allocator's data around it is what is wrong.
    const bool lived =
        whole && (!block->released || block->released->ordinal == scene.call.ordinal);
    if (!lived) return begin_at_release(scene, out);
  }
  if (!scene.slot) {
    report_.hops.push_back(crash_hop(*image_, scene_, reporting_, nullptr, nullptr, style_));
    return stop(
        report::StopReason::value_not_found,
        "the allocator stopped the program, and no damaged header was found near its blocks: say "
        "where to begin with --address");
  }
  out.value = scene.slot->value;
  out.size = scene.slot->size;
  out.location = scene.slot_place->location;
  out.confidence = report::Confidence::proved;
  if (scene.kind == AbortScene::Kind::stack_protector) {
    out.description = report::kCanary;
    out.how_chosen = "the function that stopped keeps its canary there";
  } else {
    out.description = "the header of a heap block";
    out.how_chosen = "it does not fit the blocks that the program was given (glibc's layout)";
    out.confidence = report::Confidence::likely;
  }
  report_.suspect = out;
  report_.hops.push_back(
      crash_hop(*image_, scene_, reporting_, &*scene.slot, &scene.slot_place->location, style_));
  link_ = Link{*scene.slot, *scene.slot_place, candidate_.mark, std::nullopt};
  // A frame that is damaged is no owner whose entry could be told from its CFA.
}

/// The pointer that was to be freed is no living block.
void Chain::begin_at_release(const AbortScene& scene, report::Suspect& out) {
  out.value = scene.pointer;
  out.description = report::kFreedPointer;
  out.how_chosen = "the argument of the allocator's function";
  out.confidence = report::Confidence::proved;
  if (scene.source_place) out.location = scene.source_place->location;
  report_.suspect = out;
  report::Hop hop = crash_hop(*image_, scene_, reporting_, nullptr,
                              scene.source_place ? &scene.source_place->location : nullptr, style_);
  hop.value_after = scene.pointer;
  report_.hops.push_back(std::move(hop));
  bool again = false;
  if (scene.blocks) {
    for (const replay::HeapBlock& block : scene.blocks->holding) {
      if (block.range.start.value != scene.pointer || !block.released) continue;
      report::Location about;
      about.address = block.range.start;
      about.size = block.range.size;
      report_.hops.push_back(block_hop(*image_, block, true, about));
      stop(report::StopReason::origin_found, "the block had been freed before");
      add_first_release(block, static_cast<std::uint32_t>(report_.hops.size() - 1));
      again = true;
      break;
    }
  }
  const std::size_t caller = scene.frame + 1;
  if (caller >= scene_.moment.frames.size() || !scene.source) {
    if (!again)
      stop(report::StopReason::decoder_unknown,
           "the call of the allocator's function is not known");
    return;
  }
  begin_phase("slicing back from the argument");
  ResolvedSource resolved{*scene.source, scene.source_place};
  const auto call = scene.call_site;
  if (resolved.source.kind == ValueSource::Kind::load) {
    auto better =
        resolve_load(replay_, *image_, scene_.moment, resolved.source, remaining(), report_.stats);
    if (!better.ok()) return again ? void() : stop(better.error());
    resolved = *std::move(better);
  }
  if (resolved.source.kind == ValueSource::Kind::load ||
      resolved.source.kind == ValueSource::Kind::register_ ||
      resolved.source.kind == ValueSource::Kind::unknown ||
      resolved.source.kind == ValueSource::Kind::arithmetic) {
    auto better = resolve_register_at(replay_, *image_, scene_.moment, caller, call, Gpr::rdi,
                                      false, WindowLimits{}, remaining(), report_.stats, answers_);
    if (!better.ok()) return again ? void() : stop(better.error());
    if (better->source.kind != ValueSource::Kind::unknown) resolved = *std::move(better);
  }
  if (again) return follow_pointer(std::move(resolved), scene_.moment, scene.pointer, 0);
  report_.hops.back().source = report_source(resolved.source, resolved.place, scene.pointer);
  go_on(resolved, scene_.moment, scene_.moment.frames[caller].code, scene.pointer);
}

}  // namespace culprit::provenance
