#include "bundle/entry_name.h"

#include <cstddef>

namespace culprit::bundle {

bool is_entry_name(std::string_view name) {
  constexpr std::size_t kLongest = 4096;
  constexpr std::size_t kDeepest = 64;
  constexpr std::size_t kLongestComponent = 255;
  if (name == kManifestName || name == kReportName) return true;
  if (name.size() > kLongest) return false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F || c == '\\') return false;
  }
  std::size_t components = 0;
  std::string_view rest = name;
  for (;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component.empty() || component.size() > kLongestComponent || component == "." ||
        component == "..") {
      return false;
    }
    if (components == 0 && component != kTraceFolder && component != kDebugFolder) return false;
    if (++components > kDeepest) return false;
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  return components >= 2;
}

}  // namespace culprit::bundle
