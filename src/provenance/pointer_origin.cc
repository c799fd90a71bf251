#include "provenance/pointer_origin.h"

#include <utility>

#include "x86/instruction.h"

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

Result<std::optional<PointerOrigin>> pointer_of_access(replay::Replay& replay, const ProcessImage& image,
                                                       const Moment& moment, std::size_t frame,
                                                       Address pc, std::size_t operand,
                                                       std::chrono::milliseconds deadline,
                                                       report::Stats& stats) {
  const ModuleCode code(image.modules());
  const auto instruction = x86::decode_at(code, pc);
  if (!instruction.ok() || operand >= instruction->memory.size()) return std::optional<PointerOrigin>{};
  const x86::MemOperand& memory = instruction->memory[operand];
  if (!memory.base || memory.rip_relative) return std::optional<PointerOrigin>{};
  CULPRIT_ASSIGN(ResolvedSource source,
                 resolve_register_at(replay, image, moment, frame, pc, *memory.base, WindowLimits{},
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
