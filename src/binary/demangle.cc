#include "binary/demangle.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "llvm/Demangle/Demangle.h"

namespace culprit::binary {
namespace {

constexpr std::size_t kMaxMangled = 4096;

// Rust's legacy mangling is an Itanium name whose last component is "17h" and 16 hex digits
// (rustc_symbol_mangling::legacy).
bool has_rust_hash(std::string_view demangled) {
  if (demangled.size() < 19) return false;
  const std::string_view tail = demangled.substr(demangled.size() - 19);
  if (tail.substr(0, 3) != "::h") return false;
  return tail.substr(3).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// One "$...$" escape of the legacy mangling without its dollars.
std::optional<std::string> rust_escape(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kEscapes{{
      {"SP", "@"},
      {"BP", "*"},
      {"RF", "&"},
      {"LT", "<"},
      {"GT", ">"},
      {"LP", "("},
      {"RP", ")"},
      {"C", ","},
  }};
  for (const auto& [from, to] : kEscapes) {
    if (name == from) return std::string(to);
  }
  if (name.size() < 2 || name.size() > 7 || name[0] != 'u') return std::nullopt;
  std::uint32_t code = 0;
  for (const char c : name.substr(1)) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return std::nullopt;
    code = code * 16 + static_cast<std::uint32_t>(digit ? c - '0' : c - 'a' + 10);
  }
  if (code < 0x20 || code >= 0x7F) return std::nullopt;
  return std::string(1, static_cast<char>(code));
}

std::string unescape_rust(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && i + 1 < text.size() && text[i + 1] == '.') {
      out += "::";
      ++i;
      continue;
    }
    if (c == '$') {
      const std::size_t end = text.find('$', i + 1);
      if (end != std::string_view::npos) {
        if (const auto replacement = rust_escape(text.substr(i + 1, end - i - 1))) {
          out += *replacement;
          i = end;
          continue;
        }
      }
    }
    // An identifier that would begin with '$' got a '_' in front.
    const bool component_start = i == 0 || (i >= 2 && text.substr(i - 2, 2) == "::");
    if (c == '_' && component_start && i + 1 < text.size() && text[i + 1] == '$') continue;
    out += c;
  }
  return out;
}

}  // namespace

std::string demangle(std::string_view linkage_name) {
  if (linkage_name.size() < 3 || linkage_name.size() > kMaxMangled || linkage_name[0] != '_') {
    return std::string(linkage_name);
  }
  std::string text = llvm::demangle(linkage_name);
  if (linkage_name.substr(0, 3) == "_ZN" && has_rust_hash(text)) {
    return unescape_rust(std::string_view(text).substr(0, text.size() - 19));
  }
  return text;
}

}  // namespace culprit::binary
