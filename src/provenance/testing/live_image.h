// For tests: this very process, as a recording that maps the same files would show it.
#pragma once

#include <memory>

#include "provenance/process_image.h"
#include "replay/trace_index.h"

namespace culprit::provenance::testing {

/// The image of this process as it is mapped now: the modules, symbols and debug information are
/// real. Its process and thread are kProcess and kThread of scripted_replay.h.
class LiveImage {
 public:
  LiveImage();
  [[nodiscard]] ProcessImage& image() { return *image_; }

 private:
  std::unique_ptr<replay::TraceIndex> index_;
  std::unique_ptr<ProcessImage> image_;
};

}  // namespace culprit::provenance::testing
