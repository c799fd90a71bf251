#include "report/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace culprit::report {
namespace {

// FNV-1a with 128 bits (draft-eastlake-fnv): prime 2^88 + 0x13b, on two 64-bit halves.
class Fnv128 {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) {
      low_ ^= static_cast<unsigned char>(c);
      multiply();
    }
  }
  // With its length in front, so that neighbouring fields cannot run together.
  void add_field(std::string_view field) {
    add(fmt::format("{}:", field.size()));
    add(field);
  }
  [[nodiscard]] std::string hex() const { return fmt::format("{:016x}{:016x}", high_, low_); }

 private:
  void multiply() {
    constexpr std::uint64_t kLowPrime = 0x13b;
    // (high, low) * (2^88 + 0x13b) mod 2^128: the low product, its carry, and low << 24 on top.
    const std::uint64_t a = (low_ & 0xFFFFFFFF) * kLowPrime;
    const std::uint64_t b = (low_ >> 32) * kLowPrime + (a >> 32);
    high_ = high_ * kLowPrime + (b >> 32) + (low_ << 24);
    low_ = b << 32 | (a & 0xFFFFFFFF);
  }

  std::uint64_t high_ = 0x6c62272e07bb0142;
  std::uint64_t low_ = 0x62b821756295c58d;
};

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// "libfoo.so.1.2.3" → "libfoo.so": versions change without the cause.
std::string_view module_name(std::string_view path) {
  const std::string_view name = base_name(path);
  const std::size_t so = name.find(".so.");
  return so == std::string_view::npos ? name : name.substr(0, so + 3);
}

// Without what a compiler or linker adds to the same function: ".constprop.0", ".isra.1",
// ".part.2",
// ".cold", ".llvm.123", "[clone .x]", "@plt", "@@GLIBC_2.2.5", ".abi0".
std::string_view function_name(std::string_view name) {
  constexpr std::array<std::string_view, 9> kSuffixes{
      " [clone", ".constprop.", ".isra.", ".part.", ".cold", ".llvm.", "@", ".lto_priv", ".abi0"};
  std::size_t end = name.size();
  for (const std::string_view suffix : kSuffixes) {
    const std::size_t at = name.find(suffix);
    if (at != 0 && at < end) end = at;
  }
  return name.substr(0, end);
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Without the hashes that change with any edit of the package or crate: cgo's
// "_cgo_d6b9d4d7ca83_Cfunc_f" and "_cgoexp_d6b9d4d7ca83_f", and Rust's "f::h0123456789abcdef".
std::string stable_name(std::string_view symbol) {
  constexpr std::size_t kCgoDigits = 12;
  constexpr std::size_t kRustDigits = 16;
  std::string name(function_name(symbol));
  for (const std::string_view prefix : {"_cgo_", "_cgoexp_"}) {
    const std::size_t end = prefix.size() + kCgoDigits;
    if (name.starts_with(prefix) && name.size() > end && name[end] == '_' &&
        is_hex(std::string_view(name).substr(prefix.size(), kCgoDigits))) {
      return name.erase(prefix.size(), kCgoDigits + 1);
    }
  }
  const std::size_t hash = name.size() - std::min(name.size(), kRustDigits + 3);
  if (std::string_view(name).substr(hash).starts_with("::h") &&
      is_hex(std::string_view(name).substr(hash + 3))) {
    name.resize(hash);
  }
  return name;
}

// "items[3].next" → "items[].next": which element it was differs from run to run.
std::string without_indices(std::string_view path) {
  std::string out;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) out.push_back(c);
    if (c == '[') inside = true;
  }
  return out;
}

CauseSite site_of_hop(const Hop& hop) {
  CauseSite site;
  site.function = hop.writer.demangled.empty() ? hop.writer.function : hop.writer.demangled;
  site.file = hop.writer.file;
  site.line = hop.writer.line;
  site.module = hop.writer.module;
  if (hop.location && hop.location->owner) {
    site.variable = hop.location->owner->variable;
    site.member = hop.location->owner->member;
  }
  return site;
}

CauseSite site_of_crash(const Crash& crash) {
  CauseSite site;
  for (const Frame& frame : crash.frames) {
    if (frame.file.empty()) continue;
    site.function = frame.demangled.empty() ? frame.function : frame.demangled;
    site.file = frame.file;
    site.line = frame.line;
    site.module = frame.module;
    return site;
  }
  if (!crash.frames.empty()) {
    site.function = crash.frames.front().function;
    site.module = crash.frames.front().module;
  }
  return site;
}

CauseSite site_of(const Report& report) {
  if (report.verdict.cause) return *report.verdict.cause;
  for (auto hop = report.hops.rbegin(); hop != report.hops.rend(); ++hop) {
    if (hop->main_line) return site_of_hop(*hop);
  }
  return site_of_crash(report.crash);
}

}  // namespace

Fingerprint fingerprint(const Report& report) {
  const CauseSite site = site_of(report);
  Fnv128 hash;
  hash.add_field(to_string(report.verdict.bug_class));
  if (report.verdict.bug_class == BugClass::unknown) hash.add_field(report.crash.kind);
  hash.add_field(module_name(site.module));
  hash.add_field(base_name(site.file));
  hash.add_field(stable_name(site.function));
  hash.add_field(without_indices(site.variable));
  hash.add_field(without_indices(site.member));
  Fingerprint result;
  result.loose = "1l-" + hash.hex();
  hash.add_field(fmt::format("{}", site.line));
  result.strict = "1s-" + hash.hex();
  return result;
}

}  // namespace culprit::report
