// Which runtimes the recorded process contains.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtimes/runtime.h"

namespace culprit::runtimes {

/// The runtimes found, in order, and what stood in the way of others.
struct Detected {
  std::vector<std::unique_ptr<Runtime>> runtimes;
  std::vector<std::string> problems;  ///< one line each, for the report's warnings
};

/// Looks at the modules' symbols and debug information. `map` must outlive the runtimes.
Detected detect(const binary::ModuleMap& map);

}  // namespace culprit::runtimes
