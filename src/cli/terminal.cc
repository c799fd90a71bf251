#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace culprit::cli {

Terminal stdout_terminal() {
  Terminal terminal;
  if (isatty(STDOUT_FILENO) != 1) return terminal;
  terminal.present = true;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
    terminal.columns = size.ws_col;
  }
  return terminal;
}

}  // namespace culprit::cli
