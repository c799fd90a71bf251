#include "provenance/long_jump.h"

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>
#include <vector>

#include "provenance/cached_memory.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

constexpr std::uint64_t kStackPointerWord = 6;
constexpr std::uint64_t kPointerGuard = 0x30;
constexpr int kRotation = 2 * 8 + 1;

/// The stack pointer that a jmp_buf holds.
std::optional<Address> stack_pointer_of(Address jump_buffer, std::uint64_t fs_base,
                                        const MemoryReader& memory) {
  const auto hidden = memory.read_u64(jump_buffer + 8 * kStackPointerWord);
  const auto guard = memory.read_u64(Address{fs_base + kPointerGuard});
  if (!hidden || !guard) return std::nullopt;
  return Address{std::rotr(*hidden, kRotation) ^ *guard};
}

class JumpObserver : public replay::PassObserver {
 public:
  JumpObserver(const ProcessImage& image, Address local) : image_(image), local_(local) {}

  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState* live) override {
    if (live == nullptr) return replay::Next::go_on;
    const CachedMemory memory(*live);
    const auto target =
        stack_pointer_of(Address{hit.registers[Gpr::rdi]}, hit.registers.fs_base, memory);
    if (!target || hit.registers.sp() > local_ || *target <= local_) return replay::Next::go_on;
    LongJump jump;
    jump.target = *target;
    stand_at(image_, hit.position, hit.registers, memory, jump.moment);
    found = std::move(jump);
    return replay::Next::go_on;
  }

  std::optional<LongJump> found;  ///< the newest

 private:
  const ProcessImage& image_;
  Address local_;
};

/// The entries that a program calls. Several names have one address.
std::vector<Address> entries(const ProcessImage& image) {
  constexpr std::string_view kNames[] = {"longjmp", "_longjmp", "siglongjmp", "__longjmp_chk"};
  std::vector<Address> out;
  for (const std::string_view name : kNames) {
    for (const binary::SymbolAddress& symbol : image.symbols().find_symbol(name)) {
      if (symbol.function && std::find(out.begin(), out.end(), symbol.address) == out.end()) {
        out.push_back(symbol.address);
      }
    }
  }
  constexpr std::size_t kMost = 3;  // debug registers beside the one that a mark may need
  if (out.size() > kMost) out.resize(kMost);
  return out;
}

}  // namespace

Result<std::optional<LongJump>> find_long_jump_over(replay::Replay& replay, const ProcessImage& image,
                                                    ThreadId thread, Address local,
                                                    const replay::Mark& before,
                                                    std::chrono::milliseconds deadline,
                                                    report::Stats& stats) {
  replay::PassSpec spec;
  for (const Address entry : entries(image)) {
    spec.probes.push_back(execution_of(entry, image, thread));
    spec.probes.back().live = true;
  }
  if (spec.probes.empty()) return std::optional<LongJump>{};
  spec.end = before;
  spec.deadline = deadline;
  JumpObserver observer(image, local);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  return std::move(observer.found);
}

}  // namespace culprit::provenance
