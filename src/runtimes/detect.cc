#include "runtimes/detect.h"

#include <utility>

#include "runtimes/go/go_runtime.h"

namespace culprit::runtimes {

Detected detect(const binary::ModuleMap& map) {
  Detected detected;
  std::string problem;
  if (auto layout = go::find_layout(map, problem)) {
    detected.runtimes.push_back(std::make_unique<go::GoRuntime>(*std::move(layout), map));
  } else if (!problem.empty()) {
    detected.problems.push_back(std::move(problem));
  }
  return detected;
}

}  // namespace culprit::runtimes
