#include "cli/cpu_name.h"

#include <cpuid.h>
#include <fmt/format.h>

#include <cstring>

namespace culprit::cli {

std::string cpu_name() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) == 0) return "unknown";
  char vendor[12];
  std::memcpy(vendor, &ebx, 4);
  std::memcpy(vendor + 4, &edx, 4);
  std::memcpy(vendor + 8, &ecx, 4);
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return "unknown";
  // Intel SDM vol. 2, CPUID, figure 3-6; AMD's extended family is added in the same way.
  unsigned family = eax >> 8 & 0xF;
  unsigned model = eax >> 4 & 0xF;
  if (family == 6 || family == 15) model += (eax >> 16 & 0xF) << 4;
  if (family == 15) family += eax >> 20 & 0xFF;
  return fmt::format("{} family {} model {}", std::string_view(vendor, sizeof vendor), family,
                     model);
}

}  // namespace culprit::cli
