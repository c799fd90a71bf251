// The results of a batch on disk: what makes it go on after a kill.
//
// A file is appended to, one line a case, each by one write and an fdatasync after the case's
// report is on disk. So a kill leaves whole lines, and at most a torn one at the end, which is no
// result.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "batch/result.h"
#include "batch/shard.h"

namespace culprit::batch {

/// "results.jsonl"; "results-2-of-8.jsonl" for a shard, so that no two machines write to one file.
[[nodiscard]] std::string results_name(const Shard& shard);

/// A results file that this process alone appends to.
class ResultsFile {
 public:
  /// Creates it if it is not there, and cuts a torn last line off. Errors: usage (another process
  /// writes to it), io.
  [[nodiscard]] static Result<ResultsFile> open(const std::filesystem::path& path);
  /// Errors: io; the file then ends as it did before.
  [[nodiscard]] Status append(const CaseResult& result);

 private:
  ResultsFile(FileDescriptor file, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)) {}
  FileDescriptor file_;
  std::filesystem::path path_;
};

/// What earlier runs (and other shards) have written.
struct EarlierResults {
  std::map<std::string, CaseResult> by_id;  ///< the last line of a case counts
  std::vector<std::string> unreadable;      ///< "results.jsonl: line 7: …"
};

/// All results*.jsonl of the output directory. A torn last line is passed over. Errors: io.
[[nodiscard]] Result<EarlierResults> read_results(const std::filesystem::path& directory);

}  // namespace culprit::batch
