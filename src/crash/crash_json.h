// Crash reports as JSON, for golden tests only.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "crash/crash_report.h"

namespace culprit::crash {

/// All members that are set, in the order of declaration; addresses as hex strings; bytes that are
/// not UTF-8 replaced.
[[nodiscard]] nlohmann::ordered_json to_golden_json(const std::vector<CrashReport>& reports);

}  // namespace culprit::crash
