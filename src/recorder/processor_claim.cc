#include "recorder/processor_claim.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

#include <system_error>
#include <utility>

#include "recorder/engine_probe.h"

namespace culprit::recorder {
namespace fs = std::filesystem;

std::optional<ProcessorClaim> ProcessorClaim::take(const fs::path& file,
                                                   const std::vector<int>& processors) {
  std::error_code code;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), code);
  FileDescriptor opened(::open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!opened) return std::nullopt;
  for (const int processor : processors) {
    // Of the open file, not of the process (F_SETLK): those are lost when any other descriptor of
    // the same file is closed.
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = processor;
    lock.l_len = 1;
    if (::fcntl(opened.get(), F_OFD_SETLK, &lock) == 0) {
      return ProcessorClaim(processor, std::move(opened));
    }
  }
  return std::nullopt;
}

std::vector<int> allowed_processors() {
  std::vector<int> out;
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return out;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(static_cast<std::size_t>(i), &mask)) out.push_back(i);
  }
  return out;
}

fs::path processor_lock_file() {
  const char* chosen = ::getenv("_RR_CPU_LOCK_FILE");
  if (chosen != nullptr && *chosen != '\0') return chosen;
  return default_trace_root() / "cpu_lock";
}

}  // namespace culprit::recorder
