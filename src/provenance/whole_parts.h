// Whether bytes that were written together are whole parts of an object.
#pragma once

#include <string>

namespace culprit::provenance {

/// What the program calls the bytes at the two ends of a range, each with all that it is in:
/// "list.items[1].name[0]"; empty where it has no name. `before` and `behind` are outside of the range.
struct EndsOfRange {
  std::string before;
  std::string first;
  std::string last;
  std::string behind;
};

/// True if the range is what a copy of a struct, of an array that the innermost array of `first` is a part of, or
/// of some elements of such an array would fill; also where names are missing, so that nothing can be said. False
/// for the innermost array itself, and for a range that begins with it and ends among the members behind it.
[[nodiscard]] bool are_whole_parts(const EndsOfRange& range);

}  // namespace culprit::provenance
