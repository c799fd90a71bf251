#include "cli/search_choice.h"

namespace culprit::cli {

Result<SearchChoice> choose_search(SearchEngine wanted, const TraceFacts& trace) {
  // A forward pass over fewer events takes seconds, and a pass knows more: the heap's blocks,
  // silent stores.
  constexpr std::size_t kLongTrace = 300'000;
  const char* const obstacle =
      trace.has_ticks ? nullptr : "the trace has no ticks to run backwards by";
  switch (wanted) {
    case SearchEngine::forward:
      return SearchChoice{SearchEngine::forward, "asked for"};
    case SearchEngine::reverse:
      if (obstacle != nullptr) {
        return Error{ErrorCode::usage, std::string("--engine reverse: ") + obstacle};
      }
      return SearchChoice{SearchEngine::reverse, "asked for"};
    case SearchEngine::automatic:
      break;
  }
  if (obstacle != nullptr) return SearchChoice{SearchEngine::forward, obstacle};
  if (trace.events < kLongTrace) return SearchChoice{SearchEngine::forward, "the trace is short"};
  return SearchChoice{SearchEngine::reverse, "the trace is long"};
}

}  // namespace culprit::cli
