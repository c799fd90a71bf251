// Pointers into a frame that lives on, to what is no variable there any more.
#include <fmt/format.h>

#include "provenance/cached_memory.h"
#include "provenance/chain.h"
#include "provenance/ended_scope.h"
#include "provenance/pass_stats.h"

namespace culprit::provenance {
namespace {

/// Looks at variables at the crash, where their frames can be read.
class ScopeObserver : public replay::PassObserver {
 public:
  ScopeObserver(const ProcessImage& image, const Moment& moment) : image_(image), moment_(moment) {}

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    look(CachedMemory(live));
  }

  void look(const MemoryReader& memory) {
    if (pointer && holder)
      meant = ended_variable_pointed_to(image_, moment_, user, *holder, *pointer, memory);
    ended.clear();
    for (const report::Owner* owner : owners)
      ended.push_back(scope_has_ended(image_, moment_, *owner, memory));
  }

  std::optional<Address> pointer;  ///< in: that frame `user` read through
  std::size_t user = 0;
  std::optional<std::size_t> holder;
  std::vector<const report::Owner*> owners;  ///< in
  std::optional<report::Location> meant;     ///< out
  std::vector<bool> ended;                   ///< out, parallel to owners

 private:
  const ProcessImage& image_;
  const Moment& moment_;
};

bool in_living_frame(const report::Location& location) {
  return location.region == report::RegionKind::stack && location.owner && location.owner->frame &&
         !location.owner->variable.empty();
}

}  // namespace

void Chain::explain_ended_scopes() {
  if (report_.hops.empty() || !scene_.fault || image_ != images_.front().get()) return;
  ScopeObserver observer(*image_, scene_.moment);
  const auto& read = report_.hops.front().location;
  const bool into_frame = read && in_living_frame(*read);
  if (into_frame && first_reader_ && first_reader_->pointer &&
      first_reader_->frame < scene_.moment.frames.size()) {
    const WalkFrame& frame = scene_.moment.frames[first_reader_->frame];
    observer.user = first_reader_->frame;
    observer.holder = scene_.moment.frame_of(read->address);
    // The pointer's register may hold what was read by now: the object begins where the way says
    // so, or at the start of the variable that is there.
    if (const auto held = frame.frame.registers.get(*first_reader_->pointer))
      observer.pointer = Address{*held};
    if (read->owner->object &&
        (!observer.pointer || scene_.moment.frame_of(*observer.pointer) != observer.holder))
      observer.pointer = read->owner->object;
  }
  std::vector<std::size_t> kept;  // hops that a pointer was kept in a local at
  for (std::size_t i = 0; i < report_.hops.size(); ++i) {
    const report::Hop& hop = report_.hops[i];
    if (hop.main_line || hop.kind != report::HopKind::store || !hop.location ||
        !in_living_frame(*hop.location) || hop.location->owner->life.died) {
      continue;
    }
    kept.push_back(i);
    observer.owners.push_back(&*hop.location->owner);
  }
  if (kept.empty() && !observer.pointer) return;
  begin_phase("looking whose scope had ended");
  observer.look(scene_.stack);
  if (scene_.stack.missed()) {
    // Not all of it lies on the stack.
    replay::PassSpec spec;
    spec.end = candidate_.mark;
    spec.deadline = remaining();
    const auto pass = replay_.run(spec, observer);
    if (!pass.ok()) return;
    count(report_.stats, *pass);
  }
  for (std::size_t i = 0; i < kept.size() && i < observer.ended.size(); ++i) {
    if (!observer.ended[i]) continue;
    report_.hops[kept[i]].location->owner->life.died.emplace().description = "its scope had ended";
  }
  if (!observer.meant) return;
  const report::Owner& owner = *observer.meant->owner;
  report::Hop hop;
  hop.kind = report::HopKind::origin;
  hop.position = report_.hops.front().position;
  hop.writer.function = owner.function;
  hop.writer.file = owner.declared_file;
  hop.writer.line = owner.declared_line;
  hop.writer.module = owner.module;
  if (auto text = image_->sources().line(owner.declared_file, owner.declared_line))
    hop.writer.source_line = *std::move(text);
  hop.value_after = observer.meant->address.value;
  hop.summary = fmt::format(
      "the pointer is declared to lead to a {}, which {} was there until its scope ended",
      owner.type, owner.variable);
  hop.confidence = report::Confidence::likely;
  hop.note =
      "told by the types: the code that used the pointer declares it so, and no variable of that "
      "type is "
      "in scope there";
  hop.location = std::move(observer.meant);
  add_side(std::move(hop), 0);
}

}  // namespace culprit::provenance
