#include "verdict/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "report/fingerprint.h"

namespace culprit::verdict {
namespace {

using report::BugClass;
using report::Confidence;
using report::Hop;
using report::HopKind;
using report::Report;
using report::Verdict;

std::string_view basename(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string place(std::string_view file, std::uint32_t line) {
  if (file.empty()) return {};
  return line == 0 ? std::string(basename(file)) : fmt::format("{}:{}", basename(file), line);
}

std::string owner_name(const report::Location& location) {
  if (!location.owner) return location.description.empty() ? to_hex(location.address)
                                                           : location.description;
  const report::Owner& o = *location.owner;
  if (o.variable.empty()) {
    if (!o.frame_offset) return location.description;
    return fmt::format("the bytes at CFA{}{:#x} of {}'s frame", *o.frame_offset < 0 ? "-" : "+",
                       *o.frame_offset < 0 ? -*o.frame_offset : *o.frame_offset, o.function);
  }
  if (o.member.empty()) return o.variable;
  return o.variable + (o.member.starts_with('[') ? "" : ".") + o.member;
}

std::string writer_name(const report::Writer& w) {
  const std::string& name = w.demangled.empty() ? w.function : w.demangled;
  const std::string at = place(w.file, w.line);
  if (name.empty()) return at.empty() ? "unknown code" : at;
  return at.empty() ? name : fmt::format("{} ({})", name, at);
}

/// The program's own statement behind a write barrier: the first frame outside the runtime.
std::string storing_code(const Hop& barrier) {
  for (const report::Frame& f : barrier.backtrace) {
    if (f.function.empty() || f.function.starts_with("runtime.")) continue;
    const std::string at = place(f.file, f.line);
    return at.empty() ? f.function : fmt::format("{} ({})", f.function, at);
  }
  return "Go code";
}

/// The weakest of the cited hops.
Confidence weakest(const Report& report, const std::vector<std::uint32_t>& evidence) {
  Confidence result = Confidence::proved;
  for (const std::uint32_t i : evidence) {
    if (i < report.hops.size()) result = std::max(result, report.hops[i].confidence);
  }
  return result;
}

const Hop* first_of(const Report& report, HopKind kind) {
  for (const Hop& hop : report.hops) {
    if (hop.kind == kind && hop.main_line) return &hop;
  }
  return nullptr;
}

const Hop* last_writer(const Report& report) {
  for (auto it = report.hops.rbegin(); it != report.hops.rend(); ++it) {
    if (it->kind != HopKind::crash_report) return &*it;
  }
  return nullptr;
}

report::CauseSite site_of_writer(const report::Writer& w) {
  return {w.demangled.empty() ? w.function : w.demangled, w.file, w.line, {}, {}, w.module};
}

/// A stack slot that was read although nothing wrote it in the life of its frame.
bool uninitialised_stack(Report& report) {
  const Hop* stale = first_of(report, HopKind::stale_bytes);
  if (stale == nullptr || !stale->location || !stale->location->owner) return false;
  Verdict& v = report.verdict;
  const report::Owner& owner = *stale->location->owner;
  const bool structure = !owner.member.empty();
  const std::string name = owner_name(*stale->location);
  const std::string variable = owner.variable.empty() ? name : owner.variable;
  const std::string declared = place(owner.declared_file, owner.declared_line);
  const Hop* reader = nullptr;
  for (const Hop& hop : report.hops) {
    if (hop.index + 1 == stale->index) reader = &hop;
  }
  const Hop* origin = nullptr;
  for (const Hop& hop : report.hops) {
    if (hop.index == stale->index + 1) origin = &hop;
  }

  v.bug_class = BugClass::uninitialised_stack;
  v.title = fmt::format("uninitialised stack {} {}: {} read before it was written",
                        structure ? "struct" : "variable", variable,
                        structure ? fmt::format("its {} was", owner.member) : "it was");
  v.explanation = fmt::format("{} is a local{} of {}{} and was never written in the life of that frame.",
                              variable, owner.type.empty() ? "" : fmt::format(" ({})", owner.type),
                              owner.function, declared.empty() ? "" : fmt::format(", declared at {}",
                                                                                  declared));
  if (origin != nullptr && origin->kind == HopKind::store) {
    v.explanation += fmt::format(
        " Its bytes are older than the frame: {} left {} there, in a frame that had ended before {} was "
        "called.",
        writer_name(origin->writer), to_hex(stale->value_after.value_or(0)), owner.function);
  }
  if (reader != nullptr && reader->kind == HopKind::runtime_store) {
    v.explanation += fmt::format(
        " When {} stored a new pointer into {}, Go's write barrier recorded the old contents for the "
        "garbage collector, which took the stale bytes for a pointer of its own heap.",
        storing_code(*reader), name);
  }
  v.suggested_fix =
      fmt::format("Zero {} before it is handed out{}{}.", variable,
                  declared.empty() ? "" : fmt::format(", at {}", declared),
                  structure ? fmt::format(" (for example `{}{} = {{0}};` or memset)",
                                          owner.type.empty() ? "" : owner.type + " ", variable)
                            : " (give it an initial value)");
  v.evidence.clear();
  if (reader != nullptr) v.evidence.push_back(reader->index);
  v.evidence.push_back(stale->index);
  if (origin != nullptr) v.evidence.push_back(origin->index);
  // The claim rests on the order of frame entry and write, which the stale hop proves; how the stale
  // value was computed before that does not weaken it.
  v.confidence = reader != nullptr ? weakest(report, {reader->index, stale->index})
                                   : stale->confidence;
  v.cause = report::CauseSite{owner.function,     owner.declared_file, owner.declared_line,
                              owner.variable,     owner.member,        owner.module};
  return true;
}

/// A slot read through a pointer into a stack frame that had ended before.
bool dangling_stack_pointer(Report& report) {
  const Hop* origin = last_writer(report);
  if (origin == nullptr || origin->kind != HopKind::store || !origin->location ||
      !origin->location->owner || !origin->location->owner->life.died) {
    return false;
  }
  Verdict& v = report.verdict;
  v.bug_class = BugClass::use_after_return;
  v.explanation = fmt::format(
      "The bytes that were read belong to no variable of a living frame: they were written by {} into "
      "its own frame, which had ended. The pointer that led there outlived the local that it pointed "
      "to.",
      writer_name(origin->writer));
  v.evidence = {origin->index};
  v.confidence = Confidence::likely;
  v.cause = site_of_writer(report.hops.front().writer);
  return true;
}

/// A null pointer that some code stored or passed.
bool null_dereference(Report& report) {
  if (!report.suspect || report.suspect->value != 0 || !report.crash.fault_address) return false;
  Verdict& v = report.verdict;
  const Hop* origin = last_writer(report);
  v.bug_class = BugClass::null_dereference;
  v.confidence = Confidence::likely;
  const std::string where =
      report.crash.frames.empty() ? "the crash" : report.crash.frames.front().function;
  v.explanation = fmt::format("{} used a null pointer (fault address {}).", where,
                              to_hex(*report.crash.fault_address));
  if (origin != nullptr) {
    v.explanation += fmt::format(" The null was put there by {}.", writer_name(origin->writer));
    v.cause = site_of_writer(origin->writer);
    v.evidence = {0, origin->index};
    v.confidence = weakest(report, v.evidence);
  } else if (!report.hops.empty()) {
    v.evidence = {0};
    v.cause = site_of_writer(report.hops.front().writer);
  }
  return true;
}

/// The chain ends outside the program.
bool from_kernel(Report& report) {
  const Hop* origin = last_writer(report);
  if (origin == nullptr || origin->kind != HopKind::kernel_write) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::bad_input;
  v.explanation = fmt::format("The value came from outside the program: {}.", origin->summary);
  v.evidence = {origin->index};
  v.confidence = std::max(origin->confidence, Confidence::likely);
  if (!origin->backtrace.empty()) {
    const report::Frame& f = origin->backtrace.front();
    v.cause = report::CauseSite{f.function, f.file, f.line, {}, {}, f.module};
  }
  return true;
}

bool replaced(Report& report) {
  const Hop* origin = last_writer(report);
  if (origin == nullptr || origin->kind != HopKind::remap) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::replaced_page;
  v.explanation = fmt::format("No store made this value: {}.", origin->summary);
  v.evidence = {origin->index};
  v.confidence = Confidence::likely;
  return true;
}

/// A constant that is stored as a pointer, other than null.
bool constant(Report& report) {
  if (report.verdict.stopped_because != report::StopReason::constant || report.hops.empty()) return false;
  // A compiler may have folded the store away: then the crashing code itself holds the constant.
  const Hop* stored = last_writer(report);
  const Hop* origin = stored != nullptr ? stored : &report.hops.front();
  Verdict& v = report.verdict;
  v.bug_class = BugClass::bad_constant;
  v.explanation = fmt::format("{} {} the constant itself.", writer_name(origin->writer),
                              stored != nullptr ? "stored" : "used");
  v.evidence = {origin->index};
  v.confidence = std::max(origin->confidence, Confidence::likely);
  v.cause = site_of_writer(origin->writer);
  return true;
}

/// Nothing better is known: say where the chain ends.
bool open_end(Report& report) {
  Verdict& v = report.verdict;
  v.bug_class = BugClass::unknown;
  v.confidence = Confidence::unknown;
  if (const Hop* origin = last_writer(report)) {
    v.explanation = fmt::format("The value was last traced to {}.", writer_name(origin->writer));
    v.evidence = {origin->index};
    v.cause = site_of_writer(origin->writer);
  } else {
    v.explanation = "The chain could not be begun.";
  }
  if (!v.stopped_detail.empty()) v.explanation += fmt::format(" It stops there: {}.", v.stopped_detail);
  return true;
}

}  // namespace

void judge(Report& report) {
  constexpr std::array kRules = {uninitialised_stack, dangling_stack_pointer, from_kernel, replaced,
                                 null_dereference,    constant,               open_end};
  for (const auto rule : kRules) {
    if (rule(report)) break;
  }
  const report::BugClassInfo& info = report::info(report.verdict.bug_class);
  if (report.verdict.title.empty()) report.verdict.title = std::string(info.title);
  if (report.verdict.suggested_fix.empty()) report.verdict.suggested_fix = std::string(info.fix);
  report.fingerprint = report::fingerprint(report);
}

}  // namespace culprit::verdict
