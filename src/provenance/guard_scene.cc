#include "provenance/guard_scene.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "provenance/cached_memory.h"
#include "provenance/naming.h"
#include "provenance/pass_stats.h"
#include "provenance/probes.h"
#include "provenance/window_moment.h"
#include "x86/instruction.h"

namespace culprit::provenance {
namespace {

/// A function that only fails (a wrapper around abort) leaves the decision to its caller: so many
/// of them.
constexpr std::size_t kMaxWrappers = 6;
/// Debug registers of a pass, less the one that its end may need.
constexpr std::size_t kProbesPerPass = 3;
/// More checks than that which all lead to one failure are not told apart.
constexpr std::size_t kMaxGuards = 12;
constexpr std::uint32_t kKeptHits = 256;

/// One place where the execution may be looked at: a compare, or a call that is handed what it
/// refuses.
struct Candidate {
  Address at;
  std::optional<Relation> relation;
};

/// The code of the frame's function: all of it, or its hot and its cold part.
Result<GuardSearch> guards_of(const ProcessImage& image, const WalkFrame& frame, Address failing) {
  const ModuleCode memory(image.modules());
  const std::vector<std::byte> here = function_code(frame.code, memory);
  std::vector<CodePart> parts{{frame.code.function.start, here}};
  std::vector<std::byte> there;
  if (frame.code.entry && !frame.code.function.contains(frame.code.entry)) {
    const binary::CodeLocation hot = image.symbols().locate(frame.code.entry);
    there = function_code(hot, memory);
    parts.push_back({hot.function.start, there});
  }
  return find_guards(parts, frame.code.entry, failing);
}

/// The newest execution of each candidate in one frame.
class HitsObserver : public replay::PassObserver {
 public:
  HitsObserver(const ProcessImage& image, std::optional<Address> cfa) : image_(image), cfa_(cfa) {}
  replay::Next on_hit(const replay::Hit& hit, const replay::LiveState*) override {
    const auto at = cfa_at(image_, hit.registers);
    const bool same = !at || !cfa_ || *at == *cfa_;
    if (same && (!newest || newest->position.sequence < hit.position.sequence)) newest = hit;
    return replay::Next::go_on;
  }
  std::optional<replay::Hit> newest;

 private:
  const ProcessImage& image_;
  std::optional<Address> cfa_;
};

/// Stands at the check and reads what it looks at.
class GuardObserver : public replay::PassObserver {
 public:
  GuardObserver(const ProcessImage& image, const std::optional<RefusedArgument>& argument,
                GuardScene& out)
      : image_(image), argument_(argument), out_(out) {}

  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    const CachedMemory memory(live);
    stand_at(image_, at, registers, memory, out_.moment);
    const auto instruction = x86::decode_at(ModuleCode(image_.modules()), registers.pc());
    if (out_.moment.frames.empty() || !instruction.ok()) return;
    out_.instruction = *instruction;
    if (argument_) {
      add_register(x86::whole(argument_->value), memory);
      if (argument_->bound) add_register(x86::whole(*argument_->bound), memory);
      return;
    }
    for (const x86::MemOperand& m : instruction->memory) add_memory(m, memory);
    for (const x86::RegisterBytes& reg : instruction->reads) {
      if (reg.cls != x86::RegisterClass::gpr) continue;
      const bool address =
          std::any_of(instruction->memory.begin(), instruction->memory.end(), [&](const auto& m) {
            return (m.base && static_cast<unsigned>(*m.base) == reg.number) ||
                   (m.index && static_cast<unsigned>(*m.index) == reg.number);
          });
      if (!address) add_register(reg, memory);
    }
  }

 private:
  void add_register(const x86::RegisterBytes& reg, const MemoryReader& memory) {
    const auto value = x86::value_of(reg, out_.moment.registers);
    if (!value) return;
    CheckedValue checked;
    checked.name = x86::to_string(reg);
    checked.value = *value;
    checked.size = reg.size;
    checked.question = ValueQuestion{0, out_.moment.registers.pc(), false, reg};
    checked.source.source = find_source(image_, out_.moment, *checked.question, memory);
    name_place(checked, memory);
    out_.values.push_back(std::move(checked));
  }

  void add_memory(const x86::MemOperand& operand, const MemoryReader& memory) {
    const auto address = x86::effective_address(operand, out_.moment.registers);
    if (!address || !operand.read || operand.size == 0 || operand.size > 8) return;
    std::uint64_t value = 0;
    const auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(operand.size);
    if (memory.read(*address, bytes) != operand.size) return;
    CheckedValue checked;
    checked.value = value;
    checked.size = operand.size;
    ValueSource& source = checked.source.source;
    source.kind = ValueSource::Kind::memory;
    source.pc = out_.moment.registers.pc();
    source.instruction = x86::text(out_.instruction);
    source.address = *address;
    source.size = operand.size;
    source.certainty = Certainty::proved;
    name_place(checked, memory);
    checked.name = checked.source.place ? checked.source.place->name : to_hex(*address);
    out_.values.push_back(std::move(checked));
  }

  void name_place(CheckedValue& checked, const MemoryReader& memory) const {
    const ValueSource& source = checked.source.source;
    if (source.kind != ValueSource::Kind::memory || !source.address) return;
    checked.source.place =
        describe_source(image_, out_.moment, *source.address, source.size, memory);
  }

  const ProcessImage& image_;
  const std::optional<RefusedArgument>& argument_;
  GuardScene& out_;
};

bool is_constant(const CheckedValue& checked) {
  const ValueSource::Kind kind = checked.source.source.kind;
  return kind == ValueSource::Kind::immediate || kind == ValueSource::Kind::zero;
}

bool is_negative(const CheckedValue& checked) {
  return checked.size > 0 && checked.size <= 8 &&
         ((checked.value >> (8 * checked.size - 1)) & 1U) != 0;
}

}  // namespace

std::size_t choose_refused(Relation relation, const std::vector<CheckedValue>& values) {
  if (values.size() != 2) return 0;
  const CheckedValue& a = values[0];
  const CheckedValue& b = values[1];
  switch (relation) {
    case Relation::unsigned_order:
      return b.value > a.value ? 1 : 0;
    case Relation::signed_order:
      if (is_negative(a) != is_negative(b)) return is_negative(b) ? 1 : 0;
      return b.value > a.value ? 1 : 0;
    case Relation::equality:
    case Relation::sign:
    case Relation::other:
      break;
  }
  return is_constant(a) && !is_constant(b) ? 1 : 0;
}

Result<std::optional<GuardScene>> find_guard(replay::Replay& replay, const ProcessImage& image,
                                             const Moment& crash, const FailedCheck& check,
                                             std::chrono::milliseconds deadline,
                                             report::Stats& stats) {
  std::optional<GuardScene> none;
  GuardScene out;
  out.function = check.function;
  out.as = checked_as(check.function);
  auto argument = refused_argument(check.function);
  Address refusing = check.failing;
  if (is_missing_virtual(check.function) && check.frame < crash.frames.size()) {
    const ModuleCode code(image.modules());
    const binary::CodeLocation& caller = crash.frames[check.frame].code;
    const std::vector<std::byte> bytes = function_code(caller, code);
    const auto load = find_target_load({caller.function.start, bytes}, check.failing);
    if (!load.ok() || !*load) return none;
    argument = RefusedArgument{(*load)->base, std::nullopt, CheckedAs::virtual_table};
    refusing = (*load)->at;
  }
  out.argument = argument.has_value();

  std::size_t frame = check.frame;
  std::vector<Candidate> candidates;
  if (argument) {
    candidates.push_back({refusing, std::nullopt});
  } else {
    const ModuleCode code(image.modules());
    Address failing = check.failing;
    for (std::size_t i = 0; i < kMaxWrappers && frame < crash.frames.size(); ++i) {
      const auto found = guards_of(image, crash.frames[frame], failing);
      if (!found.ok()) return none;
      for (const Guard& guard : found->guards) candidates.push_back({guard.test, guard.relation});
      if (!found->guards.empty() || !found->always) break;
      if (++frame >= crash.frames.size()) return none;
      const auto call = call_before(crash.frames[frame], code);
      if (!call) return none;
      failing = call->address;
    }
  }
  if (candidates.empty() || candidates.size() > kMaxGuards || frame >= crash.frames.size())
    return none;

  // Which of them was executed last in this frame?
  const Candidate* chosen = nullptr;
  std::optional<replay::Hit> newest;
  for (std::size_t first = 0; first < candidates.size(); first += kProbesPerPass) {
    const std::size_t n = std::min(kProbesPerPass, candidates.size() - first);
    replay::PassSpec spec;
    for (std::size_t k = 0; k < n; ++k) {
      spec.probes.push_back(execution_of(candidates[first + k].at, image, crash.position.thread));
      spec.probes.back().keep_last = kKeptHits;
    }
    spec.end = crash.mark;
    spec.deadline = deadline;
    HitsObserver observer(image, crash.frames[frame].frame.cfa);
    CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
    count(stats, pass);
    if (!observer.newest) continue;
    // Two passes number their hits apart; the thread's system calls do not tell enough. Later
    // groups win only where they are not older.
    if (newest && observer.newest->position.syscalls < newest->position.syscalls) continue;
    newest = observer.newest;
    chosen = &candidates[first + newest->probe];
  }
  if (chosen == nullptr) return none;

  out.relation = chosen->relation;
  out.moment.mark =
      hit_mark(execution_of(chosen->at, image, crash.position.thread), newest->ordinal);
  replay::PassSpec spec;
  spec.end = out.moment.mark;
  spec.deadline = deadline;
  GuardObserver observer(image, argument, out);
  CULPRIT_ASSIGN(const replay::PassResult pass, replay.run(spec, observer));
  count(stats, pass);
  if (!pass.end_reached || out.moment.frames.empty() || out.values.empty()) return none;
  if (!argument) out.refused = choose_refused(out.relation.value_or(Relation::other), out.values);
  // An order says which of its two sides is too large or too small; an equality does not.
  const bool one = argument || out.values.size() == 1;
  out.certain = one && candidates.size() == 1;
  return std::optional<GuardScene>{std::move(out)};
}

void describe_guard(const ProcessImage& image, const GuardScene& guard, report::Hop& crash) {
  const WalkFrame& frame = guard.moment.frames.front();
  const CheckedValue& refused = guard.values[guard.refused];
  crash.backtrace = report_frames(image, guard.moment.frames);
  crash.writer = report_writer(image, frame.code, &guard.instruction);
  crash.value_after = refused.value;
  crash.inputs.clear();
  for (std::size_t i = 0; i < guard.values.size(); ++i) {
    const CheckedValue& checked = guard.values[i];
    report::Source input =
        report_source(checked.source.source, checked.source.place, checked.value);
    input.value = checked.value;
    input.followed = i == guard.refused;
    if (checked.question) input.register_name = checked.name;
    crash.inputs.push_back(std::move(input));
  }
  const std::string& name =
      crash.writer.demangled.empty() ? crash.writer.function : crash.writer.demangled;
  if (guard.as == CheckedAs::virtual_table) {
    crash.summary =
        fmt::format("{} called a function that the object's virtual table at {} does not have",
                    name.empty() ? to_hex(frame.code.pc) : name, to_hex(refused.value));
    crash.note = "the call's target was read from this table";
    crash.confidence = report::Confidence::proved;
    return;
  }
  const std::string_view what = guard.as == CheckedAs::index  ? "the index "
                                : guard.as == CheckedAs::size ? "the size "
                                                              : "";
  crash.summary = fmt::format("{} refused {}{}", name.empty() ? to_hex(frame.code.pc) : name, what,
                              to_hex(refused.value));
  if (guard.values.size() == 2) {
    crash.summary += fmt::format(" beside {}", to_hex(guard.values[1 - guard.refused].value));
  }
  crash.summary += guard.function.empty() ? " and ran into a trap" : " and stopped the program";
  crash.note = guard.argument ? "the value was handed to the function that stopped the program"
               : guard.certain
                   ? "the only condition that leads to the failure looks at this value alone"
                   : "the newest condition that leads to the failure; which of its values is wrong "
                     "was judged "
                     "by its order";
  crash.confidence = guard.certain ? report::Confidence::proved : report::Confidence::likely;
}

}  // namespace culprit::provenance
