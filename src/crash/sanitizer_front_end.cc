#include "crash/sanitizer_front_end.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/asan_address.h"
#include "crash/native_frame.h"
#include "crash/plain_lines.h"
#include "crash/report_builder.h"
#include "crash/sanitizer_headline.h"

namespace culprit::crash {
namespace {

using Subject = SanitizerHeadline::Subject;
using Where = LocatedAddress::Where;
using What = LocatedAddress::What;

constexpr std::size_t kMaxObjects = 4;

// The sanitizers' own functions and those that they replace: the frame below is the program's.
constexpr std::array<std::string_view, 34> kReplaced{"malloc",
                                                     "calloc",
                                                     "realloc",
                                                     "reallocarray",
                                                     "free",
                                                     "cfree",
                                                     "memalign",
                                                     "aligned_alloc",
                                                     "posix_memalign",
                                                     "valloc",
                                                     "pvalloc",
                                                     "malloc_usable_size",
                                                     "operator new",
                                                     "operator new[]",
                                                     "operator delete",
                                                     "operator delete[]",
                                                     "memcpy",
                                                     "memmove",
                                                     "memset",
                                                     "memcmp",
                                                     "strlen",
                                                     "strcpy",
                                                     "strncpy",
                                                     "strcat",
                                                     "strdup",
                                                     "printf_common",
                                                     "scanf_common",
                                                     "pthread_create",
                                                     "pthread_join",
                                                     "pthread_mutex_lock",
                                                     "pthread_mutex_unlock",
                                                     "pthread_mutex_destroy",
                                                     "pthread_mutex_init",
                                                     "vsnprintf"};

bool is_machinery(const Frame& frame) {
  if (is_abort_frame(frame)) return true;
  for (const std::string_view part :
       {std::string_view("libsanitizer/"), std::string_view("compiler-rt/lib/")}) {
    if (frame.file.find(part) != std::string::npos) return true;
  }
  for (const std::string_view start :
       {std::string_view("__interceptor_"), std::string_view("___interceptor_"),
        std::string_view("__asan_"), std::string_view("__asan::"), std::string_view("__hwasan"),
        std::string_view("__msan"), std::string_view("__tsan"), std::string_view("__sanitizer"),
        std::string_view("__ubsan")}) {
    if (frame.function.starts_with(start)) return true;
  }
  const std::string_view name =
      std::string_view(frame.function).substr(0, frame.function.find('('));
  return std::find(kReplaced.begin(), kReplaced.end(), name) != kReplaced.end();
}

// A line that says what the next stack is the stack of.
struct StackHeader {
  StackRole role = StackRole::other;
  std::string thread;
  std::optional<Access> access;
  std::optional<ByteRange> block;  // TSan's "heap block of size 8 at 0x…"
  bool telling = false;            // belongs into the message
};

// "T1 (worker)", "main thread (mutexes: write M1)" without what is in the parentheses.
std::string thread_name(std::string_view text) {
  take(text, "thread ");
  text = text.substr(0, text.find(" ("));
  while (text.ends_with(':')) text.remove_suffix(1);
  return clip(trim(text), 64);
}

// "READ of size 8 at 0x… thread T0", "Previous atomic write of size 4 at 0x… by thread T1:".
std::optional<StackHeader> parse_access(std::string_view text) {
  StackHeader header;
  header.role = StackRole::crash;
  header.telling = true;
  Access access;
  if (take(text, "Previous ")) header.role = StackRole::other_access;
  access.atomic = take(text, "atomic ") || take(text, "Atomic ");
  if (take(text, "READ of ") || take(text, "Read of ") || take(text, "read of ")) {
    access.kind = AccessKind::read;
  } else if (take(text, "WRITE of ") || take(text, "Write of ") || take(text, "write of ")) {
    access.kind = AccessKind::write;
  } else if (take(text, "ACCESS of ")) {
    access.kind = AccessKind::unknown;
  } else {
    return std::nullopt;
  }
  if (take(text, "size ")) access.size = take_decimal(text);
  const std::size_t at = text.find(" at 0x");
  if (at == std::string_view::npos && !text.starts_with("unknown size")) return std::nullopt;
  if (at != std::string_view::npos) {
    text.remove_prefix(at + 4);
    const auto address = take_hex(text);
    if (!address) return std::nullopt;
    access.address = Address{*address};
  }
  if (const std::size_t by = text.find(" by "); by != std::string_view::npos) {
    header.thread = thread_name(text.substr(by + 4));
  } else if (const std::size_t of = text.find("thread T"); of != std::string_view::npos) {
    header.thread = thread_name(text.substr(of + 7));
  }
  header.access = access;
  return header;
}

// "Thread T1 (tid=9, running) created by main thread at:" and ASan's "Thread T1 created by T0
// here:".
std::optional<StackHeader> parse_thread_start(std::string_view text) {
  if (!text.starts_with("Thread T") || text.find(" created by ") == std::string_view::npos ||
      !text.ends_with(':')) {
    return std::nullopt;
  }
  StackHeader header;
  header.role = StackRole::thread_start;
  text.remove_prefix(7);
  header.thread = clip(text.substr(0, text.find(' ')), 64);
  return header;
}

// "Location is heap block of size 8 at 0x7b0400000000 allocated by main thread:"
std::optional<StackHeader> parse_heap_location(std::string_view text) {
  if (!take(text, "Location is heap block of size ")) return std::nullopt;
  StackHeader header;
  header.role = StackRole::allocated;
  header.telling = true;
  const auto size = take_decimal(text);
  if (!size || !take(text, " at ")) return std::nullopt;
  const auto start = take_hex(text);
  if (!start || *start + *size < *start) return std::nullopt;
  header.block = ByteRange{Address{*start}, *size};
  if (take(text, " allocated by ")) header.thread = thread_name(text);
  return header;
}

std::optional<StackHeader> parse_stack_header(std::string_view text) {
  if (auto header = parse_access(text)) return header;
  if (auto header = parse_thread_start(text)) return header;
  if (auto header = parse_heap_location(text)) return header;
  StackHeader header;
  std::string_view rest = text;
  if (rest.ends_with(" here:") || rest.ends_with(" at:")) {
    rest.remove_suffix(rest.ends_with(" here:") ? 6 : 4);
    if (take(rest, "freed by thread ")) {
      header.role = StackRole::freed;
      header.thread = thread_name(rest);
      return header;
    }
    if (take(rest, "previously allocated by thread ") || take(rest, "allocated by thread ")) {
      header.role = StackRole::allocated;
      header.thread = thread_name(rest);
      return header;
    }
  }
  header.telling = true;
  if (text.starts_with("Uninitialized value was stored to memory at")) {
    header.role = StackRole::stored;
    return header;
  }
  if (text.starts_with("Uninitialized value was created by") ||
      text.starts_with("Memory was marked as uninitialized")) {
    header.role = StackRole::created;
    return header;
  }
  if (text.starts_with("Mutex M") && text.ends_with(':')) {
    header.role = StackRole::lock;
    if (const std::size_t at = text.rfind(" in "); at != std::string_view::npos) {
      header.thread = thread_name(text.substr(at + 4));
    }
    return header;
  }
  if (text == "and:") {
    header.role = StackRole::other_access;
    return header;
  }
  if (text == "As if synchronized via sleep:") return header;
  return std::nullopt;
}

// A report while it is read.
struct Draft {
  CrashReport report;
  SanitizerHeadline headline;
  std::optional<StackHeader> pending;  // for the stack that begins next
  std::optional<std::size_t> stack;    // that is being read: its index
  std::uint32_t next_frame = 0;
  std::size_t idle = 0;
  bool signal_read = false;  // "caused by a READ memory access"
  bool signal_write = false;
  bool address_unknown = false;                // "caused by a dereference of a high value address"
  std::optional<std::uint64_t> uninitialised;  // MSan: the first such byte
  std::vector<LocatedAddress> objects;
  std::optional<LocatedAddress> frame;  // the last "… in stack of thread …"
  std::vector<Suspect> variables;
  std::optional<std::pair<ByteRange, std::string>> racing;       // what TSan says lies there
  std::optional<std::pair<std::uint64_t, std::uint64_t>> sizes;  // of new and of delete
};

class SanitizerReader {
 public:
  SanitizerReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const PlainLines::Line* line = lines_.current()) {
      step(*line);
      if (reports_.size() >= kMaxReports) break;
    }
    while (!drafts_.empty()) {
      drafts_.front().report.truncated = true;  // no summary
      close(0);
    }
    std::stable_sort(
        reports_.begin(), reports_.end(),
        [](const CrashReport& a, const CrashReport& b) { return a.offset < b.offset; });
    return std::move(reports_);
  }

 private:
  void step(const PlainLines::Line& line) {
    if (const auto at = find_sanitizer_headline(line.text)) {
      begin(*at);
      return;
    }
    if (const std::size_t at = line.text.find("Uninitialized bytes in ");
        at != std::string_view::npos) {
      const std::uint64_t offset = line.offset + at;
      lines_.begins_at(at);
      uninitialised_bytes(
          lines_.unfold([](std::string_view t) { return !t.ends_with(')'); }, begins_own_line),
          offset);
      return;
    }
    if (!drafts_.empty()) {
      inside();
      return;
    }
    lines_.advance();
  }

  // Folded lines are joined unless the next one is of the report's own.
  static bool begins_own_line(std::string_view text) {
    text = trim(text);
    return text.starts_with('#') || text.starts_with("==") || text.starts_with("SUMMARY: ") ||
           parse_stack_header(text) || find_sanitizer_headline(text) ||
           parse_frame_variable(text) || parse_located_address(text);
  }

  void begin(std::size_t at) {
    const std::uint64_t offset = lines_.current()->offset;
    lines_.begins_at(at);
    const std::string text = lines_.unfold(is_open_headline, begins_own_line);
    if (is_leak_headline(text)) {
      // What follows is of the leak report, which has stacks, too.
      while (!drafts_.empty()) close(0);
      return;
    }
    // Two processes that write to one terminal: each report goes on. More than two do not.
    if (!drafts_.empty()) {
      const SanitizerHeadline next = parse_sanitizer_headline(text);
      const bool same_process = active().headline.process == next.process || !next.process;
      if (same_process || drafts_.size() > 1) {
        while (!drafts_.empty()) close(0);
      }
    }
    Draft draft;
    draft.headline = parse_sanitizer_headline(text);
    const SanitizerHeadline& headline = draft.headline;
    draft.report = begin_report(headline.kind, headline.hint, "sanitizer", headline.runtime,
                                offset + at, exit_);
    if (headline.signal) draft.report.signal = headline.signal;
    if (headline.pc) draft.report.pc = Address{*headline.pc};
    draft.report.message.reserve(8);
    if (!uninitialised_line_.empty() && headline.kind == Kind::memory_sanitizer) {
      add_message(draft.report, uninitialised_line_);
      draft.report.offset = uninitialised_offset_;
      draft.uninitialised = uninitialised_;
    }
    uninitialised_line_.clear();
    add_message(draft.report, text);
    StackHeader first;
    first.role = StackRole::crash;
    first.thread = headline.thread;
    draft.pending = std::move(first);
    drafts_.push_back(std::move(draft));
    active_ = drafts_.size() - 1;
  }

  Draft& active() { return drafts_[active_]; }

  // The draft that a line about this address belongs to.
  void choose_by_address(std::uint64_t address) {
    const auto is_of = [&](const Draft& draft) {
      return draft.headline.address == address || draft.headline.second == address;
    };
    in_turns_ = false;
    if (is_of(active())) return;
    in_turns_ = drafts_.size() > 1;
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      if (is_of(drafts_[i])) active_ = i;
    }
  }

  // A line of the report's own words of which the end is missing.
  static bool is_open_note(std::string_view text) {
    text = trim(text);
    if (is_open_located_address(text)) return true;
    if (text.starts_with("Location is global '")) return !text.ends_with(')');
    const bool ends_in_colon =
        text.starts_with("Location is heap block ") ||
        (text.starts_with("Thread T") && text.find(" created") != std::string_view::npos) ||
        ((text.starts_with("Previous ") || text.starts_with("Write of ") ||
          text.starts_with("Read of ")) &&
         text.find(" of size") != std::string_view::npos);
    return ends_in_colon && !text.ends_with(':');
  }

  // With two reports open, a frame belongs where its number is next, or the pc of the headline is.
  // If that is so for both, and the lines before came in turns, so does this one.
  void choose_by_frame(const NumberedFrame& numbered) {
    const auto fits = [&](const Draft& draft) {
      if (numbered.number != 0) return draft.stack && draft.next_frame == numbered.number;
      if (!draft.pending) return false;
      if (draft.pending->role != StackRole::crash || !draft.headline.pc || !numbered.frame.pc) {
        return true;
      }
      const std::uint64_t pc = numbered.frame.pc->value;  // of the call, or of its return
      return pc == *draft.headline.pc || pc + 1 == *draft.headline.pc;
    };
    const std::size_t other = 1 - active_;
    const bool here = fits(active());
    const bool there = fits(drafts_[other]);
    if (here && there) {
      if (in_turns_) active_ = other;
      for (Draft& draft : drafts_) {
        if (draft.stack) draft.report.stacks[*draft.stack].cut = true;  // not certain
      }
      return;
    }
    in_turns_ = there && !here;
    if (there && !here) active_ = other;
  }

  // A line while a report is read.
  void inside() {
    const std::string_view text = trim(lines_.current()->text);
    if (text.starts_with('#') && frame()) return;
    if (is_open_note(text)) {
      const std::string joined = lines_.unfold(is_open_note, begins_own_line);
      detail(joined);
      return;
    }
    if (text.starts_with("SUMMARY: ")) {
      summary(text);
      lines_.advance();
      return;
    }
    if (text.starts_with("==") && text.ends_with("==ABORTING")) {
      lines_.advance();
      close_process(text);
      return;
    }
    const bool known = detail(text);
    lines_.advance();
    if (known) {
      active().idle = 0;
    } else if (++active().idle > kPatience) {
      active().report.truncated = true;
      close(active_);
    }
  }

  // The summary names its error: with two reports open it ends the one of that error.
  void summary(std::string_view text) {
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      const std::size_t index = (active_ + i) % drafts_.size();
      const std::string& line = drafts_[index].report.message.empty()
                                    ? std::string()
                                    : drafts_[index].report.message.front();
      const std::size_t colon = text.find("Sanitizer: ");
      if (colon == std::string_view::npos) break;
      const std::string_view word =
          text.substr(colon + 11, text.find(' ', colon + 11) - colon - 11);
      if (line.find(word) != std::string::npos) {
        close(index);
        return;
      }
    }
    close(active_);
  }

  void close_process(std::string_view text) {
    take(text, "==");
    const auto process = take_decimal(text);
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      if (drafts_[i].headline.process == process) {
        close(i);
        return;
      }
    }
  }

  bool frame() {
    const auto first = parse_sanitizer_frame(lines_.current()->text);
    if (!first) return false;
    std::optional<NumberedFrame> numbered;
    if (is_open_sanitizer_frame(lines_.current()->text)) {
      // A name without a place: whole, or folded.
      const std::string text = lines_.unfold(is_open_sanitizer_frame, begins_own_line);
      numbered = parse_sanitizer_frame(text);
      if (!numbered) numbered = first;
    } else {
      numbered = first;
      lines_.advance();
    }
    if (drafts_.size() > 1) choose_by_frame(*numbered);
    Draft& draft = active();
    draft.idle = 0;
    if (numbered->number == 0 || draft.pending || !draft.stack) {
      StackHeader header = draft.pending ? std::move(*draft.pending) : StackHeader{};
      draft.pending.reset();
      Stack stack;
      stack.kind = StackKind::native;
      stack.role = header.role;
      stack.thread = std::move(header.thread);
      stack.access = header.access;
      stack.cut = numbered->number != 0;
      draft.stack.reset();
      if (add_stack(draft.report, std::move(stack)) != nullptr) {
        draft.stack = draft.report.stacks.size() - 1;
      }
    } else if (numbered->number != draft.next_frame) {
      draft.report.stacks[*draft.stack].cut = true;
    }
    draft.next_frame = numbered->number + 1;
    if (draft.stack) {
      add_frame(draft.report, draft.report.stacks[*draft.stack], std::move(numbered->frame));
    }
    return true;
  }

  // Everything that is not a frame. False for a line that says nothing.
  bool detail(std::string_view text) {
    text = trim(text);
    if (auto header = parse_stack_header(text)) {
      if (header->access && header->access->address) {
        choose_by_address(header->access->address->value);
      } else if (in_turns_ && drafts_.size() > 1) {
        active_ = 1 - active_;
      }
      Draft& draft = active();
      if (header->telling) add_message(draft.report, text);
      if (header->access && header->access->address && !draft.headline.address) {
        draft.headline.address = header->access->address->value;
      }
      if (header->block) draft.racing = std::pair{*header->block, std::string("heap block")};
      // The first stack of a headline that names the thread is this access's.
      if (header->thread.empty() && draft.pending) header->thread = draft.pending->thread;
      draft.pending = std::move(*header);
      draft.stack.reset();
      draft.next_frame = 0;
      return true;
    }
    if (const auto located = parse_located_address(text)) {
      choose_by_address(located->address.value);
      Draft& draft = active();
      add_message(draft.report, text);
      if (located->what == What::frame) {
        draft.frame = *located;
        StackHeader owner;
        owner.role = StackRole::owner;
        owner.thread = located->thread;
        draft.pending = std::move(owner);
        draft.stack.reset();
        draft.next_frame = 0;
      } else if (draft.objects.size() < kMaxObjects) {
        draft.objects.push_back(*located);
      }
      return true;
    }
    if (const auto variable = parse_frame_variable(text)) {
      if (variable->accessed) frame_variable(*variable, text);
      return true;
    }
    return remark(text);
  }

  // "[32, 36) 'x' (line 5) <== Memory access at offset 36 overflows this variable"
  void frame_variable(const FrameVariable& variable, std::string_view text) {
    Draft& draft = active();
    add_message(draft.report, text);
    if (!draft.frame || draft.variables.size() >= kMaxObjects) return;
    // Offsets count from the frame's base, so the variable's place follows from the address's.
    const std::uint64_t base = draft.frame->address.value - draft.frame->frame_offset;
    Suspect suspect = make_suspect(Role::object, base + variable.begin,
                                   "local '" + variable.name + "' that the access belongs to");
    suspect.certainty = Certainty::inferred;
    suspect.span = ByteRange{Address{base + variable.begin}, variable.end - variable.begin};
    if (draft.frame->address.value >= base + variable.begin) {
      suspect.offset = draft.frame->address.value - base - variable.begin;
    }
    if (draft.report.hint == CrashHint::stack_overflow &&
        text.find(" underflows this variable") != std::string_view::npos) {
      draft.report.hint = CrashHint::stack_underflow;
    }
    draft.variables.push_back(std::move(suspect));
  }

  bool remark(std::string_view text) {
    Draft& draft = active();
    // "==123==" stands before some of them.
    if (std::string_view rest = text; take(rest, "==") && take_decimal(rest) && take(rest, "==")) {
      text = rest;
    }
    if (text.starts_with("The signal is caused by a ")) {
      draft.signal_read = text.find(" READ ") != std::string_view::npos;
      draft.signal_write = text.find(" WRITE ") != std::string_view::npos;
    } else if (text.starts_with("Hint: ")) {
      draft.address_unknown |= text.find("high value address") != std::string_view::npos;
    } else if (text.starts_with("Location is ")) {
      global_location(text);
    } else if (text.starts_with("size of the allocated type:") ||
               text.starts_with("size of the deallocated type:")) {
      // For the message only.
    } else if (text.starts_with("Cycle in lock order graph: ") ||
               text.find(" is a wild pointer") != std::string_view::npos ||
               text.starts_with("object passed to delete has wrong type")) {
      // Likewise.
    } else {
      return text.starts_with("=>0x") || text.starts_with("0x") || text.starts_with("Shadow ") ||
             text.starts_with("This frame has ");
    }
    add_message(draft.report, text);
    return true;
  }

  // "Location is global 'counter' of size 4 at 0x… (prog+0x…)"
  void global_location(std::string_view text) {
    Draft& draft = active();
    if (!take(text, "Location is global '")) return;
    const std::size_t end = text.find("' of size ");
    if (end == std::string_view::npos) return;
    std::string name = clip(text.substr(0, end), 256);
    text.remove_prefix(end + 10);
    const auto size = take_decimal(text);
    if (!size || !take(text, " at ")) return;
    const auto start = take_hex(text);
    if (!start || *start + *size < *start) return;
    draft.racing = std::pair{ByteRange{Address{*start}, *size}, "global '" + std::move(name) + "'"};
  }

  // "Uninitialized bytes in __interceptor_write at offset 1 inside [0x7fff59b0b2f0, 8)" comes
  // before its report's headline.
  void uninitialised_bytes(std::string_view text, std::uint64_t offset_of_line) {
    uninitialised_line_ = clip(text, kMaxMessageLine);
    uninitialised_offset_ = offset_of_line;
    uninitialised_.reset();
    const std::size_t at = text.find(" at offset ");
    if (at == std::string_view::npos) return;
    text.remove_prefix(at + 11);
    const auto offset = take_decimal(text);
    if (!offset || !take(text, " inside [")) return;
    if (const auto start = take_hex(text)) uninitialised_ = *start + *offset;
  }

  void close(std::size_t index) {
    Draft draft = std::move(drafts_[index]);
    drafts_.erase(drafts_.begin() + static_cast<std::ptrdiff_t>(index));
    active_ = 0;
    // A description without its stack: the text ends there, or the program keeps no stacks.
    if (draft.pending && draft.pending->access) {
      Stack stack;
      stack.kind = StackKind::native;
      stack.role = draft.pending->role;
      stack.thread = draft.pending->thread;
      stack.access = draft.pending->access;
      add_stack(draft.report, std::move(stack));
    }
    add_suspects(draft);
    find_reporting(draft.report, is_machinery);
    if (reports_.size() < kMaxReports) reports_.push_back(std::move(draft.report));
  }

  static void add_suspects(Draft& draft) {
    CrashReport& report = draft.report;
    const SanitizerHeadline& headline = draft.headline;
    for (LocatedAddress& located : draft.objects) refine_hint(draft, located);
    switch (headline.subject) {
      case Subject::access:
      case Subject::none:
        accessed(draft);
        break;
      case Subject::pointer:
        if (headline.address) {
          Suspect suspect = make_suspect(Role::bad_pointer, *headline.address,
                                         "pointer that was given to the allocator");
          suspect.span = containing(draft, *headline.address);
          add_suspect(report, std::move(suspect));
        }
        break;
      case Subject::size:
        if (headline.address) {
          add_suspect(report,
                      make_suspect(Role::index, *headline.address, "size that was asked for"));
        }
        break;
      case Subject::ranges:
        if (headline.address) {
          add_suspect(report, make_suspect(Role::bad_pointer, *headline.address,
                                           "start of the first of the overlapping ranges"));
        }
        if (headline.second) {
          add_suspect(report, make_suspect(Role::bad_pointer, *headline.second,
                                           "start of the second of the overlapping ranges"));
        }
        break;
      case Subject::signal:
        signalled(draft);
        break;
    }
    if (draft.uninitialised) {
      Suspect suspect;
      suspect.role = Role::slot;
      suspect.slot = Address{*draft.uninitialised};
      suspect.description = "first byte that was never written";
      add_suspect(report, std::move(suspect));
    }
    for (const LocatedAddress& located : draft.objects) {
      if (!located.object) continue;
      Suspect suspect = make_suspect(
          Role::object, located.object->start.value,
          (located.what == What::global ? "global '" + located.name + "'" : "heap block") + " of " +
              std::to_string(located.object->size) + " bytes that the address " +
              (located.where == Where::inside ? "lies in" : "belongs to"));
      suspect.certainty = Certainty::inferred;
      suspect.span = *located.object;
      if (located.where != Where::before) {
        suspect.offset = located.address.value - located.object->start.value;
      }
      add_suspect(report, std::move(suspect));
    }
    for (Suspect& suspect : draft.variables) add_suspect(report, std::move(suspect));
    if (draft.racing) {
      Suspect suspect = make_suspect(Role::object, draft.racing->first.start.value,
                                     draft.racing->second + " that was accessed");
      suspect.span = draft.racing->first;
      add_suspect(report, std::move(suspect));
    }
  }

  // The region says on which side of the block an access was.
  static void refine_hint(Draft& draft, const LocatedAddress& located) {
    CrashHint& hint = draft.report.hint;
    const bool freed = std::any_of(draft.report.stacks.begin(), draft.report.stacks.end(),
                                   [](const Stack& s) { return s.role == StackRole::freed; });
    if (hint == CrashHint::heap_overflow && located.where == Where::before) {
      hint = CrashHint::heap_underflow;
    }
    if (draft.headline.runtime == "hwasan" && hint == CrashHint::invalid_access) {
      if (located.where == Where::after) hint = CrashHint::heap_overflow;
      if (located.where == Where::before) hint = CrashHint::heap_underflow;
      if (located.where == Where::inside && freed) hint = CrashHint::use_after_free;
    }
  }

  static std::optional<ByteRange> containing(const Draft& draft, std::uint64_t address) {
    for (const LocatedAddress& located : draft.objects) {
      if (located.object && located.where == Where::inside && located.address.value == address) {
        return located.object;
      }
    }
    return std::nullopt;
  }

  static void accessed(Draft& draft) {
    if (!draft.headline.address) return;
    const std::uint64_t address = *draft.headline.address;
    Suspect suspect;
    if (draft.report.kind == Kind::thread_sanitizer) {
      suspect.role = Role::slot;
      suspect.slot = Address{address};
      suspect.description = "bytes that were accessed";
    } else {
      suspect = make_suspect(Role::fault_address, address,
                             draft.report.hint == CrashHint::stack_exhausted
                                 ? "address past the end of the stack"
                                 : "address that was accessed");
      suspect.span = containing(draft, address);
    }
    add_suspect(draft.report, std::move(suspect));
  }

  static void signalled(Draft& draft) {
    CrashReport& report = draft.report;
    const std::optional<std::uint64_t> address = draft.headline.address;
    if (draft.report.hint != CrashHint::invalid_access) return;  // si_addr is the instruction
    const bool jump = address && draft.headline.pc == address;
    Access access;
    access.kind = jump                 ? AccessKind::execute
                  : draft.signal_write ? AccessKind::write
                  : draft.signal_read  ? AccessKind::read
                                       : AccessKind::unknown;
    if (address && !draft.address_unknown) {
      access.address = Address{*address};
      report.fault_address = Address{*address};
      if (*address < 4096) report.hint = CrashHint::null_access;
      // Where the program jumped to is the pointer itself.
      add_suspect(report, make_suspect(jump ? Role::bad_pointer : Role::fault_address, *address,
                                       jump              ? "address that was jumped to"
                                       : *address < 4096 ? "address that was accessed: a null "
                                                           "pointer plus an offset"
                                                         : "address that was accessed"));
    }
    for (Stack& stack : report.stacks) {
      if (stack.role == StackRole::crash) {
        stack.access = access;
        break;
      }
    }
  }

  PlainLines lines_;
  const ExitInfo& exit_;
  std::vector<Draft> drafts_;  // one, or two that are interleaved
  std::size_t active_ = 0;
  bool in_turns_ = false;  // the last line was of another report than the one before
  std::vector<CrashReport> reports_;
  std::string uninitialised_line_;
  std::uint64_t uninitialised_offset_ = 0;
  std::optional<std::uint64_t> uninitialised_;
};

std::vector<CrashReport> parse_sanitizer(std::string_view text, const ExitInfo& exit) {
  if (text.find("Sanitizer: ") == std::string_view::npos) return {};
  return SanitizerReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kSanitizerFrontEnd{"sanitizer", &parse_sanitizer};

}  // namespace culprit::crash
