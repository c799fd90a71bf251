#include "crash/report_builder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "crash/text_lines.h"

namespace culprit::crash {

CrashReport begin_report(Kind kind, CrashHint hint, std::string_view front_end,
                         std::string_view runtime, std::uint64_t offset, const ExitInfo& exit) {
  CrashReport report;
  report.kind = kind;
  report.hint = hint;
  report.front_end = front_end;
  report.runtime = runtime;
  report.offset = offset;
  report.signal = exit.signal;
  report.signal_code = exit.signal_code;
  report.exit_status = exit.exit_status;
  report.pc = exit.pc;
  return report;
}

void add_message(CrashReport& report, std::string_view line) {
  if (report.message.size() == kMaxMessageLines) {
    report.truncated = true;
    return;
  }
  report.message.push_back(clip(line, kMaxMessageLine));
}

void add_suspect(CrashReport& report, Suspect suspect) {
  if (report.suspects.size() == kMaxSuspects) {
    report.truncated = true;
    return;
  }
  suspect.description = clip(suspect.description, kMaxMessageLine);
  report.suspects.push_back(std::move(suspect));
}

Stack* add_stack(CrashReport& report, Stack stack) {
  if (report.stacks.size() == kMaxNativeStacks) {
    report.truncated = true;
    return nullptr;
  }
  stack.state = clip(stack.state, kMaxMessageLine);
  stack.thread = clip(stack.thread, kMaxName);
  report.stacks.push_back(std::move(stack));
  return &report.stacks.back();
}

void add_frame(CrashReport& report, Stack& stack, Frame frame) {
  if (stack.frames.size() == kMaxNativeFrames) {
    report.truncated = stack.cut = true;
    return;
  }
  frame.function = clip(frame.function, kMaxName);
  frame.file = clip(frame.file, kMaxName);
  frame.module = clip(frame.module, kMaxName);
  stack.frames.push_back(std::move(frame));
}

Suspect make_suspect(Role role, std::uint64_t value, std::string description) {
  Suspect suspect;
  suspect.role = role;
  suspect.value = value;
  suspect.description = std::move(description);
  return suspect;
}

bool is_abort_frame(const Frame& frame) {
  constexpr std::array<std::string_view, 14> kNames{"__pthread_kill_implementation",
                                                    "__pthread_kill_internal",
                                                    "pthread_kill",
                                                    "raise",
                                                    "__GI_raise",
                                                    "gsignal",
                                                    "abort",
                                                    "__GI_abort",
                                                    "__libc_message",
                                                    "malloc_printerr",
                                                    "__assert_fail_base",
                                                    "__assert_fail",
                                                    "__fortify_fail",
                                                    "__stack_chk_fail"};
  return std::find(kNames.begin(), kNames.end(), frame.function) != kNames.end();
}

void find_reporting(CrashReport& report, bool (*machinery)(const Frame&)) {
  for (std::size_t s = 0; s < report.stacks.size(); ++s) {
    if (report.stacks[s].role != StackRole::crash) continue;
    for (std::size_t f = 0; f < report.stacks[s].frames.size(); ++f) {
      if (machinery(report.stacks[s].frames[f])) continue;
      report.reporting = FrameRef{s, f};
      return;
    }
    return;
  }
}

}  // namespace culprit::crash
