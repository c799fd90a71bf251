#include "provenance/call_moment.h"

#include <array>

#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/visit.h"

namespace culprit::provenance {
namespace {

constexpr std::uint32_t kKeptCalls = 2048;

/// The argument registers and the stack pointer tell calls between two system calls apart.
bool same_call(const replay::Hit& hit, const replay::HeapCall& call) {
  constexpr std::array<Gpr, 7> kCompared = {Gpr::rsp, Gpr::rdi, Gpr::rsi, Gpr::rbx,
                                            Gpr::rbp, Gpr::r12, Gpr::r13};
  for (const Gpr reg : kCompared) {
    if (hit.registers[reg] != call.registers[reg]) return false;
  }
  return hit.position.syscalls == call.position.syscalls;
}

class CallsObserver : public replay::PassObserver {
 public:
  explicit CallsObserver(const replay::HeapCall& call) : call_(call) {}
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    if (same_call(hit, call_)) {
      ++alike;
      found = hit;
    }
    return replay::Next::go_on;
  }
  std::optional<replay::Hit> found;
  int alike = 0;

 private:
  const replay::HeapCall& call_;
};

}  // namespace

Result<std::optional<Moment>> moment_of_call(replay::Replay& replay, const ProcessImage& image,
                                             const replay::HeapCall& call,
                                             const replay::Mark& before,
                                             std::chrono::milliseconds deadline,
                                             report::Stats& stats) {
  const std::optional<Moment> nothing;
  replay::Probe entry = execution_of(call.registers.pc(), image, call.position.thread);
  entry.keep_last = kKeptCalls;
  replay::PassSpec counting;
  counting.probes.push_back(entry);
  counting.end = before;
  counting.deadline = deadline;
  CallsObserver calls(call);
  CULPRIT_ASSIGN(const replay::PassResult counted, replay.run(counting, calls));
  count(stats, counted);
  if (!calls.found || calls.alike != 1) return nothing;

  return visit(replay, image, hit_mark(entry, calls.found->ordinal), deadline, stats);
}

}  // namespace culprit::provenance
