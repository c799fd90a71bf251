#include "crash/go_front_end.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "crash/go_traceback.h"
#include "crash/text_lines.h"

namespace culprit::crash {
namespace {

constexpr std::size_t kMaxReports = 16;
constexpr std::size_t kMaxSuspects = 16;
constexpr std::size_t kMaxMessageLines = 64;
constexpr std::size_t kMaxMessageLine = 512;
constexpr std::size_t kMaxStacks = 64;
constexpr std::size_t kMaxFrames = 256;
constexpr std::size_t kMaxRegisters = 32;
constexpr std::size_t kMaxLine = 8192;
constexpr std::size_t kMaxPrefix = 200;
// Lines of other output after which a message that led to nothing is forgotten.
constexpr std::size_t kPatience = 64;

// A message that begins a report, or goes on with one.
struct Anchor {
  std::string_view phrase;
  bool anywhere;  // also in the middle of a line: the phrase cannot be anything else
};

constexpr std::array kAnchors{
    Anchor{"runtime: pointer 0x", true},
    Anchor{"runtime: marked free object in span ", true},
    Anchor{"runtime: bad pointer in frame ", true},
    Anchor{"runtime: garbage collector found invalid heap pointer *(", true},
    Anchor{"runtime: marking free object 0x", true},
    Anchor{"runtime: writebarrierptr *0x", true},
    Anchor{"unexpected fault address 0x", true},
    Anchor{"fatal error: ", true},
    Anchor{"[signal ", false},
    Anchor{"runtime: ", false},
    Anchor{"panic: ", false},
    Anchor{"accessed data from freed user arena 0x", false},
    Anchor{"write of Go pointer 0x", false},
    Anchor{"write of unpinned Go pointer 0x", false},
    Anchor{"SIG", false},
};

constexpr std::array<std::string_view, 21> kRegisterNames{
    "rax", "rbx", "rcx", "rdx", "rdi", "rsi", "rbp",    "rsp", "r8", "r9", "r10",
    "r11", "r12", "r13", "r14", "r15", "rip", "rflags", "cs",  "fs", "gs"};

// Functions that carry the news: the frame below the last of them is the one that noticed.
constexpr std::array<std::string_view, 41> kMessengers{"panic",
                                                       "runtime.throw",
                                                       "runtime.throw.func1",
                                                       "runtime.fatal",
                                                       "runtime.fatal.func1",
                                                       "runtime.fatalthrow",
                                                       "runtime.fatalthrow.func1",
                                                       "runtime.fatalpanic",
                                                       "runtime.fatalpanic.func1",
                                                       "runtime.gopanic",
                                                       "runtime.dopanic",
                                                       "runtime.dopanic_m",
                                                       "runtime.startpanic",
                                                       "runtime.startpanic_m",
                                                       "runtime.panic",
                                                       "runtime.gothrow",
                                                       "runtime.sigpanic",
                                                       "runtime.sigpanic0",
                                                       "runtime.panicmem",
                                                       "runtime.panicmemAddr",
                                                       "runtime.panicdivide",
                                                       "runtime.panicoverflow",
                                                       "runtime.panicfloat",
                                                       "runtime.panicshift",
                                                       "runtime.panicIndex",
                                                       "runtime.goPanicIndex",
                                                       "runtime.goPanicIndexU",
                                                       "runtime.panicindex",
                                                       "runtime.panicslice",
                                                       "runtime.badPointer",
                                                       "runtime.findObject",
                                                       "runtime.heapBitsForObject",
                                                       "runtime.gcDumpObject",
                                                       "runtime.(*mspan).reportZombies",
                                                       "runtime.checkptrArithmetic",
                                                       "runtime.checkptrAlignment",
                                                       "runtime.systemstack_switch",
                                                       "runtime.cgoCheckWriteBarrier",
                                                       "runtime.cgoCheckWriteBarrier.func1",
                                                       "runtime.cgoCheckPtrWrite",
    "runtime.cgoCheckPtrWrite.func1"};

bool is_messenger(std::string_view function) {
  return std::find(kMessengers.begin(), kMessengers.end(), function) != kMessengers.end() ||
         function.starts_with("runtime.goPanicSlice") ||
         function.starts_with("runtime.panicSlice") ||
         function.starts_with("internal/runtime/maps.") ||
         function.starts_with("runtime.mapassign") || function.starts_with("runtime.mapaccess") ||
         function.starts_with("runtime.mapdelete") || function.starts_with("runtime.mapiter") ||
         function.starts_with("runtime.mapclear") || function.starts_with("runtime.panicBounds");
}

// What "fatal error: X" says about the kind of the report.
Kind kind_of_fatal(std::string_view what) {
  if (what.starts_with("found bad pointer in Go heap") || what == "invalid heap pointer" ||
      what == "bad pointer in write barrier" || what.starts_with("objectstart: bad pointer")) {
    return Kind::go_bad_pointer;
  }
  if (what == "found pointer to free object" || what == "marking free object" ||
      what == "checkmark found unmarked object") {
    return Kind::go_marked_free_object;
  }
  if (what == "invalid pointer found on stack" || what == "invalid stack pointer") {
    return Kind::go_bad_stack_pointer;
  }
  if (what.starts_with("checkptr: ")) return Kind::go_checkptr;
  if (what == "unexpected signal during runtime execution") return Kind::go_unexpected_signal;
  if (what == "fault") return Kind::go_unexpected_fault;
  if (what == "unknown caller pc" || what == "unknown pc") return Kind::go_unexpected_return;
  // runtime/map.go (Go 1.6 to 1.23), internal/runtime/maps (from Go 1.24).
  if (what.starts_with("concurrent map ")) return Kind::go_concurrent_map;
  if (what.ends_with("Go pointer stored into non-Go memory")) return Kind::go_cgo_check;
  return Kind::go_fatal_error;
}

// Is the text telling enough to be believed without a traceback (which may have been cut off)?
bool stands_alone(Kind kind) {
  return kind != Kind::go_fatal_error && kind != Kind::go_panic && kind != Kind::go_signal_panic;
}

std::optional<ByteRange> span_of(std::string_view text) {
  auto base = hex_after(text, "span.base()=");
  if (!base) base = hex_after(text, "span.start=");
  const auto limit = hex_after(text, "span.limit=");
  if (!base || !limit || *limit < *base) return std::nullopt;
  return ByteRange{Address{*base}, *limit - *base};
}

// A report while it is read.
struct Draft {
  CrashReport report;
  bool fatal = false;  // "fatal error:", "panic:" or a signal header was seen
  bool panicked = false;
  bool signalled = false;  // "[signal …]" was seen
  std::size_t idle = 0;    // lines of other output since the last line of this report
  std::size_t stack_lines = 0;
  std::optional<Suspect> bad;  // the first bad pointer
  std::vector<Suspect> zombies;
  std::optional<ByteRange> elements;  // reportZombies' listing
  std::uint64_t element_size = 0;
  bool in_listing = false;
};

class GoReader {
 public:
  GoReader(std::string_view text, const ExitInfo& exit) : lines_(text), exit_(exit) {}

  std::vector<CrashReport> run() {
    while (const TextLines::Line* line = lines_.peek()) {
      last_complete_ = line->complete;
      step(*line);
      if (reports_.size() == kMaxReports) break;
    }
    close(/*at_end=*/true);
    return std::move(reports_);
  }

 private:
  void step(const TextLines::Line& line) {
    std::string_view text = prefix_.strip(line.text);
    if (const auto found = find_anchor(text)) {
      const std::string_view head = text.substr(0, found->second);
      text.remove_prefix(found->second);
      if (begins_another(text)) close(/*at_end=*/false);
      const auto taken = static_cast<std::size_t>(text.data() - line.text.data());
      const bool blank = head.find_first_not_of(" \t") == std::string_view::npos;
      if (!head.empty() && taken <= kMaxPrefix && (!draft_ || !blank)) {
        prefix_ = LinePrefix(line.text.substr(0, taken));
      }
      if (!draft_) {
        draft_.emplace();
        draft_->report.offset =
            line.offset + static_cast<std::uint64_t>(text.data() - line.text.data());
      }
      message(text);
      return;
    }
    if (draft_ && text.size() <= kMaxLine) {
      if (auto stack = parse_stack_header(text)) {
        begin_stack(std::move(*stack));
        lines_.advance();
        return;
      }
      if (draft_->stack_lines > 0 && frame()) return;
      if (detail(text)) {
        draft_->idle = 0;
        lines_.advance();
        return;
      }
    }
    if (draft_ && draft_->stack_lines == 0 && ++draft_->idle > kPatience) close(/*at_end=*/false);
    lines_.advance();
  }

  // The anchor in `text` and its offset.
  static std::optional<std::pair<const Anchor*, std::size_t>> find_anchor(std::string_view text) {
    if (text.size() < 4) return std::nullopt;  // shorter than any phrase
    std::string_view head = text;
    // "\tpanic: " is a panic during a panic; blanks come from quoting, too.
    const std::size_t blank = std::min(head.find_first_not_of(" \t>"), head.size());
    head.remove_prefix(std::min<std::size_t>(blank, 16));
    const std::size_t indent = text.size() - head.size();
    for (const Anchor& anchor : kAnchors) {
      if (!head.starts_with(anchor.phrase)) continue;
      if (anchor.phrase == "SIG" && !is_signal_header(head)) continue;
      return std::pair{&anchor, indent};
    }
    for (const Anchor& anchor : kAnchors) {
      if (!anchor.anywhere) continue;
      const std::size_t at = text.find(anchor.phrase);
      if (at != std::string_view::npos) return std::pair{&anchor, at};
    }
    return std::nullopt;
  }

  // "SIGSEGV: segmentation violation", as sigtable has it.
  static bool is_signal_header(std::string_view text) {
    const std::size_t colon = text.substr(0, 16).find(':');
    return colon != std::string_view::npos && signal_number(text.substr(0, colon)).has_value();
  }

  // The line that opens a report of the collector or of the stack copier; there is one in a report.
  static bool opens(std::string_view text) {
    return text.starts_with("runtime: pointer 0x") ||
           text.starts_with("runtime: marked free object in span ") ||
           text.starts_with("runtime: bad pointer in frame ");
  }

  // Does this message belong to another report than the one that is being read? After the
  // tracebacks all do, except notes that the runtime prints in between.
  [[nodiscard]] bool begins_another(std::string_view text) const {
    if (!draft_) return false;
    if (opens(text)) {
      return draft_->stack_lines > 0 || draft_->bad || draft_->element_size > 0 || draft_->fatal;
    }
    return draft_->stack_lines > 0 && !text.starts_with("runtime: ");
  }

  // The current line from `text` on, with the lines that a mailer has folded off it while `folded`
  // says that something is missing; the reader is moved past all of them.
  template <typename Predicate>
  std::string unfold(std::string_view text, Predicate folded) {
    std::string joined = clip(text, kMaxLine);
    lines_.advance();
    for (int i = 0; i < 4 && folded(std::string_view(joined)); ++i) {
      const TextLines::Line* next = lines_.peek();
      if (next == nullptr) break;
      const std::string_view piece = prefix_.strip(next->text);
      if (piece.empty() || piece.front() == '\t' || joined.size() + piece.size() > kMaxLine ||
          find_anchor(piece) || parse_stack_header(piece)) {
        break;
      }
      if (!joined.ends_with(' ') && !piece.starts_with(' ')) joined.push_back(' ');
      joined.append(piece);
      lines_.advance();
    }
    return joined;
  }

  static bool has_open_parenthesis(std::string_view text) {
    const std::size_t open = text.rfind('(');
    return open != std::string_view::npos && text.find(')', open) == std::string_view::npos;
  }

  void add_message(std::string_view text) {
    std::vector<std::string>& message = draft_->report.message;
    if (message.size() < kMaxMessageLines) {
      message.push_back(clip(text, kMaxMessageLine));
    } else {
      draft_->report.truncated = true;
    }
  }

  void message(std::string_view text) {
    draft_->idle = 0;
    draft_->in_listing = false;
    if (text.starts_with("runtime: pointer 0x")) {
      bad_heap_pointer(text);
    } else if (text.starts_with("runtime: garbage collector found invalid heap pointer *(")) {
      invalid_heap_pointer(text);
    } else if (text.starts_with("runtime: marked free object in span ")) {
      marked_free_object(text);
    } else if (text.starts_with("runtime: marking free object 0x")) {
      marking_free_object(text);
    } else if (text.starts_with("runtime: bad pointer in frame ")) {
      bad_stack_pointer(text);
    } else if (text.starts_with("runtime: writebarrierptr *0x")) {
      bad_barrier_pointer(text);
    } else if (text.starts_with("runtime: found in object at *(") ||
               text.starts_with("runtime: found obj at *(")) {
      found_at(text);
    } else if (text.starts_with("write of ")) {
      cgo_write(text);
    } else if (text.starts_with("unexpected fault address 0x") ||
               text.starts_with("accessed data from freed user arena 0x")) {
      fault_address(text);
    } else if (text.starts_with("fatal error: ")) {
      fatal_error(text);
    } else if (text.starts_with("panic: ")) {
      panic(text);
    } else if (text.starts_with("[signal ")) {
      signal_line(text);
    } else if (text.starts_with("SIG")) {
      signal_header(text);
    } else {
      runtime_note(text);
    }
  }

  void bad_heap_pointer(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view t) {
      return t.find(" to un") != std::string_view::npos &&
             t.find("span.state=") == std::string_view::npos;
    });
    add_message(whole);
    if (draft_->bad) return;
    std::string_view rest = whole;
    take(rest, "runtime: pointer ");
    const auto pointer = take_hex(rest);
    if (!pointer) return;
    draft_->report.kind = Kind::go_bad_pointer;
    Suspect suspect;
    suspect.value = *pointer;
    suspect.span = span_of(whole);
    suspect.description = "pointer to a part of the Go heap that holds no object";
    if (rest.starts_with(" to unallocated span")) {
      suspect.description = "pointer into a span of the Go heap that is not in use";
    } else if (rest.starts_with(" to unused region of span")) {
      suspect.description = "pointer past the objects of its span of the Go heap";
    }
    draft_->bad = std::move(suspect);
  }

  // "runtime: garbage collector found invalid heap pointer *(0xb+0xi)=0xobj span=…" (to Go 1.4).
  void invalid_heap_pointer(std::string_view text) {
    const std::string whole = unfold(text, has_open_parenthesis);
    add_message(whole);
    if (draft_->bad) return;
    std::string_view rest = whole;
    rest.remove_prefix(rest.find("*(") + 2);
    const auto base = take_hex(rest);
    if (!base || !take(rest, "+")) return;
    const auto offset = take_hex(rest);
    if (!offset || !take(rest, ")=")) return;
    const auto pointer = take_hex(rest);
    if (!pointer) return;
    draft_->report.kind = Kind::go_bad_pointer;
    Suspect suspect;
    suspect.value = *pointer;
    suspect.object = Address{*base};
    suspect.offset = *offset;
    suspect.slot = Address{*base + *offset};
    suspect.description = "pointer to a part of the Go heap that holds no object";
    draft_->bad = std::move(suspect);
  }

  // "runtime: writebarrierptr *0xdst = 0xsrc": dst is about to receive the bad pointer.
  void bad_barrier_pointer(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view) { return false; });
    add_message(whole);
    std::string_view rest = whole;
    take(rest, "runtime: writebarrierptr *");
    const auto destination = take_hex(rest);
    if (!destination || !take(rest, " = ")) return;
    const auto pointer = take_hex(rest);
    if (!pointer || draft_->bad) return;
    draft_->report.kind = Kind::go_bad_pointer;
    Suspect suspect;
    suspect.value = *pointer;
    suspect.description = "pointer that was about to be stored at " + to_hex(*destination);
    draft_->bad = std::move(suspect);
  }

  void marked_free_object(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view t) {
      return t.find("elemsize=") == std::string_view::npos ||
             t.find("freeindex=") == std::string_view::npos || has_open_parenthesis(t);
    });
    add_message(whole);
    draft_->report.kind = Kind::go_marked_free_object;
    if (const std::size_t at = whole.find("elemsize="); at != std::string::npos) {
      std::string_view rest = std::string_view(whole).substr(at + 9);
      draft_->element_size = take_decimal(rest).value_or(0);
    }
    draft_->in_listing = true;
  }

  void marking_free_object(std::string_view text) {
    const std::string whole = unfold(text, has_open_parenthesis);
    add_message(whole);
    draft_->report.kind = Kind::go_marked_free_object;
    std::string_view rest = whole;
    take(rest, "runtime: marking free object ");
    const auto object = take_hex(rest);
    if (!object || draft_->bad) return;
    Suspect suspect;
    suspect.value = *object;
    suspect.certainty = Certainty::inferred;  // the slot may point inside the object
    suspect.description = "pointer to (or into) an object that has been freed";
    draft_->bad = std::move(suspect);
    const std::size_t at = rest.find("*(");
    if (at != std::string_view::npos) slot_of_bad(rest.substr(at));
  }

  // "*(0xbase+0xoffset)": where the bad pointer is stored.
  void slot_of_bad(std::string_view text) {
    if (!draft_->bad || draft_->bad->slot || !take(text, "*(")) return;
    const auto base = take_hex(text);
    if (!base || !take(text, "+")) return;
    const auto offset = take_hex(text);
    if (!offset || !take(text, ")") || *base == 0) return;
    draft_->bad->object = Address{*base};
    draft_->bad->offset = *offset;
    draft_->bad->slot = Address{*base + *offset};
  }

  void found_at(std::string_view text) {
    const std::string whole = unfold(text, has_open_parenthesis);
    add_message(whole);
    const std::size_t at = whole.find("*(");
    slot_of_bad(std::string_view(whole).substr(at));
  }

  void bad_stack_pointer(std::string_view text) {
    const std::string whole =
        unfold(text, [](std::string_view t) { return t.find(": 0x") == std::string_view::npos; });
    add_message(whole);
    draft_->report.kind = Kind::go_bad_stack_pointer;
    const std::size_t at = whole.rfind(" at 0x");
    if (at == std::string::npos || draft_->bad) return;
    std::string_view rest = std::string_view(whole).substr(at + 4);
    const auto slot = take_hex(rest);
    if (!slot || !take(rest, ": ")) return;
    const auto pointer = take_hex(rest);
    if (!pointer) return;
    constexpr std::string_view kHead = "runtime: bad pointer in frame ";
    Suspect suspect;
    suspect.value = *pointer;
    suspect.slot = Address{*slot};
    suspect.description = "value in a pointer slot of the frame of " +
                          whole.substr(kHead.size(), at - kHead.size()) + ", while its stack moved";
    suspect.description = clip(suspect.description, kMaxMessageLine);
    draft_->bad = std::move(suspect);
  }

  // cgocheck.go: "write of Go pointer 0xsrc to non-Go memory 0xdst".
  void cgo_write(std::string_view text) {
    const std::string whole = unfold(
        text, [](std::string_view t) { return t.find("memory 0x") == std::string_view::npos; });
    const auto pointer = hex_after(whole, "Go pointer ");
    const auto destination = hex_after(whole, "non-Go memory ");
    add_message(whole);
    if (!pointer || !destination || draft_->bad) return;
    draft_->report.kind = Kind::go_cgo_check;
    Suspect suspect;
    suspect.value = *pointer;
    suspect.description =
        "Go pointer that was about to be stored into C memory at " + to_hex(*destination);
    draft_->bad = std::move(suspect);
  }

  void fault_address(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view) { return false; });
    add_message(whole);
    draft_->report.kind = Kind::go_unexpected_fault;
    std::string_view rest = std::string_view(whole).substr(whole.find("0x"));
    if (const auto address = take_hex(rest)) draft_->report.fault_address = Address{*address};
  }

  void fatal_error(std::string_view text) {
    const std::string whole = unfold(text, has_open_parenthesis);
    add_message(whole);
    std::string_view what = trim(std::string_view(whole).substr(13));
    if (what.find("incorrect use") == std::string_view::npos) {
      if (const std::size_t note = what.find(" [recovered"); note != std::string_view::npos) {
        what = what.substr(0, note);
      }
    }
    const Kind kind = kind_of_fatal(what);
    Kind& known = draft_->report.kind;
    const bool vague = known == Kind::go_fatal_error || known == Kind::go_panic;
    if (known == Kind::exit_status || (vague && stands_alone(kind))) known = kind;
    draft_->fatal = true;
  }

  void panic(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view) { return false; });
    add_message(whole);
    draft_->panicked = true;
    draft_->fatal = true;
    Kind& kind = draft_->report.kind;
    if (kind == Kind::exit_status || kind == Kind::go_fatal_error) kind = Kind::go_panic;
    // A nested panic is the one that ended the program only if nothing better is known.
    if (const auto index = bounds_error(whole); index && !draft_->bad) draft_->bad = *index;
  }

  // "index out of range [5] with length 3", "slice bounds out of range [:7] with capacity 4": %x.
  static std::optional<Suspect> bounds_error(std::string_view text) {
    const std::size_t at = text.find(" out of range [");
    if (text.find("runtime error: ") == std::string_view::npos || at == std::string_view::npos) {
      return std::nullopt;
    }
    std::string_view rest = text.substr(at + 15);
    // The offender is the number before the last colon ("[%x:%y]", "[:%x:%y]"), or the only one.
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos || close > 64) return std::nullopt;
    rest = rest.substr(0, close);
    while (take(rest, ":")) {
    }
    const bool negative = take(rest, "-");
    const auto value = take_decimal(rest);
    if (!value) return std::nullopt;
    Suspect suspect;
    suspect.role = Role::index;
    suspect.value = negative ? ~*value + 1 : *value;
    suspect.description = "index or bound that was out of range";
    return suspect;
  }

  // "[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x45e4f7]".
  void signal_line(std::string_view text) {
    const std::string whole =
        unfold(text, [](std::string_view t) { return t.find(']') == std::string_view::npos; });
    add_message(whole);
    CrashReport& report = draft_->report;
    if (draft_->signalled) return;
    std::string_view rest = std::string_view(whole).substr(8);
    if (const auto number = take_hex(rest)) {
      if (*number > 0 && *number <= 64) report.signal = static_cast<int>(*number);
    } else {
      report.signal = signal_number(rest.substr(0, rest.find_first_of(": ]")));
    }
    const auto code = hex_after(whole, " code=");
    if (code) report.signal_code = static_cast<int>(static_cast<std::uint32_t>(*code));
    if (const auto address = hex_after(whole, " addr=")) {
      if (!report.fault_address) report.fault_address = Address{*address};
    }
    if (const auto pc = hex_after(whole, " pc=")) report.pc = Address{*pc};
    draft_->signalled = report.signal.has_value();
    if (draft_->signalled && report.kind == Kind::go_panic) report.kind = Kind::go_signal_panic;
    if (draft_->signalled && report.kind == Kind::exit_status) {
      report.kind = Kind::go_unexpected_signal;
    }
  }

  // "SIGSEGV: segmentation violation", and "PC=0x… m=0 sigcode=1 addr=0x0" on the next line.
  void signal_header(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view) { return false; });
    const TextLines::Line* next = lines_.peek();
    std::string_view rest = next == nullptr ? std::string_view{} : prefix_.strip(next->text);
    if (!rest.starts_with("PC=0x")) {  // a program's own words
      if (draft_->report.message.empty()) draft_.reset();
      return;
    }
    add_message(whole);
    add_message(rest);
    CrashReport& report = draft_->report;
    report.signal = signal_number(std::string_view(whole).substr(0, whole.find(':')));
    report.kind = Kind::go_unexpected_signal;
    draft_->fatal = true;
    if (const auto pc = hex_after(rest, "PC=")) report.pc = Address{*pc};
    if (const auto address = hex_after(rest, " addr=")) report.fault_address = Address{*address};
    if (const std::size_t at = rest.find("sigcode="); at != std::string_view::npos) {
      std::string_view digits = rest.substr(at + 8);
      const bool negative = take(digits, "-");  // printed unsigned, as 2^64-6, by most versions
      if (const auto code = take_decimal(digits)) {
        const int value = static_cast<int>(static_cast<std::uint32_t>(*code));
        report.signal_code = negative ? -value : value;
      }
    }
    lines_.advance();
  }

  void runtime_note(std::string_view text) {
    const std::string whole = unfold(text, [](std::string_view) { return false; });
    add_message(whole);
    // "runtime: g 1: unexpected return pc for main.f called from 0x1234"
    const std::size_t at = whole.find("unexpected return pc for ");
    if (at == std::string::npos || draft_->bad) return;
    const auto pc = hex_after(std::string_view(whole).substr(at), " called from ");
    if (!pc) return;
    // Where the function returned before the runtime looked, that was the fault.
    if (draft_->report.kind == Kind::exit_status ||
        draft_->report.kind == Kind::go_unexpected_fault) {
      draft_->report.kind = Kind::go_unexpected_return;
    }
    Suspect suspect;
    suspect.value = *pc;
    suspect.description = "value in the return address slot of a frame";
    // tracebackHexdump follows: "stack: frame={sp:0x…, fp:0x…} stack=[…". The return address is the
    // word below fp (x86).
    const TextLines::Line* next = lines_.peek();
    if (next != nullptr && next->text.size() < kMaxLine) {
      const std::string_view dump = prefix_.strip(next->text);
      const auto fp = hex_after(dump, "fp:");
      if (dump.starts_with("stack: frame={") && fp) {
        suspect.slot = Address{*fp - 8};
        add_message(dump);
        lines_.advance();
      }
    }
    draft_->bad = std::move(suspect);
  }

  // Lines that belong to a message and are no message themselves. True if this is one.
  bool detail(std::string_view text) {
    if (text.starts_with("object=0x") || text.starts_with("obj=0x") ||
        text.starts_with("base=0x")) {
      add_message(text);
      return true;
    }
    if (text.starts_with(" *(")) {  // gcDumpObject
      if (text.ends_with(" <==")) add_message(text);
      return true;
    }
    if (text == " ..." || is_word_dump(text)) return true;
    if (draft_->in_listing && listing(text)) return true;
    if (text == "signal arrived during cgo execution" || text.starts_with("instruction bytes:") ||
        text.starts_with("goroutine running on other thread") ||
        text.starts_with("preempt off reason") ||
        text.starts_with("[originating from goroutine ") || text.starts_with("stack: frame={")) {
      if (draft_->stack_lines == 0) add_message(text);
      return true;
    }
    // printindented: the later lines of a message have a tab in front.
    if (draft_->fatal && draft_->stack_lines == 0 && text.starts_with('\t')) {
      add_message(text);
      return true;
    }
    return draft_->stack_lines > 0 && register_line(text);
  }

  // hexdumpWords up to Go 1.24, and all versions' stack dumps: "0x000000c00006ce38:  0x… …".
  static bool is_word_dump(std::string_view text) {
    return text.size() > 20 && take_hex(text) && text.starts_with(": ");
  }

  // "0xc00001a018 free  marked   zombie", and the zombie's hexdump "000000c00001a018:  0x…" .
  bool listing(std::string_view text) {
    std::string_view rest = text;
    const auto address = take_hex(rest);
    if (!address) return hexdump(text);
    const bool freed = take(rest, " free ");
    if (!freed && !take(rest, " alloc")) return false;
    if (!draft_->elements) draft_->elements = ByteRange{Address{*address}, 0};
    const std::uint64_t start = draft_->elements->start.value;
    if (*address >= start && *address - start < std::uint64_t{1} << 40) {
      draft_->elements->size =
          *address - start + std::min(draft_->element_size, std::uint64_t{1} << 40);
    }
    if (rest.ends_with("zombie")) {
      add_message(text);
      if (draft_->zombies.size() < kMaxSuspects) {
        Suspect suspect;
        suspect.value = *address;
        suspect.certainty = Certainty::inferred;  // the pointer may be to the object's inside
        suspect.span = ByteRange{Address{*address}, draft_->element_size};
        suspect.description = "pointer to (or into) an object that has been freed";
        draft_->zombies.push_back(std::move(suspect));
      }
    }
    return true;
  }

  // hexdumper of Go 1.25 on: a column header, then "000000c00001a018: 7a6f6d62 …".
  static bool hexdump(std::string_view text) {
    const std::string_view body = trim(text);
    return body.starts_with("7 6 5 4  3 2 1 0") || body.starts_with("0 1 2 3  4 5 6 7") ||
           (body.size() > 17 && body[16] == ':' &&
            body.substr(0, 16).find_first_not_of("0123456789abcdef") == std::string_view::npos);
  }

  bool register_line(std::string_view text) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || space > 6) return false;
    const std::string_view name = text.substr(0, space);
    if (std::find(kRegisterNames.begin(), kRegisterNames.end(), name) == kRegisterNames.end()) {
      return false;
    }
    std::string_view rest = trim(text.substr(space));
    const auto value = take_hex(rest);
    if (!value || !rest.empty()) return false;
    std::vector<RegisterValue>& registers = draft_->report.registers;
    if (registers.size() < kMaxRegisters) registers.push_back({std::string(name), *value});
    return true;
  }

  void begin_stack(Stack stack) {
    draft_->idle = 0;
    draft_->in_listing = false;
    ++draft_->stack_lines;
    std::vector<Stack>& stacks = draft_->report.stacks;
    dropping_ = stacks.size() == kMaxStacks;
    if (dropping_) {
      draft_->report.truncated = true;
    } else {
      stacks.push_back(std::move(stack));
    }
  }

  bool frame() {
    const std::string_view text = prefix_.strip(lines_.peek()->text);
    Stack* stack = draft_->report.stacks.empty() ? nullptr : &draft_->report.stacks.back();
    if (stack == nullptr) return false;
    if (is_elision(text)) {
      if (!dropping_) stack->cut = true;
      lines_.advance();
      return true;
    }
    auto found = parse_frame(lines_, prefix_);
    if (!found) return false;
    if (dropping_) {
      // Read and forgotten.
    } else if (found->created_by) {
      stack->created_by = std::move(found->frame);
    } else if (stack->frames.size() < kMaxFrames) {
      stack->frames.push_back(std::move(found->frame));
    } else {
      stack->cut = true;
      draft_->report.truncated = true;
    }
    for (std::size_t i = 0; i < found->lines; ++i) lines_.advance();
    return true;
  }

  // The draft is finished: keep it if it is a crash of Go.
  void close(bool at_end) {
    if (!draft_) return;
    Draft draft = std::move(*draft_);
    draft_.reset();
    prefix_ = LinePrefix();
    CrashReport& report = draft.report;
    const bool believable = !report.stacks.empty() || draft.signalled ||
                            (stands_alone(report.kind) && report.kind != Kind::exit_status);
    if (!believable || report.kind == Kind::exit_status) return;
    report.front_end = "go";
    report.runtime = "go";
    report.exit_status = exit_.exit_status;
    if (at_end && (!last_complete_ || report.stacks.empty())) report.truncated = true;
    find_reporting_frame(report);
    add_suspects(draft);
    reports_.push_back(std::move(report));
  }

  static void find_reporting_frame(CrashReport& report) {
    for (std::size_t s = 0; s < report.stacks.size() && !report.reporting; ++s) {
      const Stack& stack = report.stacks[s];
      for (std::size_t f = 0; f < stack.frames.size(); ++f) {
        const std::string& function = stack.frames[f].function;
        if (is_messenger(function)) continue;
        if (function == "runtime.systemstack" && f + 1 == stack.frames.size()) continue;
        report.reporting = FrameRef{s, f};
        break;
      }
    }
    // Go prints the goroutine that was running right after the system stack, if that comes first.
    for (const Stack& stack : report.stacks) {
      if (stack.kind != StackKind::goroutine) continue;
      report.goroutine = stack.goroutine;
      break;
    }
  }

  static const Frame* find_frame(const CrashReport& report, std::string_view function) {
    for (const Stack& stack : report.stacks) {
      for (const Frame& frame : stack.frames) {
        if (frame.function == function) return &frame;
      }
    }
    return nullptr;
  }

  static void add_suspects(Draft& draft) {
    CrashReport& report = draft.report;
    if (draft.bad) report.suspects.push_back(std::move(*draft.bad));
    for (Suspect& zombie : draft.zombies) {
      if (report.suspects.size() < kMaxSuspects) report.suspects.push_back(std::move(zombie));
    }
    if (report.kind == Kind::go_marked_free_object && report.suspects.empty() && draft.elements) {
      Suspect suspect;
      suspect.role = Role::object;
      suspect.value = draft.elements->start.value;
      suspect.span = draft.elements;
      suspect.certainty = Certainty::inferred;
      suspect.description =
          "span that holds a freed object with a pointer to it (the report does not say which)";
      report.suspects.push_back(std::move(suspect));
    }
    if (report.kind == Kind::go_checkptr) add_checkptr(report);
    add_fault_address(report);
  }

  // checkptrAlignment(p, elem, n), checkptrArithmetic(p, originals) and checkptrStraddles(ptr,
  // size): the first argument is the pointer.
  static void add_checkptr(CrashReport& report) {
    for (const std::string_view function :
         {"runtime.checkptrAlignment", "runtime.checkptrArithmetic", "runtime.checkptrStraddles"}) {
      const Frame* frame = find_frame(report, function);
      // With "?" the word is what an unused spill slot happens to hold.
      if (frame == nullptr || frame->arguments.empty() || frame->arguments.front().uncertain)
        continue;
      Suspect suspect;
      suspect.value = frame->arguments.front().value;
      suspect.description = "pointer that checkptr refused";
      report.suspects.push_back(std::move(suspect));
      return;
    }
  }

  static void add_fault_address(CrashReport& report) {
    if (!report.fault_address || report.suspects.size() >= kMaxSuspects) return;
    constexpr int kSegv = 11;
    constexpr int kBus = 7;
    constexpr int kSiKernel = 0x80;  // a general protection fault: the kernel knows no address
    if (report.signal && *report.signal != kSegv && *report.signal != kBus) return;
    if (report.signal_code && (*report.signal_code <= 0 || *report.signal_code == kSiKernel)) {
      if (report.signal_code == kSiKernel) report.fault_address.reset();
      return;
    }
    Suspect suspect;
    suspect.role = Role::fault_address;
    suspect.value = report.fault_address->value;
    suspect.description = *suspect.value < 4096
                              ? "address that was accessed: a nil pointer plus an offset"
                              : "address that was accessed and is not mapped that way";
    report.suspects.push_back(std::move(suspect));
  }

  TextLines lines_;
  const ExitInfo& exit_;
  LinePrefix prefix_;
  std::optional<Draft> draft_;
  bool dropping_ = false;
  bool last_complete_ = true;
  std::vector<CrashReport> reports_;
};

std::vector<CrashReport> parse_go(std::string_view text, const ExitInfo& exit) {
  return GoReader(text, exit).run();
}

}  // namespace

constinit const FrontEnd kGoFrontEnd{"go", &parse_go};

}  // namespace culprit::crash
