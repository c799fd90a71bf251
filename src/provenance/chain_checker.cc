// A crash that a checker of pointers raised: the program was stopped because of the pointer that
// the checker was given.
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
#include "report/suspect_words.h"

namespace culprit::provenance {
namespace {

/// Go's runtime/checkptr.go, the same from Go 1.14 to 1.26: the first argument is the pointer, in
/// rax (src/cmd/compile/abi-internal.md, amd64).
constexpr std::array<std::string_view, 2> kCheckers = {"runtime.checkptrArithmetic",
                                                       "runtime.checkptrAlignment"};

/// Stands at that call.
class ArgumentObserver : public replay::PassObserver {
 public:
  ArgumentObserver(const ProcessImage& image, Moment& moment) : image_(image), moment_(moment) {}
  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    stand_at(image_, at, registers, memory, moment_);
    if (moment_.frames.size() < 2) return;
    const auto call = call_before(moment_.frames[1], memory);
    if (!call) return;
    question = ValueQuestion{1, call->address, false, x86::whole(Gpr::rax)};
    source.source = find_source(image_, moment_, *question, memory);
    if (source.source.kind != ValueSource::Kind::memory || !source.source.address) return;
    source.place =
        describe_source(image_, moment_, *source.source.address, source.source.size, memory);
  }
  std::optional<ValueQuestion> question;
  ResolvedSource source;

 private:
  const ProcessImage& image_;
  Moment& moment_;
};

}  // namespace

Result<bool> Chain::begin_at_checker(report::Suspect& out) {
  if (crash_ == nullptr || crash_->kind != crash::Kind::go_checkptr) return false;
  const std::vector<WalkFrame>& frames = scene_.moment.frames;
  std::size_t at = 0;
  while (at < frames.size() && std::find(kCheckers.begin(), kCheckers.end(),
                                         frames[at].code.symbol_linkage) == kCheckers.end()) {
    ++at;
  }
  if (at >= frames.size() || !frames[at].frame.cfa || !frames[at].code.entry) return false;

  // Long before the crash: the traceback has been printed since.
  replay::PassSpec spec;
  spec.probes.push_back(
      execution_of(frames[at].code.entry, *image_, scene_.moment.position.thread));
  spec.probes.back().keep_last = 16;
  spec.end = scene_.moment.mark;
  spec.deadline = remaining();
  EntryObserver observer(*frames[at].frame.cfa);
  CULPRIT_ASSIGN(replay::PassResult pass, replay_.run(spec, observer));
  count(report_.stats, pass);
  if (!observer.entered) return false;
  const std::uint64_t value = observer.entered->registers[Gpr::rax];

  Moment moment;
  moment.mark = hit_mark(spec.probes.front(), observer.entered->ordinal);
  replay::PassSpec again;
  again.end = moment.mark;
  again.deadline = remaining();
  ArgumentObserver argument(*image_, moment);
  CULPRIT_ASSIGN(pass, replay_.run(again, argument));
  count(report_.stats, pass);
  if (!argument.question) return false;
  CULPRIT_ASSIGN(
      const ResolvedSource source,
      resolve(moment, *argument.question, argument.source.source, argument.source.place, value));
  out.value = value;
  out.description = report::kCheckedPointer;
  out.how_chosen = "the argument of " + frames[at].code.symbol;
  out.confidence = report::Confidence::proved;
  if (source.place) out.location = source.place->location;
  report_.suspect = out;
  report::Hop hop = crash_hop(*image_, scene_, reporting_, nullptr,
                              source.place ? &source.place->location : nullptr, style_);
  hop.value_after = value;
  hop.source = report_source(source.source, source.place, value);
  report_.hops.push_back(std::move(hop));
  go_on(source, moment, moment.frames[1].code, value);
  return true;
}

}  // namespace culprit::provenance
