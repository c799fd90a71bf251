#include "runtimes/detect.h"

#include <utility>

#include "runtimes/go/go_runtime.h"
#include "runtimes/ocaml/ocaml_runtime.h"

namespace culprit::runtimes {

Detected detect(const binary::ModuleMap& map) {
  Detected detected;
  if (auto layout = ocaml::find_layout(map)) {
    detected.runtimes.push_back(std::make_unique<ocaml::OcamlRuntime>(*std::move(layout)));
  }
  std::string problem;
  if (auto layout = go::find_layout(map, problem)) {
    detected.runtimes.push_back(std::make_unique<go::GoRuntime>(*std::move(layout), map));
  } else if (!problem.empty()) {
    detected.problems.push_back(std::move(problem));
  }
  return detected;
}

}  // namespace culprit::runtimes
