#include "verdict/words.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/program_code.h"

namespace culprit::verdict {

using report::Confidence;
using report::Hop;
using report::HopKind;
using report::Report;

namespace {

std::string_view basename(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// The name for people of a frame or a writer.
template <typename Code>
const std::string& shown(const Code& code) {
  return code.demangled.empty() ? code.function : code.demangled;
}

}  // namespace

std::string place(std::string_view file, std::uint32_t line) {
  if (file.empty()) return {};
  return line == 0 ? std::string(basename(file)) : fmt::format("{}:{}", basename(file), line);
}

std::string owner_name(const report::Location& location) {
  if (!location.owner)
    return location.description.empty() ? to_hex(location.address) : location.description;
  const report::Owner& o = *location.owner;
  if (o.variable.empty()) {
    if (!o.frame_offset) return location.description;
    return fmt::format("the bytes at CFA{}{:#x} of {}'s frame", *o.frame_offset < 0 ? "-" : "+",
                       *o.frame_offset < 0 ? -*o.frame_offset : *o.frame_offset, o.function);
  }
  if (o.member.empty()) return o.variable;
  return o.variable + (o.member.starts_with('[') ? "" : ".") + o.member;
}

std::string array_name(const report::Location& location) {
  std::string name = owner_name(location);
  if (name.ends_with(']')) name.resize(name.rfind('['));
  return name;
}

std::string writer_name(const Hop& hop) {
  const report::Writer& w = hop.writer;
  const std::string& name = shown(w);
  if (const report::Frame* caller = caller_of_library(hop)) {
    return fmt::format("{} ({}, in {})", shown(*caller), place(caller->file, caller->line), name);
  }
  const std::string at = place(w.file, w.line);
  if (name.empty()) return at.empty() ? "unknown code" : at;
  return at.empty() ? name : fmt::format("{} ({})", name, at);
}

std::string frame_name(const report::Frame& frame) {
  const std::string& name = shown(frame);
  const std::string at = place(frame.file, frame.line);
  return at.empty() ? name : fmt::format("{} ({})", name, at);
}

std::string storing_code(const Hop& barrier) {
  for (const report::Frame& f : barrier.backtrace) {
    if (f.function.empty() || f.function.starts_with("runtime.")) continue;
    return frame_name(f);
  }
  return "Go code";
}

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

bool in_other_thread(const Report& report, const report::Position& position) {
  if (report.hops.empty()) return false;
  const report::Position& crash = report.hops.front().position;
  return position.thread.value != 0 && crash.thread.value != 0 && position.thread != crash.thread &&
         position.process == crash.process;
}

const Hop* last_writer(const Report& report) {
  for (auto it = report.hops.rbegin(); it != report.hops.rend(); ++it) {
    if (it->kind != HopKind::crash_report && it->main_line) return &*it;
  }
  return nullptr;
}

const report::Frame* program_frame(const std::vector<report::Frame>& frames) {
  const auto found = std::find_if(frames.begin(), frames.end(), [](const report::Frame& f) {
    return report::is_program_code(f.file);
  });
  return found != frames.end() ? &*found : nullptr;
}

report::CauseSite site_of_frame(const report::Frame& f) {
  return {shown(f), f.file, f.line, {}, {}, f.module};
}

const report::Frame* caller_of_library(const Hop& hop) {
  const report::Writer& w = hop.writer;
  // Go's runtime is named as it is: what it does to a program is what one wants to know.
  if (report::is_program_code(w.file) || w.function.starts_with("runtime.")) return nullptr;
  // Without debug information only what C11, 7.1.3, reserves is surely not the program's.
  if (w.file.empty() && !w.function.starts_with("__")) return nullptr;
  return program_frame(hop.backtrace);
}

report::CauseSite site_of_writer(const Hop& hop) {
  if (const report::Frame* caller = caller_of_library(hop)) return site_of_frame(*caller);
  const report::Writer& w = hop.writer;
  return {shown(w), w.file, w.line, {}, {}, w.module};
}

const Hop* before(const Report& report, const Hop& hop) {
  const Hop* last = nullptr;
  for (const Hop& h : report.hops) {
    if (&h == &hop) return last;
    if (h.main_line) last = &h;
  }
  return nullptr;
}

void blame_maker(Report& report, const Hop* maker, std::string_view made) {
  report::Verdict& v = report.verdict;
  v.evidence = {0};
  if (maker != nullptr) {
    v.explanation += fmt::format("{} {}.", made, writer_name(*maker));
    v.evidence.push_back(maker->index);
    v.cause = site_of_writer(*maker);
  } else if (!report.hops.empty()) {
    v.cause = site_of_writer(report.hops.front());
  }
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
}

}  // namespace culprit::verdict
