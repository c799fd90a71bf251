// Pointers that are kept in another form: with a tag, masked, cut, XOR-ed with a secret.
#include <fmt/format.h>

#include <algorithm>

#include "verdict/rules.h"
#include "verdict/words.h"

namespace culprit::verdict {

using report::BugClass;
using report::Confidence;
using report::Hop;
using report::HopKind;
using report::Report;
using report::Source;
using report::SourceKind;
using report::Verdict;

namespace {

/// User addresses have 47 bits (Linux, four levels of page tables).
constexpr unsigned kAddressBits = 47;
/// Less is a number rather than an address.
constexpr std::uint64_t kLowestAddress = 0x10000;

bool canonical(std::uint64_t value) {
  const std::uint64_t upper = value >> kAddressBits;
  return upper == 0 || upper == (~std::uint64_t{0} >> kAddressBits);
}

bool may_be_address(std::uint64_t value) {
  return value >= kLowestAddress && (value >> kAddressBits) == 0;
}

/// The constant that a hop's value was XOR-ed with, if it is one.
const Source* xor_constant(const Hop& hop) {
  const Source* found = nullptr;
  for (const Source& input : hop.inputs) {
    if (input.kind != SourceKind::immediate || !input.value ||
        !input.instruction.starts_with("xor ")) {
      continue;
    }
    if (found != nullptr) return nullptr;
    found = &input;
  }
  return found;
}

/// The input of a hop's computation that `is_it` says yes to, with the hop, on the main line.
template <typename Predicate>
std::pair<const Hop*, const Source*> find_input(const Report& report, Predicate is_it) {
  for (const Hop& hop : report.hops) {
    if (!hop.main_line) continue;
    for (const Source& input : hop.inputs) {
      if (input.kind != SourceKind::immediate && input.value && is_it(*input.value)) {
        return {&hop, &input};
      }
    }
  }
  return {nullptr, nullptr};
}

void blame(Report& report, const Hop& hop) {
  Verdict& v = report.verdict;
  v.evidence = {0};
  if (hop.index != 0) v.evidence.push_back(hop.index);
  v.confidence = std::max(weakest(report, v.evidence), Confidence::likely);
  v.cause = site_of_writer(hop);
}

bool pointer_is_bad(const Report& report) {
  return report.suspect && report.crash.fault_address && !report.hops.empty() &&
         report.suspect->value >= kLowestAddress;
}

}  // namespace

bool unpacked_with_other_constant(Report& report) {
  if (!pointer_is_bad(report)) return false;
  const Hop* reader = nullptr;
  const Source* there = nullptr;
  for (const Hop& hop : report.hops) {
    const Source* here = hop.main_line ? xor_constant(hop) : nullptr;
    if (here == nullptr) continue;
    if (there == nullptr || here->pc == there->pc) {  // hops of one computation
      reader = &hop;
      there = here;
      continue;
    }
    if (there->value == here->value || hop.kind != HopKind::store) return false;
    blame(report, *reader);
    Verdict& v = report.verdict;
    v.bug_class = BugClass::bad_constant;
    v.explanation = fmt::format(
        "The pointer is kept XOR-ed with a constant. {} kept it with {}, {} took it out with {}: "
        "the two differ.",
        writer_name(hop), to_hex(*here->value), writer_name(*reader),
        to_hex(*there->value));
    v.evidence.push_back(hop.index);
    return true;
  }
  return false;
}

bool lost_upper_bits(Report& report) {
  if (!pointer_is_bad(report)) return false;
  const std::uint64_t cut = report.suspect->value;
  constexpr unsigned kNarrowest = 32;
  const auto [hop, input] = find_input(report, [cut](std::uint64_t whole) {
    if (!may_be_address(whole) || whole == cut) return false;
    for (unsigned bits = kNarrowest; bits < kAddressBits; ++bits) {
      if ((whole & ((std::uint64_t{1} << bits) - 1)) == cut) return true;
    }
    return false;
  });
  if (hop == nullptr) return false;
  blame(report, *hop);
  Verdict& v = report.verdict;
  v.bug_class = BugClass::integer_overflow;
  v.explanation = fmt::format("{} cut the pointer {} to {}: its upper bits did not fit.",
                              writer_name(*hop), to_hex(*input->value), to_hex(cut));
  return true;
}

bool used_with_tag(Report& report) {
  if (!pointer_is_bad(report) || canonical(report.suspect->value)) return false;
  const std::uint64_t tagged = report.suspect->value;
  const auto [hop, input] = find_input(report, [tagged](std::uint64_t plain) {
    return may_be_address(plain) &&
           plain == (tagged & ((std::uint64_t{1} << (kAddressBits + 1)) - 1));
  });
  if (hop == nullptr) return false;
  blame(report, *hop);
  Verdict& v = report.verdict;
  v.bug_class = BugClass::type_confusion;
  v.explanation = fmt::format(
      "{} is the pointer {} with a tag in its upper bits, put there by {}. It was used as a "
      "pointer without "
      "taking the tag off.",
      to_hex(tagged), to_hex(*input->value), writer_name(*hop));
  return true;
}

}  // namespace culprit::verdict
