#include "recorder/tracees.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>

#include <string>

#include "base/file.h"

namespace culprit::recorder {

std::vector<pid_t> list_tracees(pid_t rr) {
  std::vector<pid_t> out;
  DIR* proc = ::opendir("/proc");
  if (proc == nullptr) return out;
  const std::string wanted = "\nTracerPid:\t" + std::to_string(rr) + "\n";
  while (const dirent* entry = ::readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    std::string path = "/proc/";
    path += entry->d_name;
    path += "/status";
    const Result<std::string> status = read_file(path, 65536);
    if (status.ok() && status->find(wanted) != std::string::npos) {
      out.push_back(static_cast<pid_t>(::atol(entry->d_name)));
    }
  }
  ::closedir(proc);
  return out;
}

std::size_t signal_tracees(pid_t rr, int signal) {
  const std::vector<pid_t> tracees = list_tracees(rr);
  for (const pid_t pid : tracees) ::kill(pid, signal);
  return tracees.size();
}

}  // namespace culprit::recorder
