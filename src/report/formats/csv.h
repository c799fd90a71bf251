// The hops as a table for a spreadsheet or a script.
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// RFC 4180 with a header line; one row for each hop, every field in quotes. `report` is
/// presentable().
[[nodiscard]] std::string to_csv(const Report& report);

}  // namespace culprit::report
