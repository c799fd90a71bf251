#include "provenance/visit.h"

#include <utility>

#include "provenance/cached_memory.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"

namespace culprit::provenance {
namespace {

class VisitObserver : public replay::PassObserver {
 public:
  VisitObserver(const ProcessImage& image, Moment& moment) : image_(image), moment_(moment) {}
  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    stand_at(image_, at, registers, memory, moment_);
  }

 private:
  const ProcessImage& image_;
  Moment& moment_;
};

}  // namespace

Result<std::optional<Moment>> visit(replay::Replay& replay, const ProcessImage& image,
                                    const replay::Mark& mark, std::chrono::milliseconds deadline,
                                    report::Stats& stats) {
  Moment moment;
  moment.mark = mark;
  replay::PassSpec spec;
  spec.end = mark;
  spec.deadline = deadline;
  VisitObserver observer(image, moment);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!pass.end_reached || moment.frames.empty()) return std::optional<Moment>{};
  return std::optional(std::move(moment));
}

replay::Mark entry_of_call(const replay::TraceIndex& index, const replay::Frame& exit) {
  return entry_mark(exit.thread, index.syscalls_until(exit.thread, exit.event));
}

}  // namespace culprit::provenance
