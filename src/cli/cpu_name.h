// What a trace depends on of the machine that it was recorded on.
#pragma once

#include <string>

namespace culprit::cli {

/// "GenuineIntel family 6 model 143", by CPUID.
[[nodiscard]] std::string cpu_name();

}  // namespace culprit::cli
