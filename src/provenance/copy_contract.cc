#include "provenance/copy_contract.h"

#include <algorithm>
#include <array>
#include <utility>

#include "provenance/cached_memory.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

struct Known {
  std::string_view name;
  CopyContract contract;
};

constexpr std::array kKnown = {
    Known{"memcpy", {Gpr::rdi, Gpr::rsi, Gpr::rdx}},
    Known{"memmove", {Gpr::rdi, Gpr::rsi, Gpr::rdx}},
    Known{"mempcpy", {Gpr::rdi, Gpr::rsi, Gpr::rdx}},
    Known{"bcopy", {Gpr::rsi, Gpr::rdi, Gpr::rdx}},
    Known{"strcpy", {Gpr::rdi, Gpr::rsi, std::nullopt}},
    Known{"stpcpy", {Gpr::rdi, Gpr::rsi, std::nullopt}},
    Known{"strncpy", {Gpr::rdi, Gpr::rsi, Gpr::rdx}},
    Known{"stpncpy", {Gpr::rdi, Gpr::rsi, Gpr::rdx}},
};

/// What glibc puts behind the name of an implementation. Each begins a list of such words.
constexpr std::array<std::string_view, 9> kVariants = {
    "_avx", "_sse2", "_ssse3", "_evex", "_erms", "_unaligned", "_chk", "_generic", "_internal"};

/// A string's copy reaches this far at most.
constexpr std::uint64_t kLongestString = std::uint64_t{1} << 32;

/// A signal handler may copy as well while a copy is under way.
constexpr std::uint32_t kKeptEntries = 16;

/// True if the call that was entered with `entry` may still be the one that the store belongs to:
/// these functions make no system calls and leave the registers alone that a call must keep (System
/// V ABI, 3.2.1). mempcpy joins memmove's code behind its entry: then an older entry must not be
/// taken for its.
bool same_call(const replay::Hit& entry, const WriterHit& writer) {
  constexpr std::array kKept = {Gpr::rbx, Gpr::rbp, Gpr::r12, Gpr::r13, Gpr::r14, Gpr::r15};
  const Registers& now = writer.hit.registers;
  return entry.position.syscalls == writer.hit.position.syscalls &&
         std::all_of(kKept.begin(), kKept.end(),
                     [&](Gpr reg) { return entry.registers[reg] == now[reg]; });
}

/// Finds the entry of the writer's activation, and reads the source once the pass stands at the
/// store.
class CopyObserver : public EntryObserver {
 public:
  CopyObserver(const ProcessImage& image, const WriterHit& writer, const Slot& slot,
               const CopyContract& contract, Address cfa)
      : EntryObserver(cfa), image_(image), writer_(writer), slot_(slot), contract_(contract) {}

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    if (!entered || !same_call(*entered, writer_)) return;
    const auto source = copied_from(contract_, entered->registers, slot_.range());
    if (!source) return;
    const CachedMemory memory(live);
    std::uint64_t bytes = 0;
    const auto out = std::as_writable_bytes(std::span(&bytes, 1)).first(slot_.size);
    if (memory.read(*source, out) != slot_.size || bytes != slot_.value) return;
    const x86::Instruction& store = writer_.writer->instruction;
    ResolvedSource& found = resolved.emplace();
    found.source.kind = ValueSource::Kind::memory;
    found.source.frame = writer_.frame;
    found.source.pc = store.address;
    found.source.instruction = x86::text(store);
    found.source.address = source;
    found.source.size = slot_.size;
    found.source.value = bytes;
    found.source.certainty = Certainty::proved;
    found.place = describe_source(image_, writer_.moment, *source, slot_.size, memory);
  }

  std::optional<ResolvedSource> resolved;

 private:
  const ProcessImage& image_;
  const WriterHit& writer_;
  const Slot& slot_;
  const CopyContract& contract_;
};

}  // namespace

std::optional<CopyContract> copy_contract(std::string_view symbol) {
  for (const std::string_view prefix : {"__GI_", "__"}) {
    while (symbol.starts_with(prefix)) symbol.remove_prefix(prefix.size());
  }
  for (const Known& known : kKnown) {
    if (!symbol.starts_with(known.name)) continue;
    const std::string_view rest = symbol.substr(known.name.size());
    if (rest.empty() ||
        std::any_of(kVariants.begin(), kVariants.end(),
                    [&](std::string_view variant) { return rest.starts_with(variant); })) {
      return known.contract;
    }
  }
  return std::nullopt;
}

std::optional<Address> copied_from(const CopyContract& contract, const Registers& entry,
                                   ByteRange stored) {
  const std::uint64_t destination = entry[contract.destination];
  const std::uint64_t size = contract.size ? entry[*contract.size] : kLongestString;
  const std::uint64_t offset = stored.start.value - destination;
  if (offset >= size || stored.size > size - offset) return std::nullopt;
  return Address{entry[contract.source] + offset};
}

Result<std::optional<ResolvedSource>> resolve_copy(replay::Replay& replay,
                                                   const ProcessImage& image,
                                                   const WriterHit& writer, const Slot& slot,
                                                   std::chrono::milliseconds deadline,
                                                   report::Stats& stats) {
  const std::optional<ResolvedSource> nothing;
  if (!writer.writer || writer.frame >= writer.moment.frames.size()) return nothing;
  const WalkFrame& frame = writer.moment.frames[writer.frame];
  const auto contract = copy_contract(frame.code.symbol_linkage);
  if (!contract || !frame.code.entry || !frame.frame.cfa) return nothing;
  replay::PassSpec spec;
  spec.probes.push_back(execution_of(frame.code.entry, image, writer.moment.position.thread));
  spec.probes.back().keep_last = kKeptEntries;
  spec.end = writer.moment.mark;
  spec.deadline = deadline;
  CopyObserver observer(image, writer, slot, *contract, *frame.frame.cfa);
  CULPRIT_ASSIGN(const auto pass, run_unless_hot(replay, spec, observer, stats));
  if (!pass) return nothing;
  return std::move(observer.resolved);
}

}  // namespace culprit::provenance
