// A crash that Go's maps raised: two goroutines used one map, and at least one of them wrote to it.
//
// A map has a byte that is set while somebody writes to it; whoever finds it set ends the program.
// The chain begins in that byte, and who set it is the other goroutine.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "provenance/cached_memory.h"
#include "provenance/chain.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/window_moment.h"
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

/// The mark of each kind of map: runtime/map.go, hmap.flags with its bit hashWriting, until
/// Go 1.23; internal/runtime/maps/map.go, Map.writing, from Go 1.24.
struct MapKind {
  std::string_view type;
  std::string_view mark;
};
constexpr std::array<MapKind, 2> kMaps = {MapKind{"runtime.hmap", "flags"},
                                          MapKind{"internal/runtime/maps.Map", "writing"}};

/// Where, from a pointer of type `type`, the mark is: at `offset` from the pointer, or, through an
/// iterator's pointer to its map, at `offset` from what is stored at `through`.
struct MarkPath {
  std::optional<std::uint64_t> through;
  std::uint64_t offset = 0;
};

std::optional<std::uint64_t> mark_of(const binary::Type& pointer) {
  if (pointer.kind() != binary::TypeKind::pointer) return std::nullopt;
  const binary::Type pointee = pointer.target().stripped();
  const std::string name = pointee.name();
  for (const MapKind& kind : kMaps) {
    if (name != kind.type) continue;
    if (const auto member = pointee.member(kind.mark); member && member->size == 1) {
      return member->offset;
    }
  }
  return std::nullopt;
}

std::optional<MarkPath> path_to_mark(const binary::Type& type) {
  const binary::Type pointer = type.stripped();
  if (const auto direct = mark_of(pointer)) return MarkPath{std::nullopt, *direct};
  if (pointer.kind() != binary::TypeKind::pointer) return std::nullopt;
  const binary::Type pointee = pointer.target().stripped();
  if (pointee.kind() != binary::TypeKind::structure) return std::nullopt;
  for (const binary::Member& member : pointee.members()) {
    if (const auto mark = mark_of(member.type.stripped())) return MarkPath{member.offset, *mark};
  }
  return std::nullopt;
}

/// A parameter that is the map, or an iterator over it: the register that holds it at the entry.
struct MapParameter {
  Gpr reg;
  MarkPath path;
};

std::optional<MapParameter> map_parameter(const ProcessImage& image, const WalkFrame& walked) {
  binary::Frame entered = walked.frame;
  entered.pc = walked.code.entry;
  entered.pc_kind = binary::PcKind::exact;
  const NoMemory none;  // at the entry, arguments are in registers
  const binary::FrameView view{&entered, nullptr, &none};
  const auto variables = binary::VariableFinder(image.modules()).variables(view);
  if (!variables.ok()) return std::nullopt;
  for (const binary::Variable& variable : *variables) {
    if (variable.scope != binary::VariableScope::parameter || variable.inline_depth != 0) continue;
    const auto path = path_to_mark(variable.type);
    if (!path || variable.location.kind() != binary::LocationKind::gpr) continue;
    return MapParameter{*variable.location.pieces.front().reg, *path};
  }
  return std::nullopt;
}

/// The newest executions that began two activations.
class TwoEntries : public replay::PassObserver {
 public:
  TwoEntries(Address outer_cfa, Address inner_cfa)
      : outer_sp_(outer_cfa - 8), inner_sp_(inner_cfa - 8) {}
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (hit.probe == 0 && hit.registers.sp() == outer_sp_) outer = hit;
    if (hit.probe == 1 && hit.registers.sp() == inner_sp_) inner = hit;
    return replay::Next::go_on;
  }
  std::optional<replay::Hit> outer, inner;

 private:
  Address outer_sp_, inner_sp_;
};

/// Reads the mark of the map at a moment.
class MarkObserver : public replay::PassObserver {
 public:
  MarkObserver(const ProcessImage& image, std::uint64_t map, const MarkPath& path, Moment& moment)
      : image_(image), map_(map), path_(path), moment_(moment) {}
  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    stand_at(image_, at, registers, memory, moment_);
    std::uint64_t map = map_;
    if (path_.through) {
      const auto inner = live.read_u64(Address{map + *path_.through});
      if (!inner) return;
      map = *inner;
    }
    const Address mark{map + path_.offset};
    const auto value = live.read_as<std::uint8_t>(mark);
    if (!value) return;
    slot = Slot{mark, 1, *value};
    place = describe_source(image_, moment_, mark, 1, memory);
  }
  std::optional<Slot> slot;
  std::optional<SourcePlace> place;

 private:
  const ProcessImage& image_;
  std::uint64_t map_;
  MarkPath path_;
  Moment& moment_;
};

}  // namespace

Result<bool> Chain::begin_at_map(report::Suspect& out) {
  if (crash_ == nullptr || crash_->kind != crash::Kind::go_concurrent_map) return false;
  const std::vector<WalkFrame>& frames = scene_.moment.frames;
  // The function that found the mark is the first with a map among its parameters; it has called
  // the one that ends the program.
  std::optional<MapParameter> parameter;
  std::size_t at = 1;
  for (; at < frames.size(); ++at) {
    if (!frames[at].frame.cfa || !frames[at].code.entry) continue;
    parameter = map_parameter(*image_, frames[at]);
    if (parameter) break;
  }
  if (!parameter || !frames[at - 1].frame.cfa || !frames[at - 1].code.entry) return false;

  // Long before the crash: the traceback has been printed since, and the other goroutine went on.
  const ThreadId thread = scene_.moment.position.thread;
  replay::PassSpec spec;
  for (const WalkFrame* frame : {&frames[at], &frames[at - 1]}) {
    spec.probes.push_back(execution_of(frame->code.entry, *image_, thread));
    spec.probes.back().keep_last = 16;
  }
  spec.end = scene_.moment.mark;
  spec.deadline = remaining();
  TwoEntries entries(*frames[at].frame.cfa, *frames[at - 1].frame.cfa);
  CULPRIT_ASSIGN(replay::PassResult pass, replay_.run(spec, entries));
  count(report_.stats, pass);
  if (!entries.outer || !entries.inner) return false;

  Moment moment;
  moment.mark = hit_mark(spec.probes.back(), entries.inner->ordinal);
  replay::PassSpec again;
  again.end = moment.mark;
  again.deadline = remaining();
  MarkObserver mark(*image_, entries.outer->registers[parameter->reg], parameter->path, moment);
  CULPRIT_ASSIGN(pass, replay_.run(again, mark));
  count(report_.stats, pass);
  if (!mark.slot || !mark.place) return false;

  out.value = mark.slot->value;
  out.size = 1;
  out.description = report::kMapInUse;
  out.how_chosen = "the map that was given to " + frames[at].code.symbol;
  out.location = mark.place->location;
  out.confidence = report::Confidence::proved;
  report_.suspect = out;
  report::Hop hop =
      crash_hop(*image_, scene_, reporting_, &*mark.slot, &mark.place->location, style_);
  report_.hops.push_back(std::move(hop));
  link_ = Link{*mark.slot, *mark.place, moment.mark, std::nullopt};
  ends_at_writer_ = true;
  return true;
}

}  // namespace culprit::provenance
