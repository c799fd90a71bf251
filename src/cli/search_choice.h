// How a trace is searched: forwards from its start, or backwards by rr.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace culprit::cli {

/// How a trace is searched.
enum class SearchEngine : std::uint8_t {
  automatic,  ///< choose_search()
  forward,    ///< passes from the start of the trace
  reverse,    ///< rr's own reverse execution
};

/// The engine for a trace, and why in a few words. Errors: usage (reverse was asked for, and the
/// trace cannot be searched so).
struct SearchChoice {
  SearchEngine engine = SearchEngine::forward;
  std::string why;
};
struct TraceFacts {
  bool has_ticks = false;  ///< rr's: hardware or exact, not landings
  std::size_t events = 0;
};
[[nodiscard]] Result<SearchChoice> choose_search(SearchEngine wanted, const TraceFacts& trace);

}  // namespace culprit::cli
