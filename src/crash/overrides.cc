#include "crash/overrides.h"

#include <algorithm>
#include <utility>

#include "crash/front_end.h"
#include "crash/text_lines.h"

namespace culprit::crash {

Result<std::uint64_t> parse_hex(std::string_view option, std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return Error{ErrorCode::usage, std::string(option) + ": '" + clip(text, 40) + "' " +
                                       std::string(why) + ", write it like 0xc000100000"};
  };
  std::string_view digits = text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  if (digits.empty()) return fail("is not a hexadecimal number");
  if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
    return fail("is not a hexadecimal number");
  }
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size() - 1));
  if (digits.size() > 16) return fail("is longer than 64 bits");
  const std::string normal = "0x" + std::string(digits);
  std::string_view rest = normal;
  const auto value = take_hex(rest);
  if (!value) return fail("is not a hexadecimal number");
  return *value;
}

std::vector<CrashReport> parse_with_overrides(const Overrides& overrides, std::string_view output,
                                              const ExitInfo& exit) {
  std::vector<CrashReport> reports =
      parse(overrides.report_text ? std::string_view(*overrides.report_text) : output, exit);
  if (!overrides.pointer && !overrides.address) return reports;
  if (reports.empty()) {
    CrashReport report;
    report.kind = Kind::user_named;
    report.front_end = "user";
    report.exit_status = exit.exit_status;
    reports.push_back(std::move(report));
  }

  Suspect named;
  named.role = overrides.pointer ? Role::bad_pointer : Role::slot;
  named.value = overrides.pointer;
  named.slot = overrides.address;
  named.description = overrides.pointer && overrides.address ? "value and slot named by the user"
                      : overrides.pointer                    ? "value named by the user"
                                                             : "slot named by the user";
  std::vector<Suspect>& suspects = reports.front().suspects;
  // What the text knows of the very same value (its slot, its span) is still good.
  const auto same = std::find_if(suspects.begin(), suspects.end(), [&](const Suspect& s) {
    return overrides.pointer ? s.value == overrides.pointer : s.slot == overrides.address;
  });
  if (same != suspects.end()) {
    named.span = same->span;
    if (!named.slot) {
      named.slot = same->slot;
      named.object = same->object;
      named.offset = same->offset;
    }
    if (!named.value) named.value = same->value;
    suspects.erase(same);
  }
  suspects.insert(suspects.begin(), std::move(named));
  return reports;
}

}  // namespace culprit::crash
