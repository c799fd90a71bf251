#include "provenance/library_contract.h"

#include <algorithm>
#include <array>

#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "report/program_code.h"

namespace culprit::provenance {
namespace {

struct Known {
  std::string_view name;
  BufferContract contract;
};

constexpr std::array kKnown = {
    Known{"memcpy", {Gpr::rdi, false, Gpr::rdx}},  Known{"memmove", {Gpr::rdi, false, Gpr::rdx}},
    Known{"mempcpy", {Gpr::rdi, false, Gpr::rdx}}, Known{"memset", {Gpr::rdi, false, Gpr::rdx}},
    Known{"memccpy", {Gpr::rdi, false}}, Known{"bcopy", {Gpr::rsi, false, Gpr::rdx}},
    Known{"bzero", {Gpr::rdi, false, Gpr::rsi}},   Known{"fread", {Gpr::rdi, false}},
    Known{"strcpy", {Gpr::rdi, true}},   Known{"strncpy", {Gpr::rdi, true}},
    Known{"stpcpy", {Gpr::rdi, true}},   Known{"stpncpy", {Gpr::rdi, true}},
    Known{"strcat", {Gpr::rdi, true}},   Known{"strncat", {Gpr::rdi, true}},
    Known{"strlcpy", {Gpr::rdi, true}},  Known{"strlcat", {Gpr::rdi, true}},
    Known{"sprintf", {Gpr::rdi, true}},  Known{"snprintf", {Gpr::rdi, true}},
    Known{"vsprintf", {Gpr::rdi, true}}, Known{"vsnprintf", {Gpr::rdi, true}},
    Known{"gets", {Gpr::rdi, true}},     Known{"fgets", {Gpr::rdi, true}},
    Known{"strftime", {Gpr::rdi, true}}, Known{"getcwd", {Gpr::rdi, true}},
    Known{"realpath", {Gpr::rsi, true}}, Known{"strerror_r", {Gpr::rsi, true}},
    Known{"wcscpy", {Gpr::rdi, true}},   Known{"wmemcpy", {Gpr::rdi, false}},
};

/// "__GI___strcpy_chk" -> "strcpy", "__memcpy_avx_unaligned_erms" -> "memcpy", "_IO_vsprintf" ->
/// "vsprintf".
std::string_view plain(std::string_view name) {
  for (const std::string_view prefix : {"__GI_", "_IO_", "__"}) {
    while (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  while (name.starts_with('_')) name.remove_prefix(1);
  return name.substr(0, name.find('_'));
}

}  // namespace

std::optional<BufferContract> buffer_contract(std::string_view symbol) {
  const std::string_view name = symbol == "strerror_r" ? symbol : plain(symbol);
  for (const Known& known : kKnown) {
    if (known.name == name) return known.contract;
  }
  return std::nullopt;
}

Result<std::optional<BufferCall>> find_buffer_call(replay::Replay& replay,
                                                   const ProcessImage& image, const Moment& moment,
                                                   std::chrono::milliseconds deadline,
                                                   report::Stats& stats) {
  constexpr std::size_t kDeepest = 12;
  constexpr std::uint32_t kKept = 256;
  std::optional<BufferCall> call;
  for (std::size_t i = 0; i < moment.frames.size() && i < kDeepest; ++i) {
    const binary::CodeLocation& code = moment.frames[i].code;
    if (!code.frames.empty() && report::is_program_code(code.frames.back().position.file)) break;
    if (const auto contract = buffer_contract(code.symbol_linkage))
      call = BufferCall{i, *contract, 0, {}, {}};
  }
  if (!call) return call;
  const WalkFrame& frame = moment.frames[call->frame];
  if (!frame.code.entry || !frame.frame.cfa) return std::optional<BufferCall>{};
  replay::PassSpec spec;
  spec.probes.push_back(execution_of(frame.code.entry, image, moment.position.thread));
  spec.probes.back().keep_last = kKept;
  spec.end = moment.mark;
  spec.deadline = deadline;
  EntryObserver observer(*frame.frame.cfa);
  CULPRIT_ASSIGN(const auto pass, run_unless_hot(replay, spec, observer, stats));
  if (!pass || !observer.entered) return std::optional<BufferCall>{};
  const Registers& entry = observer.entered->registers;
  call->destination = entry[call->contract.destination];
  call->entry = hit_mark(spec.probes.back(), observer.entered->ordinal);
  if (call->contract.length) call->length = entry[*call->contract.length];
  return call;
}

}  // namespace culprit::provenance
