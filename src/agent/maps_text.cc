#include "agent/maps_text.h"

#include <string.h>

#include <string_view>

namespace culprit::agent {
namespace {

/// One line of maps: "START-END perms offset dev inode   name".
struct MapsLine {
  std::string_view start;
  std::string_view end;
  std::string_view rest;  ///< from the blank after END on, without the newline
};

bool parse_line(std::string_view line, MapsLine* out) {
  const size_t dash = line.find('-');
  const size_t blank = line.find(' ');
  if (dash == std::string_view::npos || blank == std::string_view::npos || blank < dash) return false;
  out->start = line.substr(0, dash);
  out->end = line.substr(dash + 1, blank - dash - 1);
  out->rest = line.substr(blank);
  return true;
}

}  // namespace

size_t merge_vvar_lines(char* text, size_t length) {
  const std::string_view all(text, length);
  for (size_t at = 0; at < length;) {
    size_t newline = all.find('\n', at);
    if (newline == std::string_view::npos) newline = length;
    const std::string_view line = all.substr(at, newline - at);
    if (line.ends_with(" [vvar]") && newline + 1 < length) {
      size_t next_newline = all.find('\n', newline + 1);
      if (next_newline == std::string_view::npos) next_newline = length;
      const std::string_view next = all.substr(newline + 1, next_newline - newline - 1);
      MapsLine first;
      MapsLine second;
      if (next.ends_with(" [vvar_vclock]") && parse_line(line, &first) &&
          parse_line(next, &second) && first.end == second.start &&
          second.end.size() == first.end.size()) {
        // The addresses have the same number of digits: put the end over the end, drop a line.
        memcpy(text + (first.end.data() - all.data()), second.end.data(), second.end.size());
        const size_t after = next_newline < length ? next_newline + 1 : length;
        const size_t keep_to = newline + 1;
        memmove(text + keep_to, text + after, length - after);
        return length - (after - keep_to);
      }
    }
    at = newline + 1;
  }
  return length;
}

}  // namespace culprit::agent
