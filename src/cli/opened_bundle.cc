#include "cli/opened_bundle.h"

#include <system_error>
#include <utility>

#include "bundle/archive_reader.h"
#include "bundle/entry_name.h"

namespace culprit::cli {
namespace fs = std::filesystem;

fs::path OpenedBundle::trace() const { return folder / bundle::kTraceFolder; }
fs::path OpenedBundle::report() const { return folder / bundle::kReportName; }
fs::path OpenedBundle::debug() const { return folder / bundle::kDebugFolder; }

Result<OpenedBundle> open_bundle(const fs::path& archive, const std::string& keep_in) {
  OpenedBundle out;
  if (keep_in.empty()) {
    CULPRIT_ASSIGN(out.temporary, TemporaryDirectory::create("culprit-bundle-"));
    out.folder = out.temporary->path();
  } else {
    std::error_code code;
    out.folder = fs::absolute(keep_in, code);
    fs::create_directories(out.folder, code);
    if (code || !fs::is_empty(out.folder, code) || code) {
      return Error{ErrorCode::usage, keep_in + ": not a new or empty folder"};
    }
    // It holds the program's memory.
    fs::permissions(out.folder, fs::perms::owner_all, code);
  }
  CULPRIT_ASSIGN(out.manifest, bundle::unpack(archive, out.folder));
  return out;
}

}  // namespace culprit::cli
