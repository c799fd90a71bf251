// What is known of the terminal that stdout is.
#pragma once

namespace culprit::cli {

struct Terminal {
  bool present = false;    ///< stdout is a terminal
  unsigned columns = 100;  ///< its width; 100 if it is none or does not say
};

[[nodiscard]] Terminal stdout_terminal();

}  // namespace culprit::cli
