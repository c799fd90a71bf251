#include "agent/launch.h"

#include <fcntl.h>
#include <stdlib.h>

#include <string>
#include <system_error>

#include "base/file_descriptor.h"

#ifndef CULPRIT_INSTALL_AGENT_RELATIVE
#define CULPRIT_INSTALL_AGENT_RELATIVE "../lib/culprit"
#endif

namespace culprit::agent {
namespace fs = std::filesystem;

Result<fs::path> find_agent() {
  constexpr char name[] = "libculprit-agent.so";
  std::error_code code;
  if (const char* chosen = ::getenv("CULPRIT_AGENT_LIB"); chosen != nullptr && *chosen != '\0') {
    const fs::path path = fs::absolute(chosen, code);
    if (!code && fs::is_regular_file(path, code)) return path;
    return Error{ErrorCode::not_found, "CULPRIT_AGENT_LIB: no such file: " + std::string(chosen)};
  }
  const fs::path self = fs::read_symlink("/proc/self/exe", code);
  if (!code) {
    const fs::path directory = self.parent_path();
    for (const fs::path& candidate :
         {directory / "../lib" / name, directory / CULPRIT_INSTALL_AGENT_RELATIVE / name}) {
      if (fs::is_regular_file(candidate, code)) return fs::canonical(candidate, code);
    }
  }
  return Error{ErrorCode::not_found,
               "libculprit-agent.so is neither beside the program nor where it is installed; set "
               "CULPRIT_AGENT_LIB to its path"};
}

void preload_agent(ProcessOptions& options, const fs::path& agent, AgentConfig config) {
  if (const char* own = ::getenv("LD_PRELOAD"); own != nullptr) config.user_preload = own;
  if (const char* own = ::getenv(config_variable); own != nullptr) config.user_config = own;
  std::string preload = agent.string();
  if (preload.find_first_of(" :") != std::string::npos) {
    // Both characters separate names in LD_PRELOAD, and nothing quotes them (ld.so(8)). One
    // descriptor for the life of this process; the agent closes its copy.
    static const FileDescriptor library(::open(agent.c_str(), O_RDONLY | O_CLOEXEC));
    config.library_fd = library.get();
    preload = "/proc/self/fd/" + std::to_string(library.get());
  }
  for (const int fd : {config.report_fd, config.control_fd, config.library_fd}) {
    if (fd >= 0) options.keep_fds.push_back(fd);
  }
  options.set_environment.emplace_back("LD_PRELOAD", preload);
  options.set_environment.emplace_back(config_variable, encode(config));
}

}  // namespace culprit::agent
