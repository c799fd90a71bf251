#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "report/suspect_words.h"
#include "verdict/rules.h"
#include "verdict/words.h"

namespace culprit::verdict {

using report::BugClass;
using report::Confidence;
using report::Hop;
using report::HopKind;
using report::Report;
using report::Verdict;

namespace {

/// What a program calls a function: "std::vector<int>::at", without parameters.
std::string_view bare_name(const report::Frame& f) {
  const std::string_view name = f.demangled.empty() ? f.function : f.demangled;
  return name.substr(0, name.find('('));
}

bool allocates(std::string_view name) {
  constexpr std::array<std::string_view, 16> kAllocators = {
      "malloc",        "calloc",         "realloc",       "reallocarray",
      "aligned_alloc", "memalign",       "__libc_malloc", "__libc_calloc",
      "valloc",        "__libc_realloc", "mmap",          "mmap64",
      "__mmap",        "sbrk",           "_int_malloc",   "sysmalloc"};
  return name.starts_with("operator new") ||
         std::find(kAllocators.begin(), kAllocators.end(), name) != kAllocators.end();
}

/// The value was made inside the allocator: it failed.
bool from_allocator(const Hop& hop) {
  if (allocates(hop.writer.function)) return true;
  constexpr std::size_t kNear = 6;
  for (std::size_t i = 0; i < hop.backtrace.size() && i < kNear; ++i) {
    if (allocates(bare_name(hop.backtrace[i]))) return true;
  }
  return false;
}

/// What an allocator that gave nothing had been asked for, if the report has it.
const Hop* size_asked_for(const Report& report) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.kind == HopKind::register_slice && hop.value_after && hop.source &&
        hop.source->description == report::kAskedSize) {
      return &hop;
    }
  }
  return nullptr;
}

/// The size was a negative number, of a narrower type, before it became one.
bool was_negative(const Report& report, const Hop& asked) {
  if (!asked.value_after || (*asked.value_after >> 63) == 0) return false;
  return std::any_of(report.hops.begin(), report.hops.end(), [&](const Hop& hop) {
    if (hop.main_line || hop.index <= asked.index || hop.kind != HopKind::store || !hop.location ||
        !hop.value_after || hop.location->size >= 8 || hop.location->size == 0) {
      return false;
    }
    return (*hop.value_after >> (8 * hop.location->size - 1) & 1) != 0;
  });
}

/// True if `hop` ran in a function that the function of `user` called, or that had returned to it:
/// the value was a result.
bool returned_to(const Hop& hop, const Hop& user) {
  const std::string& function = user.writer.function;
  if (function.empty() || hop.writer.function == function) return false;
  for (std::size_t i = 1; i < hop.backtrace.size(); ++i) {
    if (hop.backtrace[i].function == function) return true;
  }
  return false;
}

/// A null, or the address of a member of what a null points to.
bool is_null(const Report& report) {
  constexpr std::uint64_t kFirstPage = 4096;
  if (report.suspect->value == 0) return true;
  if (report.suspect->value >= kFirstPage || report.crash.fault_address->value >= 2 * kFirstPage)
    return false;
  return std::any_of(report.hops.begin(), report.hops.end(), [](const Hop& hop) {
    if (!hop.main_line || hop.bytes) return false;
    const bool source = hop.source && (hop.source->kind == report::SourceKind::zero ||
                                       (hop.source->kind == report::SourceKind::arithmetic &&
                                        hop.source->value == std::uint64_t{0}));
    return source || (hop.kind != HopKind::crash_report && hop.value_after == std::uint64_t{0});
  });
}

/// The code of a static object's initialisation that the crash came in: the outermost frame of the
/// program's own. Null if the crash came after that.
const report::Frame* static_initialiser(const Report& report) {
  const report::Frame* own = nullptr;
  bool before_main = false;
  for (const report::Frame& f : report.crash.frames) {
    const std::string_view name = f.function;
    const bool starts = name == "call_init" || name == "_dl_init" || name == "__libc_csu_init" ||
                        name.starts_with("_GLOBAL__sub_I");
    before_main |= starts || name.starts_with("__static_initialization_and_destruction") ||
                   name.starts_with("__cxx_global_var_init");
    if (starts) break;
    if (name == "main") return nullptr;
    if (f.line != 0) own = &f;
  }
  return before_main ? own : nullptr;
}

/// "find" of "std::map<int, T>::find(int const&)": what the function is for, by the first word of
/// its name.
bool looks_something_up(std::string_view name) {
  std::size_t end = 0;
  for (int depth = 0; end < name.size(); ++end) {  // up to the parameters
    if (name[end] == '<') ++depth;
    if (name[end] == '>') --depth;
    if (name[end] == '(' && depth <= 0) break;
  }
  name = name.substr(0, end);
  std::size_t begin = name.size();
  for (int depth = 0; begin > 0; --begin) {
    const char c = name[begin - 1];
    if (c == '>') ++depth;
    if (c == '<') --depth;
    if (depth == 0 && (c == ':' || c == ' ')) break;
  }
  name = name.substr(begin);
  while (name.starts_with("_")) name.remove_prefix(1);
  constexpr std::array<std::string_view, 7> kWords = {"find",   "lookup", "look_up", "search",
                                                      "locate", "getenv", "M_find"};
  return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view word) {
    return name.starts_with(word) &&
           (name.size() == word.size() || name[word.size()] < 'a' || name[word.size()] > 'z');
  });
}

/// Where a lookup read or made the value, which then returned it to the code of a hop that is
/// nearer to the crash; null if there is none.
const Hop* failed_lookup(const Report& report) {
  constexpr std::size_t kNear = 6;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line || (hop.kind != HopKind::load && hop.kind != HopKind::origin)) continue;
    const auto uses = [&](const report::Frame& f) {
      return std::any_of(report.hops.begin(), report.hops.end(), [&](const Hop& user) {
        return user.main_line && user.index < hop.index && user.kind != HopKind::crash_report &&
               user.writer.function == f.function;
      });
    };
    const auto& frames = hop.backtrace;
    for (std::size_t i = 0; i < frames.size() && i < kNear && !uses(frames[i]); ++i) {
      const std::string& name =
          frames[i].demangled.empty() ? frames[i].function : frames[i].demangled;
      if (looks_something_up(name) &&
          std::any_of(frames.begin() + static_cast<std::ptrdiff_t>(i) + 1, frames.end(), uses)) {
        return &hop;
      }
    }
  }
  return nullptr;
}

/// "int", "double": a number that no pointer is kept in. Integers that are made to hold pointers
/// are not among them.
bool is_plain_number(std::string_view type) {
  for (const std::string_view prefix : {"const ", "volatile "}) {
    if (type.starts_with(prefix)) type.remove_prefix(prefix.size());
  }
  constexpr std::array<std::string_view, 14> kNumbers = {
      "int",  "unsigned int", "short",  "short int", "short unsigned int",
      "long", "long int",     "double", "float",     "long long int",
      "i32",  "u32",          "f64",    "i64"};
  return std::find(kNumbers.begin(), kNumbers.end(), type) != kNumbers.end();
}

/// The library's sort that the crash is in; null if there is none.
const report::Frame* sort_in(const Report& report) {
  constexpr std::array<std::string_view, 9> kSorts = {"std::__unguarded_",
                                                      "std::__introsort_loop",
                                                      "std::__insertion_sort",
                                                      "std::__final_insertion_sort",
                                                      "std::__adjust_heap",
                                                      "msort_with_tmp",
                                                      "_quicksort",
                                                      "qsort_r",
                                                      "std::__partition"};
  const auto sort = std::find_if(
      report.crash.frames.begin(), report.crash.frames.end(), [&](const report::Frame& f) {
        const std::string& name = f.demangled.empty() ? f.function : f.demangled;
        return std::any_of(kSorts.begin(), kSorts.end(),
                           [&](std::string_view s) { return name.find(s) != std::string::npos; });
      });
  return sort != report.crash.frames.end() ? &*sort : nullptr;
}

}  // namespace

bool read_block_header(Report& report) {
  const Hop* store = first_of(report, HopKind::store);
  if (store == nullptr || !store->location || !store->location->owner || !from_allocator(*store) ||
      caller_of_library(report.hops.front()) != nullptr || sort_in(report) != nullptr) {
    return false;
  }
  // glibc 2.36, malloc/malloc.c, struct malloc_chunk: what stands before each block.
  const std::string& member = store->location->owner->member;
  if (member != "mchunk_size" && member != "mchunk_prev_size") return false;
  const Hop* user = before(report, *store);
  if (user == nullptr) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::index_out_of_range;
  v.explanation = fmt::format(
      "{} read what malloc keeps in front of a block ({}), not what the program has put into one: "
      "the "
      "index, or the pointer, had left its block.",
      writer_name(*user), to_hex(store->value_after.value_or(0)));
  v.evidence = {user->index, store->index};
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  v.cause = site_of_writer(*user);
  return true;
}

bool null_dereference(Report& report) {
  if (!report.suspect || !report.crash.fault_address || !is_null(report)) return false;
  Verdict& v = report.verdict;
  const Hop* origin = last_writer(report);
  v.bug_class = BugClass::null_dereference;
  v.confidence = Confidence::likely;
  const std::string where =
      report.crash.frames.empty() ? "the crash" : report.crash.frames.front().function;
  v.explanation = fmt::format("{} used a null pointer (fault address {}).", where,
                              to_hex(*report.crash.fault_address));
  if (origin != nullptr) {
    v.explanation += fmt::format(" The null was put there by {}.", writer_name(*origin));
    v.cause = site_of_writer(*origin);
    v.evidence = {0, origin->index};
    // That it is null is sure; that it should not be is the program's own affair.
    v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
    const Hop* user = before(report, *origin);
    const report::Frame* initialiser = static_initialiser(report);
    if (initialiser != nullptr &&
        (origin->kind == HopKind::initial_image || origin->kind == HopKind::remap)) {
      v.cause = site_of_frame(*initialiser);
      v.bug_class = BugClass::static_initialisation_order;
      v.explanation += " The crash came while static objects were made, before that one was.";
    } else if (from_allocator(*origin)) {
      v.bug_class = BugClass::null_from_failed_allocation;
      if (const Hop* asked = size_asked_for(report)) {
        if (was_negative(report, *asked)) v.bug_class = BugClass::sign_error;
        v.explanation +=
            fmt::format(" The allocator had been asked for {} bytes.", *asked->value_after);
        v.evidence.push_back(asked->index);
      }
      if (user != nullptr) v.cause = site_of_writer(*user);
    } else if (origin->writer.function == "__dynamic_cast") {
      v.explanation += " It is what a dynamic_cast gave, since the object is of another class.";
      if (user != nullptr) v.cause = site_of_writer(*user);
    } else if (origin->kind == HopKind::origin && user != nullptr && returned_to(*origin, *user)) {
      v.bug_class = BugClass::null_from_failed_lookup;
      v.explanation +=
          fmt::format(" {} returned it, and the result was used unchecked.", writer_name(*origin));
      v.confidence = std::max(v.confidence, Confidence::likely);
    } else if (const Hop* lookup = failed_lookup(report)) {
      v.bug_class = BugClass::null_from_failed_lookup;
      v.explanation +=
          fmt::format(" {} had not found what it looked for, and its result was used unchecked.",
                      writer_name(*lookup));
      v.evidence = {0, lookup->index};
      if (lookup->index != origin->index) v.evidence.push_back(origin->index);
      v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
    }
  } else if (!report.hops.empty()) {
    v.evidence = {0};
    v.cause = site_of_writer(report.hops.front());
  }
  return true;
}

bool from_signal_handler(Report& report) {
  const Hop* store = first_of(report, HopKind::store);
  if (store == nullptr) return false;
  const bool in_handler =
      std::any_of(store->backtrace.begin(), store->backtrace.end(), [](const report::Frame& f) {
        return f.function == "__restore_rt" || f.stack == report::StackKind::signal;
      });
  if (!in_handler) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::signal_handler_write;
  v.explanation = fmt::format("{} ran in a signal handler when it stored {}.", writer_name(*store),
                              to_hex(store->value_after.value_or(0)));
  v.evidence = {store->index};
  v.confidence = std::max(store->confidence, Confidence::likely);
  v.cause = site_of_writer(*store);
  return true;
}

bool raced(Report& report) {
  const Hop* store = first_of(report, HopKind::store);
  if (store == nullptr || !report.suspect || report.suspect->value != 0 ||
      !in_other_thread(report, store->position)) {
    return false;
  }
  Verdict& v = report.verdict;
  v.bug_class = BugClass::data_race;
  v.explanation = fmt::format(
      "Thread {} cleared the pointer in {} while thread {} used it; nothing that the "
      "chain shows orders the two.",
      store->position.thread.value, writer_name(*store), report.hops.front().position.thread.value);
  v.evidence = {0, store->index};
  v.cause = site_of_writer(*store);
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

bool from_command_line(Report& report) {
  const Hop* origin = last_writer(report);
  if (origin == nullptr || origin->kind != HopKind::initial_image || !origin->source ||
      origin->source->kind != report::SourceKind::argument) {
    return false;
  }
  Verdict& v = report.verdict;
  const Hop* user = before(report, *origin);
  if (origin->source->description == report::kEndOfEnvironment) {
    // Only who looks through the whole list for a variable comes there.
    v.bug_class = BugClass::null_from_failed_lookup;
    v.explanation =
        "The null is the end of the list of environment variables: the one that was looked for is "
        "not set.";
    v.evidence = {origin->index};
    v.confidence = std::max(origin->confidence, Confidence::likely);
    if (user != nullptr) v.cause = site_of_writer(*user);
    return true;
  }
  v.bug_class = BugClass::bad_argument;
  v.explanation = fmt::format("The value came from the program's arguments or environment: {}.",
                              origin->summary);
  v.evidence = {origin->index};
  v.confidence = std::max(origin->confidence, Confidence::likely);
  if (user != nullptr) v.cause = site_of_writer(*user);
  return true;
}

namespace {

/// The number that a bad address was computed from, beside a good base: the suspect itself, or an
/// input that the chain went on with further back.
std::optional<std::uint64_t> index_of(const Report& report) {
  if (!report.suspect) return std::nullopt;
  if (report.suspect->description == report::kIndex) return report.suspect->value;
  if (report.suspect->value == 0 ||
      report.verdict.stopped_because != report::StopReason::arithmetic) {
    return std::nullopt;
  }
  constexpr std::uint64_t kNear = 1 << 20;  // a pointer and the offset of a member
  for (const Hop& hop : report.hops) {
    if (!hop.main_line || !hop.source || hop.source->kind != report::SourceKind::arithmetic)
      continue;
    if (!hop.source->address || !hop.source->value || !hop.value_after) return std::nullopt;
    const std::uint64_t input = *hop.source->value;
    const std::uint64_t distance =
        std::max(input, *hop.value_after) - std::min(input, *hop.value_after);
    if (distance < kNear && input >= kNear) continue;
    return input;
  }
  return std::nullopt;
}

/// The widest number that was computed on the way is an int, and so may have wrapped.
bool computed_as_int(const Report& report) {
  for (auto hop = report.hops.rbegin(); hop != report.hops.rend(); ++hop) {
    if (!hop->main_line || !hop->source) continue;
    if (hop->location && hop->location->size != 0 && hop->kind == HopKind::store) {
      return hop->location->size == 4;
    }
    // "imul eax, esi": made in a 32-bit register, and never kept in memory.
    const std::string& text = hop->source->instruction;
    const auto space = text.find(' ');
    if (hop->kind == HopKind::origin && space != std::string::npos) {
      return text.compare(space + 1, 1, "e") == 0;
    }
  }
  return false;
}

/// The largest signed number of a width: what programs write into an index that leads nowhere.
bool marks_nothing(std::uint64_t value) {
  return value == 0x7fff || value == 0x7fff'ffff || value == 0x7fff'ffff'ffff'ffff;
}

/// The chain ends at a constant of the program's own, in its code or its data.
bool ends_at_constant(const Report& report) {
  const Hop* origin = last_writer(report);
  if (origin == nullptr) return false;
  if (report.verdict.stopped_because == report::StopReason::constant) return true;
  return report.verdict.stopped_because == report::StopReason::initial_image &&
         origin->kind == HopKind::initial_image && origin->location &&
         (origin->location->region == report::RegionKind::global ||
          origin->location->region == report::RegionKind::code);
}

/// What a loop's counter was compared with, if the report has it.
const Hop* loop_bound(const Report& report) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.value_after && hop.source &&
        hop.source->description == report::kLoopBound) {
      return &hop;
    }
  }
  return nullptr;
}

bool negative(std::uint64_t value, std::uint64_t size) {
  return size == 4 ? (value >> 31 & 1) != 0 : (value >> 63) != 0;
}

}  // namespace

bool bad_index(Report& report) {
  const auto index = index_of(report);
  if (!index) return false;
  Verdict& v = report.verdict;
  const Hop* origin = last_writer(report);
  const std::uint64_t value = *index;
  bool below_zero = (value >> 63) != 0 || (value >> 31) == 1;
  for (const Hop& hop : report.hops) {
    if (hop.main_line && hop.kind == HopKind::store && hop.location && hop.value_after) {
      below_zero |= negative(*hop.value_after, hop.location->size);
    }
  }
  const bool computed = v.stopped_because == report::StopReason::arithmetic;
  const bool mark = !below_zero && marks_nothing(value) && ends_at_constant(report);
  v.bug_class = below_zero                            ? BugClass::sign_error
                : mark                                ? BugClass::bad_constant
                : computed && computed_as_int(report) ? BugClass::integer_overflow
                                                      : BugClass::index_out_of_range;
  v.explanation = fmt::format("The base of the address is good, its index {} is not.",
                              below_zero && (value >> 32) == 0
                                  ? std::to_string(static_cast<std::int32_t>(value))
                                  : std::to_string(static_cast<std::int64_t>(value)));
  if (const Hop* bound = loop_bound(report)) {
    // It counted as far as its bound let it.
    if (was_negative(report, *bound)) v.bug_class = BugClass::sign_error;
    v.explanation += fmt::format(" A loop counted up to it, as its bound was {}.",
                                 static_cast<std::int64_t>(*bound->value_after));
    const Hop* maker = bound;
    for (const Hop& hop : report.hops) {
      if (!hop.main_line && hop.parent == maker->index && hop.kind == HopKind::store) maker = &hop;
    }
    blame_maker(report, maker, " It was made by");
    return true;
  }
  if (mark && origin->kind == HopKind::initial_image) {
    if (const Hop* copied = before(report, *origin)) origin = copied;
  }
  if (mark) v.explanation += " It is the largest number of its width, a mark rather than an index.";
  blame_maker(report, origin, " It was made by");
  return true;
}

bool confused_types(Report& report) {
  if (!report.suspect || !report.crash.fault_address) return false;
  const Hop* number = nullptr;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line || hop.kind != HopKind::store || !hop.location || !hop.location->owner)
      continue;
    if (hop.location->region == report::RegionKind::stack) continue;
    // A part counts as the number if the rest of the value is zero.
    const bool whole =
        !hop.bytes || (hop.bytes->first == 0 && hop.value_after == report.suspect->value);
    if (!whole) continue;
    const report::Owner& owner = *hop.location->owner;
    // What a library's own parameter is called says nothing of the program's types.
    if (owner.variable.starts_with("*__")) continue;
    const std::string& type = owner.member.empty() ? owner.type : owner.member_type;
    // What was put into a void* is no address at all: whoever took it out made a pointer to an
    // object of it.
    constexpr std::uint64_t kFirstPages = 65536;
    const bool small = type == "void*" && hop.value_after && *hop.value_after < kFirstPages;
    if (is_plain_number(type) || (small && *hop.value_after != 0)) {
      number = &hop;
      break;
    }
  }
  if (number == nullptr) return false;
  const report::Owner& owner = *number->location->owner;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::type_confusion;
  v.explanation = fmt::format("{} was used as a pointer; {} stored it as a number ({}) into {}.",
                              to_hex(report.suspect->value), writer_name(*number),
                              owner.member.empty() ? owner.type : owner.member_type,
                              owner_name(*number->location));
  v.evidence = {0, number->index};
  v.cause = site_of_writer(*number);
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

namespace {

/// "const scene::Group*" -> "scene::Group": the class that a pointer points to. Empty for pointers
/// to numbers and characters, for void*, and for what only a library knows.
std::string pointee_class(std::string_view type) {
  if (!type.ends_with('*')) return {};
  type.remove_suffix(1);
  while (type.ends_with(' ')) type.remove_suffix(1);
  for (const std::string_view prefix : {"const ", "volatile ", "struct ", "class ", "union "}) {
    if (type.starts_with(prefix)) type.remove_prefix(prefix.size());
  }
  if (type.ends_with(" const")) type.remove_suffix(6);
  constexpr std::array<std::string_view, 9> kPlain = {
      "void", "char", "unsigned char", "signed char", "u8", "bool", "short", "std::byte", "i8"};
  const bool library = type.starts_with("std::") || type.starts_with("__") ||
                       type.starts_with("core::") || type.starts_with("alloc::");
  if (library || type.empty() || type.ends_with('*') || type.ends_with(')') ||
      is_plain_number(type) || std::find(kPlain.begin(), kPlain.end(), type) != kPlain.end()) {
    return {};
  }
  return std::string(type);
}

std::string pointee_class(const report::Owner& owner) {
  return pointee_class(owner.member.empty() ? owner.type : owner.member_type);
}

}  // namespace

bool confused_pointer(Report& report) {
  if (!report.suspect || !report.crash.fault_address || report.suspect->value == 0 ||
      report.hops.empty()) {
    return false;
  }
  const auto& read = report.hops.front().location;
  if (!read || !read->owner || !read->owner->variable.starts_with('*')) return false;
  const std::string wanted = pointee_class(read->owner->type);
  if (wanted.empty()) return false;
  const Hop* made = nullptr;
  std::string was;
  for (const Hop& hop : report.hops) {
    if (hop.main_line || hop.kind != HopKind::store || !hop.location || !hop.location->owner)
      continue;
    const std::string type = pointee_class(*hop.location->owner);
    if (type.empty()) continue;
    made = &hop;
    was = type;
  }
  if (made == nullptr || was == wanted) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::type_confusion;
  v.explanation = fmt::format(
      "The pointer was made for an object of {} (kept in {} by {}), and was used as "
      "one to {}.",
      was, owner_name(*made->location), writer_name(*made), wanted);
  v.evidence = {0, made->index};
  const report::Frame* program = program_frame(made->backtrace);
  v.cause = program != nullptr ? site_of_frame(*program) : site_of_writer(*made);
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

bool stale_page(Report& report) {
  const Hop* change = nullptr;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line || !hop.value_after || hop.value_before == hop.value_after) continue;
    // Only mremap brings bytes along to where nothing was.
    const bool moved = hop.syscall && hop.syscall->name == "mremap";
    if (hop.kind == HopKind::foreign_write ||
        (hop.kind == HopKind::remap && (hop.value_before || moved))) {
      change = &hop;
      break;
    }
  }
  if (change == nullptr) return false;
  const Hop* stored = nullptr;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.parent == change->index && hop.kind == HopKind::store) stored = &hop;
  }
  const Hop* origin = last_writer(report);
  Verdict& v = report.verdict;
  v.bug_class = BugClass::replaced_page;
  v.explanation = fmt::format("No store of this process made this value: {}.", change->summary);
  v.evidence = {change->index};
  if (stored != nullptr) {
    v.explanation += fmt::format(" The last value that the program stored there was {}, by {}.",
                                 to_hex(stored->value_after.value_or(0)), writer_name(*stored));
    v.evidence.push_back(stored->index);
  }
  if (origin != nullptr && origin != change) {
    v.explanation += fmt::format(" The older bytes were made by {}.", writer_name(*origin));
    v.evidence.push_back(origin->index);
  }
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  // The program's own code that made the call, past the C library's wrapper.
  for (std::size_t i = 1; i < change->backtrace.size(); ++i) {
    const report::Frame& f = change->backtrace[i];
    if (!f.file.starts_with('/') || f.file.starts_with("/usr/")) continue;
    v.cause = report::CauseSite{
        f.demangled.empty() ? f.function : f.demangled, f.file, f.line, {}, {}, f.module};
    break;
  }
  return true;
}

bool unexplained(Report& report) {
  Verdict& v = report.verdict;
  if (v.stopped_because != report::StopReason::unexplained_change || report.hops.empty())
    return false;
  v.bug_class = BugClass::kernel_or_hardware_suspect;
  v.explanation = fmt::format("{} was in memory, and nothing in the recording put it there: {}.",
                              to_hex(report.suspect ? report.suspect->value : 0), v.stopped_detail);
  v.evidence = {0};
  for (const Hop& hop : report.hops) {
    if (hop.main_line || hop.kind != HopKind::store) continue;
    v.explanation += fmt::format(" The last store there, of {}, was made by {}.",
                                 to_hex(hop.value_after.value_or(0)), writer_name(hop));
    v.evidence.push_back(hop.index);
  }
  v.confidence = Confidence::likely;
  return true;
}

bool from_kernel(Report& report) {
  const Hop* origin = last_writer(report);
  const bool file = origin != nullptr && origin->kind == HopKind::remap && origin->source &&
                    origin->source->kind == report::SourceKind::file;
  if (origin == nullptr || (origin->kind != HopKind::kernel_write && !file)) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::bad_input;
  v.explanation = fmt::format("The value came from outside the program: {}.", origin->summary);
  v.evidence = {origin->index};
  v.confidence = std::max(origin->confidence, Confidence::likely);
  if (!origin->backtrace.empty()) {
    const report::Frame& f = origin->backtrace.front();
    v.cause = site_of_frame(f);
  }
  return true;
}

bool from_other_process(Report& report) {
  const Hop* sent = first_of(report, HopKind::channel);
  const Hop* received = sent != nullptr ? before(report, *sent) : nullptr;
  if (received == nullptr || !received->syscall) return false;
  Verdict& v = report.verdict;
  const Hop* origin = last_writer(report);
  v.bug_class = BugClass::bad_input;
  v.explanation =
      fmt::format("The value came from another process: {}; there, {}. It was made by {}.",
                  received->summary, sent->summary, writer_name(*origin));
  v.evidence = {received->index, sent->index};
  if (origin != sent) v.evidence.push_back(origin->index);
  // That a process should not believe what another one sends is a judgement.
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  if (!received->backtrace.empty()) {
    const report::Frame& f = received->backtrace.front();
    v.cause = site_of_frame(f);
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
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

bool constant(Report& report) {
  const bool folded = report.verdict.stopped_because == report::StopReason::constant;
  if (report.hops.empty() || (!folded && !ends_at_constant(report))) return false;
  // A compiler may have folded the store away: then the crashing code itself holds the constant.
  const Hop* stored = last_writer(report);
  const Hop* origin = stored != nullptr ? stored : &report.hops.front();
  Verdict& v = report.verdict;
  if (origin->kind == HopKind::initial_image) {
    // Data of the program's file, which somebody copied from there.
    const Hop* copied = before(report, *origin);
    if (copied == nullptr || copied->kind == HopKind::crash_report) return false;
    v.bug_class = BugClass::bad_constant;
    v.explanation = fmt::format("{} copied a constant of the program's file ({}).",
                                writer_name(*copied), owner_name(*origin->location));
    v.evidence = {copied->index, origin->index};
    v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
    v.cause = site_of_writer(*copied);
    return true;
  }
  v.bug_class = BugClass::bad_constant;
  v.explanation = fmt::format("{} {} the constant itself.", writer_name(*origin),
                              stored != nullptr ? "stored" : "used");
  v.evidence = {origin->index};
  v.confidence = std::max(origin->confidence, Confidence::likely);
  v.cause = site_of_writer(*origin);
  return true;
}

bool ran_out_of_sort(Report& report) {
  const report::Frame* sort = sort_in(report);
  if (sort == nullptr || !report.crash.fault_address) return false;
  const report::Frame* comparator = program_frame(report.crash.frames);
  Verdict& v = report.verdict;
  v.bug_class = BugClass::bad_comparator;
  v.explanation = fmt::format(
      "The crash is inside {}, in a comparison. A sort leaves its range only if the comparison is "
      "no strict "
      "weak ordering.",
      sort->demangled.empty() ? sort->function
                              : sort->demangled.substr(0, sort->demangled.find('<')));
  v.evidence = {0};
  v.confidence = Confidence::likely;
  if (comparator != nullptr) {
    v.cause = site_of_frame(*comparator);
  }
  return true;
}

bool composed(Report& report) {
  const Hop* store = first_of(report, HopKind::store);
  if (store == nullptr || !store->bytes) return false;
  const auto other = std::find_if(report.hops.begin(), report.hops.end(), [](const Hop& hop) {
    return !hop.main_line && hop.kind == HopKind::store && hop.bytes;
  });
  if (other == report.hops.end()) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::bad_constant;
  v.explanation = fmt::format(
      "Two stores make up the value: {} wrote {} of its bytes, {} wrote {} of them.",
      writer_name(*store), store->bytes->count, writer_name(*other), other->bytes->count);
  v.evidence = {store->index, other->index};
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  v.cause = site_of_writer(*store);
  return true;
}

bool stated(Report& report) {
  struct Stated {
    std::string_view hint;
    BugClass bug_class;
  };
  constexpr std::array<Stated, 24> kStated = {{
      {"use_after_free", BugClass::use_after_free},
      {"use_after_return", BugClass::use_after_return},
      {"use_after_scope", BugClass::use_after_scope},
      {"heap_overflow", BugClass::heap_overflow},
      {"heap_underflow", BugClass::heap_underflow},
      {"stack_overflow", BugClass::stack_buffer_overflow},
      {"stack_underflow", BugClass::stack_buffer_overflow},
      {"global_overflow", BugClass::global_overflow},
      {"bounds", BugClass::index_out_of_range},
      {"uninitialised", BugClass::uninitialised_memory},
      {"data_race", BugClass::data_race},
      {"double_free", BugClass::double_free},
      {"invalid_free", BugClass::invalid_free},
      {"mismatched_free", BugClass::invalid_free},
      {"heap_metadata", BugClass::heap_overflow},
      {"stack_canary", BugClass::stack_buffer_overflow},
      {"stack_exhausted", BugClass::stack_exhaustion},
      {"integer_overflow", BugClass::integer_overflow},
      {"type_confusion", BugClass::type_confusion},
      {"pure_virtual_call", BugClass::use_after_destroy},
      {"invalid_iterator", BugClass::iterator_invalidated},
      {"assertion", BugClass::deliberate_abort},
      {"unhandled_exception", BugClass::deliberate_abort},
      {"panic", BugClass::deliberate_abort},
  }};
  const auto found = std::find_if(kStated.begin(), kStated.end(),
                                  [&](const Stated& s) { return s.hint == report.crash.hint; });
  if (found == kStated.end()) return false;
  open_end(report);
  Verdict& v = report.verdict;
  v.bug_class = found->bug_class;
  v.confidence = Confidence::likely;
  v.explanation = "The crash text says so. " + v.explanation;
  if (v.evidence.empty()) v.evidence = {0};
  return true;
}

bool open_end(Report& report) {
  Verdict& v = report.verdict;
  v.bug_class = BugClass::unknown;
  v.confidence = Confidence::unknown;
  if (const Hop* origin = last_writer(report)) {
    v.explanation = fmt::format("The value was last traced to {}.", writer_name(*origin));
    v.evidence = {origin->index};
    v.cause = site_of_writer(*origin);
  } else {
    v.explanation = "The chain could not be begun.";
  }
  if (!v.stopped_detail.empty())
    v.explanation += fmt::format(" It stops there: {}.", v.stopped_detail);
  return true;
}

}  // namespace culprit::verdict
