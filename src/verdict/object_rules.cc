#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
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

/// Another part of the object was written in its life: the initialisation forgot this one.
const Hop* written_beside(const Report& report, const Hop& stale) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.kind == HopKind::store && hop.parent == stale.index) return &hop;
  }
  return nullptr;
}

/// "codec::Decoder::Decoder(char const*)".
bool in_constructor(const Hop& hop) {
  std::string_view name = hop.writer.demangled.empty() ? hop.writer.function : hop.writer.demangled;
  name = name.substr(0, name.find('('));
  const auto colon = name.rfind("::");
  if (colon == std::string_view::npos) return false;
  const std::string_view method = name.substr(colon + 2);
  const std::string_view scope = name.substr(0, colon);
  return scope == method || scope.ends_with("::" + std::string(method));
}

void say_partly(Report& report, const Hop& stale) {
  const Hop* beside = written_beside(report, stale);
  if (beside == nullptr) return;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::partly_initialised;
  v.explanation +=
      fmt::format(" Other parts of it were set: {} wrote {} at {}.", writer_name(*beside),
                  beside->location ? owner_name(*beside->location) : "one",
                  place(beside->writer.file, beside->writer.line));
  v.evidence.push_back(beside->index);
}

}  // namespace

bool uninitialised_stack(Report& report) {
  const Hop* stale = first_of(report, HopKind::stale_bytes);
  if (stale == nullptr || !stale->location || !stale->location->owner ||
      stale->location->region == report::RegionKind::heap) {
    return false;
  }
  Verdict& v = report.verdict;
  const report::Owner& owner = *stale->location->owner;
  const bool structure = !owner.member.empty();
  const std::string name = owner_name(*stale->location);
  const std::string variable = owner.variable.empty() ? name : owner.variable;
  const std::string declared = place(owner.declared_file, owner.declared_line);
  const Hop* reader = before(report, *stale);
  const Hop* origin = nullptr;
  for (const Hop& hop : report.hops) {
    if (hop.main_line && hop.index > stale->index && origin == nullptr) origin = &hop;
  }

  v.bug_class = BugClass::uninitialised_stack;
  v.title = fmt::format("uninitialised stack {} {}: {} read before it was written",
                        structure ? "struct" : "variable", variable,
                        structure ? fmt::format("its {} was", owner.member) : "it was");
  v.explanation = fmt::format(
      "{} is a local{} of {}{} and was never written in the life of that frame.", variable,
      owner.type.empty() ? "" : fmt::format(" ({})", owner.type), owner.function,
      declared.empty() ? "" : fmt::format(", declared at {}", declared));
  if (origin != nullptr && origin->kind == HopKind::store) {
    v.explanation += fmt::format(
        " Its bytes are older than the frame: {} left {} there, in a frame that had ended before "
        "{} was "
        "called.",
        writer_name(*origin), to_hex(stale->value_after.value_or(0)), owner.function);
  }
  if (reader != nullptr && reader->kind == HopKind::runtime_store) {
    v.explanation += fmt::format(
        " When {} stored a new pointer into {}, Go's write barrier recorded the old contents for "
        "the "
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
  // The claim rests on the order of frame entry and write, which the stale hop proves; how the
  // stale value was computed before that does not weaken it.
  v.confidence =
      reader != nullptr ? weakest(report, {reader->index, stale->index}) : stale->confidence;
  // Of a value that was computed on the way, the stale bytes were only an input.
  for (const Hop& hop : report.hops) {
    if (&hop == stale) break;
    if (hop.source && hop.source->kind == report::SourceKind::arithmetic) {
      v.confidence = std::max(v.confidence, Confidence::likely);
    }
  }
  v.cause = report::CauseSite{owner.function, owner.declared_file, owner.declared_line,
                              owner.variable, owner.member,        owner.module};
  // A write barrier reads what it is about to overwrite: the object was being filled in just then.
  const bool filling = reader != nullptr && reader->kind == HopKind::runtime_store;
  if (structure && !filling && !owner.member.starts_with("[")) say_partly(report, *stale);
  return true;
}

namespace {

/// Where the address of a local left its frame, if the report has it.
const Hop* way_left_frame(const Report& report) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.kind == HopKind::register_slice) return &hop;
  }
  return nullptr;
}

}  // namespace

bool dangling_stack_pointer(Report& report) {
  const Hop* origin = last_writer(report);
  if (origin == nullptr || origin->kind != HopKind::store || !origin->location ||
      !origin->location->owner || !origin->location->owner->life.died) {
    return false;
  }
  Verdict& v = report.verdict;
  const bool other_thread = in_other_thread(report, origin->position);
  v.bug_class = other_thread ? BugClass::dead_thread_stack : BugClass::use_after_return;
  v.explanation = fmt::format(
      "The bytes that were read belong to no variable of a living frame: they were written by {} "
      "into "
      "its own frame, which had ended. The pointer that led there outlived the local that it "
      "pointed "
      "to.",
      writer_name(*origin));
  v.evidence = {origin->index};
  v.cause = site_of_writer(report.hops.front());
  const auto jump = std::find_if(report.hops.begin(), report.hops.end(), [](const Hop& hop) {
    return !hop.main_line && hop.kind == HopKind::release && hop.location &&
           hop.location->region == report::RegionKind::stack;
  });
  if (jump != report.hops.end()) {
    v.bug_class = BugClass::longjmp_over_object;
    v.explanation += fmt::format(" {}.", jump->summary);
    v.evidence.push_back(jump->index);
    v.cause = site_of_writer(*jump);
  } else if (const Hop* left = way_left_frame(report)) {
    v.explanation += fmt::format(" Its address left {} at {}.", writer_name(*left),
                                 place(left->writer.file, left->writer.line));
    v.evidence.push_back(left->index);
    v.cause = site_of_writer(*left);
  }
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  return true;
}

bool outlived_scope(Report& report) {
  if (report.hops.empty()) return false;
  const Hop& crash = report.hops.front();
  const Hop* taken = nullptr;
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.kind == HopKind::origin && hop.location && hop.location->owner)
      taken = &hop;
  }
  if (taken == nullptr || !crash.location || !crash.location->owner) return false;
  const report::Owner& then = *taken->location->owner;
  const report::Owner& now = *crash.location->owner;
  const bool same_frame = then.frame && then.frame == now.frame && then.function == now.function;
  const bool held = then.object && then.object_size &&
                    ByteRange{*then.object, *then.object_size}.contains(crash.location->address);
  const bool other = then.variable != now.variable || then.declared_line != now.declared_line;
  if (!same_frame || !held || !other || then.variable.empty() || now.variable.empty()) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::use_after_scope;
  v.explanation = fmt::format(
      "The pointer was made as the address of {} (declared at {}) and was still used after that "
      "one's "
      "scope had ended: the same bytes of {}'s frame were {} then.",
      then.variable, place(then.declared_file, then.declared_line), then.function, now.variable);
  v.evidence = {crash.index, taken->index};
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  v.cause = site_of_writer(*taken);
  return true;
}

bool uninitialised_heap(Report& report) {
  const Hop* stale = first_of(report, HopKind::stale_bytes);
  if (stale == nullptr || !stale->location || !stale->location->owner ||
      stale->location->region != report::RegionKind::heap) {
    return false;
  }
  Verdict& v = report.verdict;
  const report::Owner& owner = *stale->location->owner;
  const Hop* origin = last_writer(report);
  if (origin == stale) origin = nullptr;
  const std::string size = fmt::format("{} bytes", owner.object_size.value_or(0));
  v.bug_class = BugClass::uninitialised_heap;
  v.title = fmt::format("uninitialised heap memory: {} was read before it was written",
                        owner.variable.empty() ? fmt::format("offset {} of a block of {}",
                                                             owner.offset.value_or(0), size)
                                               : owner_name(*stale->location));
  v.explanation = fmt::format(
      "The block of {} was allocated by {} and its bytes from offset {} on were "
      "not written since.",
      size, writer_name(*stale), owner.offset.value_or(0));
  if (origin != nullptr) {
    v.explanation += fmt::format(
        " They are left over from an earlier owner of the memory: {} stored {} "
        "there.",
        writer_name(*origin), to_hex(stale->value_after.value_or(0)));
  }
  v.suggested_fix = fmt::format(
      "Set all members of the object that {} allocates, or allocate it cleared "
      "(calloc, a constructor).",
      writer_name(*stale));
  v.evidence = {stale->index};
  if (origin != nullptr) v.evidence.push_back(origin->index);
  v.confidence = stale->confidence;
  v.cause = site_of_writer(*stale);
  // Of a block, only a constructor promises to set all of it.
  if (const Hop* beside = written_beside(report, *stale);
      beside != nullptr && in_constructor(*beside)) {
    say_partly(report, *stale);
  }
  return true;
}

namespace {

/// Functions of the C++ library that move a container's elements or drop them, as they show in a
/// release.
bool inside_container(const std::vector<report::Frame>& frames) {
  constexpr std::array<std::string_view, 12> kMovers = {
      "_M_realloc_insert", "_M_realloc_append", "_M_default_append", "_M_fill_insert",
      "_M_range_insert",   "_M_rehash",         "_M_reallocate_map", "::reserve",
      "::shrink_to_fit",   "_M_mutate",         "_M_erase",          "::resize"};
  // A container of the program's own: what gave the memory up is called after what it does.
  constexpr std::array<std::string_view, 7> kOwn = {"rehash", "resize", "grow",      "reserve",
                                                    "shrink", "expand", "reallocate"};
  const auto names_one = [](std::string_view name, const auto& words) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
      return name.find(word) != std::string_view::npos;
    });
  };
  for (const report::Frame& f : frames) {
    const std::string& whole = f.demangled.empty() ? f.function : f.demangled;
    std::string name = whole.substr(0, whole.find('('));
    // An element that is deleted with its owner is not the container's own storage.
    if (name.find("default_delete") != std::string::npos ||
        name.find("_Sp_counted") != std::string::npos || name.find('~') != std::string::npos) {
      return false;
    }
    const bool in_library =
        f.file.starts_with("/usr/") || (f.file.empty() && name.find("std::") != std::string::npos);
    if (!in_library && (f.file.empty() || f.file.starts_with("./"))) continue;
    if (in_library) {
      if (names_one(name, kMovers)) return true;
      continue;
    }
    if (const auto colon = name.rfind(':'); colon != std::string::npos) name.erase(0, colon + 1);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return names_one(name, kOwn);
  }
  return false;
}

/// Memory that the allocator's own code gave back to the kernel was a block.
bool inside_release(const std::vector<report::Frame>& frames) {
  constexpr std::array<std::string_view, 6> kReleases = {
      "free", "cfree", "__libc_free", "realloc", "__libc_realloc", "munmap_chunk"};
  return std::any_of(frames.begin(), frames.end(), [&](const report::Frame& f) {
    std::string_view name = f.function;
    if (name.starts_with("__GI_")) name.remove_prefix(5);  // glibc's name for its own use
    return std::find(kReleases.begin(), kReleases.end(), name) != kReleases.end() ||
           f.demangled.starts_with("operator delete");
  });
}

}  // namespace

namespace {

bool any_name_has(const std::vector<report::Frame>& frames, std::string_view part) {
  return std::any_of(frames.begin(), frames.end(), [part](const report::Frame& f) {
    return f.demangled.find(part) != std::string::npos ||
           f.function.find(part) != std::string::npos;
  });
}

/// The release was the library's decision: a reference count, an owner's destructor.
bool owned_by_library(const std::vector<report::Frame>& frames) {
  return any_name_has(frames, "_Sp_counted") || any_name_has(frames, "unique_ptr") ||
         any_name_has(frames, "default_delete");
}

/// GCC and clang name the function that destroys a coroutine's frame so.
bool destroys_coroutine(const std::vector<report::Frame>& frames) {
  return any_name_has(frames, ".destroy") || any_name_has(frames, "coroutine_handle");
}

}  // namespace

bool released_before(Report& report) {
  const Hop* release = last_writer(report);
  if (release == nullptr || release->kind != HopKind::release || !release->location) return false;
  Verdict& v = report.verdict;
  const report::Owner owner = release->location->owner.value_or(report::Owner{});
  const std::string how = owner.life.died ? owner.life.died->description : "its release";
  const Hop* previous = before(report, *release);
  const bool again = previous != nullptr && previous->kind == HopKind::crash_report;
  const bool moved = how.starts_with("realloc");
  const bool container = !moved && inside_container(release->backtrace);
  v.bug_class = again && report.crash.signal_name == "SIGABRT" ? BugClass::double_free
                : moved                                        ? BugClass::use_after_realloc
                : destroys_coroutine(release->backtrace) ? BugClass::coroutine_use_after_destroy
                : container                              ? BugClass::iterator_invalidated
                                                         : BugClass::use_after_free;
  v.explanation = fmt::format("The block of {} bytes at {} was given up by {} ({})",
                              owner.object_size.value_or(0),
                              to_hex(owner.object.value_or(Address{})), writer_name(*release), how);
  if (v.bug_class == BugClass::double_free) {
    v.explanation += ", and was to be freed again at the crash.";
  } else if (previous != nullptr && previous->kind == HopKind::store) {
    v.explanation +=
        fmt::format(". After that a pointer to it was still in use, while {} stored {} there.",
                    writer_name(*previous), to_hex(previous->value_after.value_or(0)));
  } else {
    v.explanation += ", and was used after that.";
  }
  v.evidence = {release->index};
  if (previous != nullptr) v.evidence.insert(v.evidence.begin(), previous->index);
  v.confidence = release->confidence;
  // Which of two releases is one too many, and whose fault a shared owner's release is, is not
  // seen.
  if (v.bug_class != BugClass::use_after_free || owned_by_library(release->backtrace)) {
    v.confidence = std::max(v.confidence, Confidence::likely);
  }
  v.cause = site_of_writer(*release);
  return true;
}

namespace {

/// The step before `store`, if that was the last one of a run over an object.
const Hop* step_before_end(const Report& report, const Hop& store, const ByteRange& object) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line && hop.kind == HopKind::store && hop.parent == store.index && hop.location &&
        hop.location->address.value + hop.location->size == object.end().value) {
      return &hop;
    }
  }
  return nullptr;
}

/// True if `store` overwrote a pointer that the store before it in the chain (later in time) went
/// through.
bool overwrote_pointer_of(const Report& report, const Hop& store) {
  const Hop* user = before(report, store);
  return user != nullptr && user->kind == HopKind::store && user->location && store.value_after &&
         user->value_after != store.value_after &&
         user->location->address.value >= *store.value_after &&
         user->location->address.value - *store.value_after < 4096;
}

/// "mov qword ptr [rdi+rsi*8], rdx": through a pointer and an index.
bool indexed(const Hop& store) {
  const std::string& text = store.writer.instruction;
  const auto open = text.find('[');
  return open != std::string::npos && text.find('*', open) != std::string::npos;
}

}  // namespace

namespace {

/// What the library was told to write, and who made that length, if the report has it.
void say_length(Report& report, const Hop& store) {
  const auto told = std::find_if(report.hops.begin(), report.hops.end(), [&](const Hop& hop) {
    return hop.parent == store.index && hop.kind == HopKind::register_slice && hop.source &&
           hop.source->description == report::kToldLength && hop.value_after;
  });
  if (told == report.hops.end()) return;
  Verdict& v = report.verdict;
  v.explanation += fmt::format(" It had been told to write {} bytes.", *told->value_after);
  v.evidence.push_back(told->index);
  // Each hop of the length's way explains the one before.
  const Hop* made = nullptr;
  std::uint32_t parent = told->index;
  for (const Hop& hop : report.hops) {
    if (hop.index <= parent || hop.parent != parent) continue;
    made = &hop;
    parent = hop.index;
  }
  if (made == nullptr) return;
  v.explanation += made->kind == HopKind::kernel_write
                       ? fmt::format(" That length came from outside: {}.", made->summary)
                       : fmt::format(" That length was made by {}.", writer_name(*made));
  v.evidence.push_back(made->index);
}

}  // namespace

bool out_of_bounds(Report& report) {
  const Hop* object = last_writer(report);
  if (object == nullptr || object->kind != HopKind::allocation || !object->location ||
      !object->location->owner || !object->location->owner->object_size) {
    return false;
  }
  const Hop* store = before(report, *object);
  if (store == nullptr || store->kind != HopKind::store || !store->location) return false;
  const report::Owner& owner = *object->location->owner;
  const ByteRange range{owner.object.value_or(Address{}), *owner.object_size};
  const ByteRange stored{store->location->address, store->location->size};
  if (range.contains(stored.start)) return false;
  const bool below = stored.start < range.start;
  const Hop* step = step_before_end(report, *store, range);
  const bool element = owner.member.find('[') != std::string::npos;
  Verdict& v = report.verdict;
  switch (object->location->region) {
    case report::RegionKind::heap:
      v.bug_class = below             ? BugClass::heap_underflow
                    : step != nullptr ? BugClass::off_by_one
                                      : BugClass::heap_overflow;
      break;
    case report::RegionKind::stack:
    case report::RegionKind::runtime_stack:
      v.bug_class = BugClass::stack_buffer_overflow;
      break;
    default:
      v.bug_class = BugClass::global_overflow;
      break;
  }
  const std::string name =
      owner.variable.empty()
          ? fmt::format("the block of {} bytes at {}", range.size, to_hex(range.start))
          : fmt::format("{} ({} bytes)", array_name(*object->location), range.size);
  v.explanation = fmt::format(
      "{} stored past {}: the pointer that it wrote through points into {}, and the "
      "store went {} bytes {} it.",
      writer_name(*store), name, name,
      std::max<std::int64_t>(0, below ? range.start - stored.end() : stored.start - range.end()),
      below ? "below the start of" : "behind the end of");
  v.evidence = {store->index, object->index};
  if (step != nullptr) {
    v.explanation += " It was the last step of a run over it, one too many.";
    v.evidence.push_back(step->index);
  } else if (element && !below && v.bug_class == BugClass::heap_overflow && indexed(*store)) {
    v.bug_class = BugClass::index_out_of_range;
  }
  say_length(report, *store);
  if (overwrote_pointer_of(report, *store)) {
    v.bug_class = BugClass::wild_write;
    v.explanation +=
        fmt::format(" What it overwrote was a pointer, and {} stored through it after that.",
                    writer_name(*before(report, *store)));
    v.evidence.insert(v.evidence.begin(), before(report, *store)->index);
  }
  v.confidence = weakest(report, v.evidence);
  // That the store went out of its object is seen; that a bound is one too large is a reading of
  // it.
  if (v.bug_class == BugClass::off_by_one || v.bug_class == BugClass::wild_write) {
    v.confidence = std::max(v.confidence, Confidence::likely);
  }
  v.cause = site_of_writer(*store);
  return true;
}

bool vtable_overwritten(Report& report) {
  const auto names_vtable = [](const Hop& hop) {
    if (!hop.main_line || hop.kind != HopKind::store || !hop.location || !hop.location->owner)
      return false;
    const std::string& member = hop.location->owner->member;
    const auto dot = member.rfind("_vptr");  // GCC: "_vptr.Base", clang: "_vptr$Base"
    return dot != std::string::npos && (dot == 0 || member[dot - 1] == '.');
  };
  const auto store = std::find_if(report.hops.begin(), report.hops.end(), names_vtable);
  if (store == report.hops.end() || !report.crash.fault_address) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::vtable_overwritten;
  v.explanation = fmt::format("{} stored {} over the vtable pointer {} of a living object.",
                              writer_name(*store), to_hex(store->value_after.value_or(0)),
                              owner_name(*store->location));
  v.evidence = {0, store->index};
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  const report::Frame* program = program_frame(store->backtrace);
  v.cause = program != nullptr ? site_of_frame(*program) : site_of_writer(*store);
  return true;
}

bool freed_what_is_no_block(Report& report) {
  if (report.crash.signal_name != "SIGABRT" || !report.suspect ||
      report.suspect->description != report::kFreedPointer) {
    return false;
  }
  Verdict& v = report.verdict;
  const Hop* origin = last_writer(report);
  v.bug_class = BugClass::invalid_free;
  v.explanation =
      fmt::format("{} is not the start of a living block of the allocator, and was to be freed.",
                  to_hex(report.suspect->value));
  blame_maker(report, origin, " The pointer was made by");
  return true;
}

bool unmapped(Report& report) {
  const Hop* change = last_writer(report);
  if (change == nullptr || change->kind != HopKind::remap || !change->location ||
      change->location->region != report::RegionKind::unmapped) {
    return false;
  }
  Verdict& v = report.verdict;
  v.bug_class = BugClass::use_after_unmap;
  v.explanation =
      fmt::format("{} took the memory away; a pointer to it was still used.", change->summary);
  if (inside_release(change->backtrace)) {
    v.bug_class = inside_container(change->backtrace) ? BugClass::iterator_invalidated
                                                      : BugClass::use_after_free;
    v.explanation +=
        " It was a large block, which the allocator gives back to the kernel when it is freed.";
  }
  v.evidence = {0, change->index};
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  v.cause = site_of_writer(*change);
  return true;
}

bool stack_exhausted(Report& report) {
  if (!report.suspect || report.suspect->description != report::kStackPointer) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::stack_exhaustion;
  // The function that is there most often is the one that recurses.
  const report::Frame* recursive = nullptr;
  std::size_t most = 0;
  for (const report::Frame& f : report.crash.frames) {
    const auto times = static_cast<std::size_t>(
        std::count_if(report.crash.frames.begin(), report.crash.frames.end(),
                      [&](const report::Frame& other) { return other.function == f.function; }));
    if (times > most) {
      most = times;
      recursive = &f;
    }
  }
  v.explanation = fmt::format("The stack is used up: {} of its innermost {} frames are {}.", most,
                              report.crash.frames.size(),
                              recursive != nullptr ? recursive->function : "unknown");
  v.evidence = {0};
  v.confidence = Confidence::proved;
  if (recursive != nullptr) {
    v.cause = site_of_frame(*recursive);
  }
  return true;
}

bool smashed_stack(Report& report) {
  if (!report.suspect) return false;
  const bool returned = report.suspect->description == report::kReturnTarget ||
                        report.crash.kind == "go_unexpected_return";
  if (!returned && report.suspect->description != report::kCanary) return false;
  const Hop* store = first_of(report, HopKind::store);
  if (store == nullptr) return false;
  Verdict& v = report.verdict;
  v.bug_class = BugClass::stack_buffer_overflow;
  v.explanation = fmt::format("{} wrote over {}.", writer_name(*store),
                              returned ? report::kReturnTarget : report::kCanary);
  v.evidence = {0, store->index};
  v.confidence = std::max(store->confidence, Confidence::likely);
  v.cause = site_of_writer(*store);
  return true;
}

}  // namespace culprit::verdict
