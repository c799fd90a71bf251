#include "provenance/pointer_origin.h"

#include <utility>


namespace culprit::provenance {
namespace {

class ObjectsObserver : public replay::PassObserver {
 public:
  ObjectsObserver(const ProcessImage& image, const Moment& moment, const std::vector<Address>& addresses)
      : image_(image), moment_(moment), addresses_(addresses) {}
  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    for (const Address a : addresses_) objects.push_back(object_at(image_, moment_, a, live));
  }
  std::vector<std::optional<ObjectBounds>> objects;

 private:
  const ProcessImage& image_;
  const Moment& moment_;
  const std::vector<Address>& addresses_;
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
  const bool in_frame = operand.base == Gpr::rsp ||
                        (operand.base == Gpr::rbp && base && frame_cfa && *base + 16 == frame_cfa->value);
  if (in_frame) {
    if (!operand.index || !base) return std::nullopt;
    return AccessPointer{std::nullopt, *base + disp};
  }
  const auto index = value_of(operand.index);
  const bool swapped = operand.index && operand.scale == 1 && index && image.is_mapped(Address{*index}) &&
                       !(base && image.is_mapped(Address{*base}));
  return swapped ? AccessPointer{operand.index, index} : AccessPointer{operand.base, base};
}

Result<std::optional<PointerOrigin>> pointer_of_access(replay::Replay& replay, const ProcessImage& image,
                                                       const Moment& moment, std::size_t frame,
                                                       Address pc, Gpr reg, bool to_the_end,
                                                       std::chrono::milliseconds deadline,
                                                       report::Stats& stats) {
  CULPRIT_ASSIGN(ResolvedSource source,
                 resolve_register_at(replay, image, moment, frame, pc, reg, to_the_end, WindowLimits{},
                                     deadline, stats));
  if (!source.source.value) return std::optional<PointerOrigin>{};
  const std::uint64_t value = *source.source.value;
  return std::optional(PointerOrigin{value, std::move(source)});
}

Result<std::vector<std::optional<ObjectBounds>>> objects_at(replay::Replay& replay,
                                                            const ProcessImage& image,
                                                            const Moment& moment,
                                                            const std::vector<Address>& addresses,
                                                            std::chrono::milliseconds deadline,
                                                            report::Stats& stats) {
  replay::PassSpec spec;
  spec.end = moment.mark;
  spec.deadline = deadline;
  if (image.heap() != nullptr) spec.heap = *image.heap();
  ObjectsObserver observer(image, moment, addresses);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  stats.passes += 1;
  for (const std::uint64_t hits : pass.raw_hits) stats.hits += hits;
  observer.objects.resize(addresses.size());
  return std::move(observer.objects);
}

}  // namespace culprit::provenance
