#include "provenance/source_passes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "provenance/ask_window.h"
#include "provenance/cached_memory.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/window_answers.h"
#include "provenance/window_moment.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

constexpr std::uint32_t kKeptHits = 256;
/// A load that is executed more often is left to a window, some turns of its loop long.
constexpr std::uint64_t kHotLoad = 30'000;

/// Collects the newest executions of one instruction.
class ExecutionObserver : public replay::PassObserver {
 public:
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    hits.push_back(hit);
    return replay::Next::go_on;
  }
  std::vector<replay::Hit> hits;  ///< oldest first, at most kKeptHits
};

/// The newest hit that belongs to the activation with this CFA; where no CFA can be told, the
/// newest.
const replay::Hit* newest_in_frame(const ProcessImage& image, const std::vector<replay::Hit>& hits,
                                   std::optional<Address> cfa) {
  bool comparable = false;
  for (auto it = hits.rbegin(); it != hits.rend(); ++it) {
    const auto at = cfa_at(image, it->registers);
    if (!at || !cfa) continue;
    comparable = true;
    if (*at == *cfa) return &*it;
  }
  return comparable || hits.empty() ? nullptr : &hits.back();
}

void name_place(const ProcessImage& image, const Moment& moment, const replay::LiveState& live,
                ResolvedSource& resolved) {
  if (!resolved.source.address) return;
  const CachedMemory memory(live);
  resolved.place =
      describe_source(image, moment, *resolved.source.address, resolved.source.size, memory);
}

/// Works out a load's address from its newest execution, once the pass stands at the moment.
class LoadObserver : public ExecutionObserver {
 public:
  LoadObserver(const ProcessImage& image, const Moment& moment, ResolvedSource& out)
      : image_(image), moment_(moment), out_(out) {}
  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    const replay::Hit* hit =
        newest_in_frame(image_, hits, moment_.frames[out_.source.frame].frame.cfa);
    if (hit == nullptr) {
      out_.source.note = "the load was not seen to execute in this frame";
      return;
    }
    const auto address = x86::effective_address(*out_.source.operand, hit->registers);
    if (!address) return;
    out_.source.kind = ValueSource::Kind::memory;
    out_.source.address = *address + out_.source.operand_offset;
    name_place(image_, moment_, live, out_);
  }

 private:
  const ProcessImage& image_;
  const Moment& moment_;
  ResolvedSource& out_;
};

std::optional<Place> asked_place(const ValueQuestion& question, const Moment& moment,
                                 const ModuleCode& code) {
  if (const auto* reg = std::get_if<x86::RegisterBytes>(&question.asked)) return Place{*reg};
  if (const auto* range = std::get_if<ByteRange>(&question.asked)) return Place{*range};
  const auto& stored = std::get<StoredBytes>(question.asked);
  const auto instruction = x86::decode_at(code, question.pc);
  if (!instruction.ok() || stored.operand >= instruction->memory.size()) return std::nullopt;
  const auto before = x86::registers_before(*instruction, moment.registers);
  const auto address =
      x86::effective_address(instruction->memory[stored.operand], before.registers);
  if (!address) return std::nullopt;
  return Place{ByteRange{*address + stored.offset, stored.size}};
}

}  // namespace

Result<ResolvedSource> resolve_load(replay::Replay& replay, const ProcessImage& image,
                                    const Moment& moment, const ValueSource& load,
                                    std::chrono::milliseconds deadline, report::Stats& stats) {
  ResolvedSource out{load, std::nullopt};
  if (!load.operand || load.frame >= moment.frames.size()) return out;
  LoadObserver observer(image, moment, out);
  replay::PassSpec spec;
  spec.probes.push_back(execution_of(load.pc, image, moment.position.thread));
  spec.probes.front().keep_last = kKeptHits;
  spec.end = moment.mark;
  spec.deadline = deadline;
  CULPRIT_ASSIGN(const auto pass, run_unless_hot(replay, spec, observer, stats, kHotLoad));
  if (!pass) out.source.note = "the load is executed too often to be looked for";
  return out;
}

namespace {

/// A moment's life in its activation: so many system calls since the entry of its function mean
/// that a window from there would be long.
constexpr std::uint64_t kLongLife = 8;

/// While the entries of functions are counted, what follows them is stepped as well, up to so many
/// instructions of a caller before the next one's entry, and so many altogether.
constexpr std::uint32_t kOuterSteps = 2'000;
constexpr std::uint32_t kTrialSteps = 20'000;

/// True if the window's instructions, read from `code`, say no more than that the value was in a
/// register at the begin: a wider one may tell.
bool open_at_begin(const WindowQuestion& question, const ResolvedSource& out) {
  if (out.source.kind != ValueSource::Kind::register_) return false;
  return !(question.to_the_end && out.source.value);  // what the function was given
}

/// A question, and how far it has come.
struct Asking {
  FrameQuestion asked;
  ResolvedSource out;
  std::size_t frames = 0;  ///< of the window's frames: so many entries have been asked from
  bool settled = false;
};

/// Counts the entries of some of the moment's frames, innermost first, and asks the window that
/// came with them, if one did: from the entry of a question's own frame, then, if that is not
/// enough, of the next ones. Where an answer is that the value was loaded through a pointer, it is
/// asked where that came from: the chain often wants to know.
class EntriesObserver : public ExecutionObserver {
 public:
  EntriesObserver(const ProcessImage& image, const Moment& moment, const ModuleCode& code,
                  const std::vector<std::size_t>& frames, int max_frames,
                  std::vector<Asking>& questions)
      : image_(image),
        moment_(moment),
        code_(code),
        frames_(frames),
        max_frames_(static_cast<std::size_t>(std::max(max_frames, 1))),
        questions_(questions) {}

  void on_window(const replay::StepWindow& window) override {
    std::size_t begin = window.steps.size();
    for (const std::size_t frame : frames_) {
      const auto entry = entry_before(window, begin, moment_.frames[frame]);
      if (!entry) return;
      begin = *entry;
      replay::StepWindow& part = parts_.emplace_back();
      part.thread = window.thread;
      part.steps.assign(window.steps.begin() + static_cast<std::ptrdiff_t>(begin),
                        window.steps.end());
      part.final_registers = window.final_registers;
    }
  }

  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override {
    const std::size_t known = questions_.size();
    for (std::size_t i = 0; i < known; ++i) {
      ask(questions_[i], live);
      const ValueSource& source = questions_[i].out.source;
      if (!questions_[i].settled || !source.address) continue;
      const auto pointer = pointer_of_load(code_, source.pc);
      if (!pointer) continue;
      Asking next;
      next.asked = {source.frame, source.pc, {x86::whole(*pointer), {}, source.pc}};
      next.out.source.frame = source.frame;
      next.out.source.pc = source.pc;
      ask(next, live);
      questions_.push_back(std::move(next));
    }
  }

 private:
  /// The newest step before step `end` that begins the activation of `frame`.
  [[nodiscard]] static std::optional<std::size_t> entry_before(const replay::StepWindow& window,
                                                               std::size_t end,
                                                               const WalkFrame& frame) {
    for (std::size_t i = end; i-- > 0;) {
      const Registers& step = window.steps[i];
      if (step.pc() == frame.code.entry && step.sp() == *frame.frame.cfa - 8) return i;
    }
    return std::nullopt;
  }

  void ask(Asking& asking, const replay::LiveState& live) const {
    const auto own = std::find(frames_.begin(), frames_.end(), asking.asked.frame);
    for (auto k = static_cast<std::size_t>(own - frames_.begin()); k < parts_.size(); ++k) {
      ask_window(image_, moment_, code_, asking.asked.question, frames_[k], parts_[k], live,
                 asking.out);
      ++asking.frames;
      asking.settled =
          !open_at_begin(asking.asked.question, asking.out) || asking.frames == max_frames_;
      if (asking.settled) return;
    }
  }

  const ProcessImage& image_;
  const Moment& moment_;
  const ModuleCode& code_;
  const std::vector<std::size_t>& frames_;
  std::size_t max_frames_;
  std::vector<Asking>& questions_;
  std::vector<replay::StepWindow>
      parts_;  ///< the window from the entry of each frame, as far as it goes
};

/// What asking one window came to.
enum class Asked : std::uint8_t { answered, open, too_long };

struct WindowAsker;

/// Asks the window that the pass steps.
class OneWindowObserver : public replay::PassObserver {
 public:
  OneWindowObserver(const WindowAsker& asker, std::size_t frame, ResolvedSource& out)
      : asker_(asker), frame_(frame), out_(out) {}
  void on_window(const replay::StepWindow& window) override { window_ = &window; }
  void on_end(const replay::Position&, const Registers&, const replay::LiveState& live) override;

 private:
  const WindowAsker& asker_;
  std::size_t frame_;
  ResolvedSource& out_;
  const replay::StepWindow* window_ = nullptr;  ///< it stays until the pass has ended
};

/// One question to any number of windows.
struct WindowAsker {
  replay::Replay& replay;
  const ProcessImage& image;
  const Moment& moment;
  const ModuleCode& code;
  const WindowQuestion& question;
  const WindowLimits& limits;
  std::chrono::milliseconds deadline;
  report::Stats& stats;

  /// Asks the window from `begin`, a moment in frame `frame`, to the moment. `out` keeps what is
  /// found.
  Result<Asked> ask(const replay::Mark& begin, std::size_t frame, ResolvedSource& out) const {
    return ask(begin, frame, limits.budget, out);
  }
  Result<Asked> ask(const replay::Mark& begin, std::size_t frame, std::uint64_t budget,
                    ResolvedSource& out) const {
    replay::PassSpec stepping;
    replay::StepSpec step;
    step.begin = begin;
    step.max_steps = limits.max_steps;
    step.budget = budget;
    stepping.step = step;
    stepping.end = moment.mark;
    stepping.deadline = deadline;
    OneWindowObserver observer(*this, frame, out);
    const auto stepped = replay.run(stepping, observer);
    if (!stepped.ok() && stepped.error().code == ErrorCode::bad_input) {
      // What a shorter window has found stands.
      stats.passes += 1;
      out.source.note = stepped.error().message;
      return Asked::too_long;
    }
    if (!stepped.ok()) return stepped.error();
    count(stats, *stepped);
    const bool at_start = out.source.kind == ValueSource::Kind::register_ ||
                          out.source.kind == ValueSource::Kind::unknown;
    return at_start ? Asked::open : Asked::answered;
  }
};

void OneWindowObserver::on_end(const replay::Position&, const Registers&,
                               const replay::LiveState& live) {
  if (window_ == nullptr) return;
  ask_window(asker_.image, asker_.moment, asker_.code, asker_.question, frame_, *window_, live,
             out_);
}

/// A first try with a window takes this many instructions at most: some half a second.
constexpr std::uint64_t kShortWindow = 30'000;

/// A place on the stack without a name: a wider window sees through it.
bool is_spill(const Moment& moment, const ResolvedSource& found) {
  return found.source.address && moment.frame_of(*found.source.address) &&
         !(found.place && found.place->location.owner &&
           !found.place->location.owner->variable.empty());
}

/// The newest executions of the instruction at `pc` by the moment's thread, oldest first. One pass.
/// None if it is executed too often to be looked for.
Result<std::vector<replay::Hit>> executions_before(const WindowAsker& asker, Address pc) {
  ExecutionObserver executions;
  replay::PassSpec counting;
  counting.probes.push_back(execution_of(pc, asker.image, asker.moment.position.thread));
  counting.probes.back().keep_last = kKeptHits;
  counting.end = asker.moment.mark;
  counting.deadline = asker.deadline;
  CULPRIT_ASSIGN(const auto counted,
                 run_unless_hot(asker.replay, counting, executions, asker.stats));
  return counted ? std::move(executions.hits) : std::vector<replay::Hit>{};
}

/// Asks windows that begin at earlier executions of the question's own instruction in the same
/// activation, the shortest first: in a function that runs for long (an interpreter's loop, main)
/// its entry is too far away, and the values that a turn of a loop uses are mostly made in that
/// turn. Nothing if none of them tells.
Result<std::optional<ResolvedSource>> ask_recent(const WindowAsker& asker, std::size_t frame,
                                                 Address pc, const ResolvedSource& unresolved) {
  CULPRIT_ASSIGN(std::vector<replay::Hit> hits, executions_before(asker, pc));
  if (!hits.empty()) hits.pop_back();  // the execution that is asked about
  std::erase_if(hits, [&](const replay::Hit& hit) {
    const auto cfa = cfa_at(asker.image, hit.registers);
    return cfa && cfa != asker.moment.frames[frame].frame.cfa;
  });

  std::optional<ResolvedSource> best;
  constexpr std::size_t kWider = 16;
  for (std::size_t back = 1; !hits.empty(); back = std::min(back * kWider, hits.size())) {
    const replay::Mark begin = hit_mark(execution_of(pc, asker.image, asker.moment.position.thread),
                                        hits[hits.size() - back].ordinal);
    ResolvedSource found = unresolved;
    CULPRIT_ASSIGN(const Asked asked, asker.ask(begin, frame, found));
    if (asked == Asked::answered) {
      best = std::move(found);
      if (!is_spill(asker.moment, *best)) break;
    }
    if (asked == Asked::too_long || back == hits.size()) break;
  }
  return best;
}

/// Asks the window that begins at the newest execution of `call` in the activation, which returned
/// the value: what the function did before may have taken long. Nothing if that does not tell.
Result<std::optional<ResolvedSource>> ask_from_call(const WindowAsker& asker, std::size_t frame,
                                                    Address call,
                                                    const ResolvedSource& unresolved) {
  const std::optional<ResolvedSource> nothing;
  CULPRIT_ASSIGN(const std::vector<replay::Hit> hits, executions_before(asker, call));
  for (auto hit = hits.rbegin(); hit != hits.rend(); ++hit) {
    const auto cfa = cfa_at(asker.image, hit->registers);
    if (!cfa || cfa != asker.moment.frames[frame].frame.cfa) continue;
    const replay::Mark begin =
        hit_mark(execution_of(call, asker.image, asker.moment.position.thread), hit->ordinal);
    ResolvedSource found = unresolved;
    CULPRIT_ASSIGN(const Asked asked, asker.ask(begin, frame, kShortWindow, found));
    if (asked != Asked::answered) return nothing;
    // A temporary object has no name either, but it was read by the function that was called.
    const bool own = asker.moment.frames[frame].code.function.contains(found.source.pc);
    if (own && is_spill(asker.moment, found)) return nothing;
    return std::optional(std::move(found));
  }
  return nothing;
}

/// True if ask_nearby() may tell: stored bytes are asked for.
bool beside_stored(const WindowQuestion& question) {
  return !question.at && std::holds_alternative<ByteRange>(question.asked);
}

/// Asks a window that begins where the bytes beside the stored ones were written last, by the same
/// activation: in a loop that copies a large block, that is some turns before, however long the
/// loop has run by then, and however often the function is called. Nothing if that does not tell.
Result<std::optional<ResolvedSource>> ask_nearby(const WindowAsker& asker, std::size_t frame,
                                                 const ResolvedSource& unresolved) {
  // More than any unrolled loop copies in one turn; less than a window's worth of single bytes.
  constexpr std::uint64_t kBeside = 512;
  constexpr std::uint64_t kWord = 8;
  const std::optional<ResolvedSource> nothing;
  if (!beside_stored(asker.question)) return nothing;
  const ByteRange stored = std::get<ByteRange>(asker.question.asked);
  const Address word{stored.start.value & ~(kWord - 1)};
  ExecutionObserver writes;
  replay::PassSpec looking;
  for (const std::uint64_t at : {word.value - kBeside, word.value + kBeside}) {
    replay::Probe probe;
    probe.kind = replay::ProbeKind::write;
    probe.address = Address{at};
    probe.process = asker.image.process();
    probe.thread = asker.moment.position.thread;
    looking.probes.push_back(probe);
    looking.probes.back().keep_last = 2 * kWord;  // a loop may go by single bytes
  }
  looking.end = asker.moment.mark;
  looking.deadline = asker.deadline;
  CULPRIT_ASSIGN(const auto looked, run_unless_hot(asker.replay, looking, writes, asker.stats));
  if (!looked) return nothing;
  for (auto hit = writes.hits.rbegin(); hit != writes.hits.rend(); ++hit) {
    const auto cfa = cfa_at(asker.image, hit->registers);
    if (hit->kernel || !cfa || cfa != asker.moment.frames[frame].frame.cfa) continue;
    const replay::Mark begin = hit_mark(looking.probes[hit->probe], hit->ordinal);
    ResolvedSource found = unresolved;
    CULPRIT_ASSIGN(const Asked asked, asker.ask(begin, frame, found));
    return asked == Asked::answered ? std::optional(std::move(found)) : nothing;
  }
  return nothing;
}

/// Asks windows that begin at the entry of the question's frame of the moment, or of its callers.
Result<ResolvedSource> ask_windows(replay::Replay& replay, const ProcessImage& image,
                                   const Moment& moment, const ModuleCode& code,
                                   const FrameQuestion& asked_of, WindowLimits limits,
                                   std::chrono::milliseconds deadline, report::Stats& stats,
                                   ResolvedSource out, WindowAnswers& answers) {
  const WindowQuestion& question = asked_of.question;
  const std::size_t first = asked_of.frame;
  const WindowAsker asker{replay, image, moment, code, question, limits, deadline, stats};
  const ResolvedSource unresolved = out;
  const Address pc = out.source.pc;
  // Which entry of its function made each frame that the window may begin in? All in one pass,
  // which tries to step what follows the right ones as well.
  replay::PassSpec counting;
  replay::ActivationSpec trial;
  std::vector<std::size_t> frames;
  for (int widened = 0; widened < limits.max_frames; ++widened) {
    const std::size_t i = first + static_cast<std::size_t>(widened);
    if (i >= moment.frames.size()) break;
    const WalkFrame& frame = moment.frames[i];
    if (!frame.code.entry || !frame.frame.cfa) break;
    counting.probes.push_back(execution_of(frame.code.entry, image, moment.position.thread));
    counting.probes.back().keep_last = kKeptHits;
    trial.entries.push_back({frames.size(), *frame.frame.cfa - 8});
    frames.push_back(i);
  }
  if (frames.empty()) return out;
  // The entries of an activation that lives for long are too far away.
  trial.syscalls_from =
      moment.position.syscalls - std::min(moment.position.syscalls, kLongLife - 1);
  trial.outer_steps = kOuterSteps;
  trial.budget = kTrialSteps;
  counting.activation = trial;
  counting.end = moment.mark;
  counting.deadline = deadline;
  std::vector<Asking> together(1);
  together.front().asked = asked_of;
  together.front().out = out;
  for (const FrameQuestion& other : answers.open(moment.mark)) {
    if (other.frame != first || other == asked_of) continue;
    Asking& next = together.emplace_back();
    next.asked = other;
    next.out.source.frame = other.frame;
    next.out.source.pc = other.pc;
  }
  EntriesObserver entries(image, moment, code, frames, limits.max_frames, together);
  CULPRIT_ASSIGN(const auto counted, run_unless_hot(replay, counting, entries, stats));
  if (!counted) {
    out.source.note = "the function is called too often to find this call's entry";
    CULPRIT_ASSIGN(auto nearby, ask_nearby(asker, first, unresolved));
    if (nearby) return *std::move(nearby);
    if (question.to_the_end) return out;
    CULPRIT_ASSIGN(auto recent, ask_recent(asker, first, pc, unresolved));
    return recent ? *std::move(recent) : out;
  }

  bool recent_asked =
      question.to_the_end;  // what came in at the entry is not seen by a shorter window
  for (Asking& asking : together) {
    if (asking.settled) answers.keep(moment.mark, asking.asked, asking.out, std::nullopt);
  }
  out = std::move(together.front().out);
  if (together.front().settled) return out;
  if (asked_of.returned_by) {
    CULPRIT_ASSIGN(auto called, ask_from_call(asker, first, *asked_of.returned_by, unresolved));
    if (called) return *std::move(called);
  }
  for (std::size_t k = together.front().frames; k < frames.size(); ++k) {
    const WalkFrame& frame = moment.frames[frames[k]];
    const replay::Hit* entry = nullptr;
    for (const replay::Hit& hit : entries.hits) {
      if (hit.probe == k && hit.registers.sp() == *frame.frame.cfa - 8) entry = &hit;
    }
    if (entry == nullptr) {
      out.source.note =
          "the function's entry was not seen: its frame is older than the recording shows";
      // A forked process goes on in frames of its parent's.
      if (moment.position.syscalls > 0 && !question.to_the_end) {
        replay::Mark begin;
        begin.kind = replay::Mark::Kind::syscall_exit;
        begin.thread = moment.position.thread;
        begin.ordinal =
            moment.position.syscalls - std::min(moment.position.syscalls, kLongLife) + 1;
        ResolvedSource found = unresolved;
        CULPRIT_ASSIGN(const Asked asked, asker.ask(begin, frames[k], found));
        if (asked == Asked::answered) return found;
      }
    }
    const bool long_life =
        entry == nullptr || moment.position.syscalls - entry->position.syscalls >= kLongLife;
    Asked asked = Asked::too_long;
    if (k == 0 && long_life && !recent_asked) {
      recent_asked = true;
      CULPRIT_ASSIGN(auto recent, ask_recent(asker, first, pc, unresolved));
      if (recent) return *std::move(recent);
    }
    if (entry != nullptr) {
      const replay::Mark begin =
          hit_mark(execution_of(frame.code.entry, image, moment.position.thread), entry->ordinal);
      // A loop over a large block is told from a function that only has much to do by trying: some
      // turns of the loop are enough then, and much cheaper than all of it.
      const bool first_try = k == 0 && beside_stored(question) && limits.budget > kShortWindow;
      CULPRIT_ASSIGN(asked,
                     asker.ask(begin, frames[k], first_try ? kShortWindow : limits.budget, out));
      if (first_try && asked == Asked::too_long) {
        CULPRIT_ASSIGN(auto nearby, ask_nearby(asker, first, unresolved));
        if (nearby) return *std::move(nearby);
        CULPRIT_ASSIGN(asked, asker.ask(begin, frames[k], out));
      }
    }
    if (asked == Asked::too_long) {
      if (k > 0 || recent_asked) break;
      CULPRIT_ASSIGN(auto recent, ask_recent(asker, first, pc, unresolved));
      if (recent) return *std::move(recent);
      break;
    }
    if (!open_at_begin(question, out)) break;
  }
  return out;
}

}  // namespace

namespace {

/// The question's own answer, if it is known; else ask_windows(), whose answer is kept.
Result<ResolvedSource> ask_once(replay::Replay& replay, const ProcessImage& image,
                                const Moment& moment, const FrameQuestion& asked,
                                WindowLimits limits, std::chrono::milliseconds deadline,
                                report::Stats& stats, WindowAnswers& answers) {
  if (const ResolvedSource* known = answers.find(moment.mark, asked, limits.budget)) return *known;
  const ModuleCode code(image.modules());
  ResolvedSource out;
  out.source.frame = asked.frame;
  out.source.pc = asked.pc;
  CULPRIT_ASSIGN(out, ask_windows(replay, image, moment, code, asked, limits, deadline, stats,
                                  std::move(out), answers));
  answers.keep(moment.mark, asked, out, limits.budget);
  return out;
}

std::optional<FrameQuestion> as_frame_question(const ProcessImage& image, const Moment& moment,
                                               const ValueQuestion& question, std::uint64_t value) {
  const auto asked = asked_place(question, moment, ModuleCode(image.modules()));
  if (!asked) return std::nullopt;
  return FrameQuestion{question.frame,
                       question.pc,
                       {*asked, value, {}, false, question.number},
                       question.returned_by};
}

}  // namespace

Result<ResolvedSource> resolve_by_window(replay::Replay& replay, const ProcessImage& image,
                                         const Moment& moment, const ValueQuestion& question,
                                         std::uint64_t value, WindowLimits limits,
                                         std::chrono::milliseconds deadline, report::Stats& stats,
                                         WindowAnswers& answers) {
  const auto asked = as_frame_question(image, moment, question, value);
  if (!asked) {
    ResolvedSource out;
    out.source.frame = question.frame;
    out.source.pc = question.pc;
    out.source.note = "the bytes asked for have no known place";
    return out;
  }
  return ask_once(replay, image, moment, *asked, limits, deadline, stats, answers);
}

Result<ResolvedSource> resolve_register_at(replay::Replay& replay, const ProcessImage& image,
                                           const Moment& moment, std::size_t frame, Address pc,
                                           Gpr reg, bool to_the_end, WindowLimits limits,
                                           std::chrono::milliseconds deadline, report::Stats& stats,
                                           WindowAnswers& answers) {
  const FrameQuestion asked{frame, pc, {x86::whole(reg), {}, pc, to_the_end}};
  return ask_once(replay, image, moment, asked, limits, deadline, stats, answers);
}

void expect_by_window(const ProcessImage& image, const Moment& moment,
                      const ValueQuestion& question, std::uint64_t value, WindowAnswers& answers) {
  if (auto asked = as_frame_question(image, moment, question, value))
    answers.expect(moment.mark, *std::move(asked));
}

void expect_register_at(const Moment& moment, std::size_t frame, Address pc, Gpr reg,
                        bool to_the_end, WindowAnswers& answers) {
  answers.expect(moment.mark, {frame, pc, {x86::whole(reg), {}, pc, to_the_end}});
}

std::optional<Gpr> pointer_of_load(const MemoryReader& code, Address pc) {
  const auto load = x86::decode_at(code, pc);
  if (!load.ok() || load->memory.empty() || load->memory.front().base == Gpr::rsp ||
      load->memory.front().rip_relative) {
    return std::nullopt;
  }
  return load->memory.front().base;
}

}  // namespace culprit::provenance
