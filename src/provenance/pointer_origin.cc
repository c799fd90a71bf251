#include "provenance/pointer_origin.h"

#include <utility>

#include "provenance/pass_stats.h"

namespace culprit::provenance {
namespace {

class ObjectObserver : public replay::PassObserver {
 public:
  ObjectObserver(const ProcessImage& image, const Moment& moment, Address pointer, Address stored,
                 const std::optional<ByteRange>& filled)
      : image_(image), moment_(moment), pointer_(pointer), stored_(stored), filled_(filled) {}
  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    meant = object_meant_at(image_, moment_, pointer_, stored_, live);
    if (filled_ && meant.array && fills_whole_parts(image_, moment_, *filled_, live))
      meant.array.reset();
  }
  IntendedObject meant;

 private:
  const ProcessImage& image_;
  const Moment& moment_;
  Address pointer_;
  Address stored_;
  std::optional<ByteRange> filled_;
};

}  // namespace

std::optional<AccessPointer> pointer_of(const ProcessImage& image, const x86::MemOperand& operand,
                                        const Registers& registers, std::uint16_t known,
                                        std::optional<Address> frame_cfa) {
  if (operand.rip_relative) return std::nullopt;
  const auto value_of = [&](std::optional<Gpr> reg) -> std::optional<std::uint64_t> {
    if (!reg || (known >> static_cast<unsigned>(*reg) & 1) == 0) return std::nullopt;
    return registers[*reg];
  };
  const auto disp = static_cast<std::uint64_t>(operand.disp);
  if (!operand.base) {
    // table[i] at a fixed address.
    if (!operand.index || !image.is_mapped(Address{disp})) return std::nullopt;
    return AccessPointer{std::nullopt, disp};
  }
  const auto base = value_of(operand.base);
  const bool in_frame = operand.base == Gpr::rsp || (operand.base == Gpr::rbp && base &&
                                                     frame_cfa && *base + 16 == frame_cfa->value);
  if (in_frame) {
    if (!operand.index || !base) return std::nullopt;
    return AccessPointer{std::nullopt, *base + disp};
  }
  const auto index = value_of(operand.index);
  const bool swapped = operand.index && operand.scale == 1 && index &&
                       image.is_mapped(Address{*index}) &&
                       !(base && image.is_mapped(Address{*base}));
  return swapped ? AccessPointer{operand.index, index} : AccessPointer{operand.base, base};
}

Result<std::optional<PointerOrigin>> pointer_of_access(
    replay::Replay& replay, const ProcessImage& image, const Moment& moment, std::size_t frame,
    Address pc, Gpr reg, bool to_the_end, WindowLimits limits, std::chrono::milliseconds deadline,
    report::Stats& stats, WindowAnswers& answers) {
  CULPRIT_ASSIGN(ResolvedSource source,
                 resolve_register_at(replay, image, moment, frame, pc, reg, to_the_end, limits,
                                     deadline, stats, answers));
  if (!source.source.value) return std::optional<PointerOrigin>{};
  const std::uint64_t value = *source.source.value;
  return std::optional(PointerOrigin{value, std::move(source)});
}

Result<IntendedObject> object_meant(replay::Replay& replay, const ProcessImage& image,
                                    const Moment& moment, Address pointer, Address stored,
                                    std::chrono::milliseconds deadline, report::Stats& stats,
                                    std::optional<ByteRange> filled) {
  replay::PassSpec spec;
  spec.end = moment.mark;
  spec.deadline = deadline;
  if (image.heap() != nullptr) spec.heap = *image.heap();
  ObjectObserver observer(image, moment, pointer, stored, filled);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  return std::move(observer.meant);
}

}  // namespace culprit::provenance
