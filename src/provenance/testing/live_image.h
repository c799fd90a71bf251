// For tests: this very process, as a recording that maps the same files would show it.
#pragma once

#include <memory>
#include <utility>

#include "provenance/process_image.h"
#include "replay/trace_index.h"

namespace culprit::provenance::testing {

/// The image of this process as it is mapped now: the modules, symbols and debug information are
/// real. Its process and thread are kProcess and kThread of scripted_replay.h.
class LiveImage {
 public:
  LiveImage();
  [[nodiscard]] ProcessImage& image() { return *image_; }
  /// The image for somebody who owns it; image() must not be called again, and this object must
  /// outlive it.
  [[nodiscard]] std::unique_ptr<ProcessImage> take() { return std::move(image_); }

 private:
  std::unique_ptr<replay::TraceIndex> index_;
  std::unique_ptr<ProcessImage> image_;
};

}  // namespace culprit::provenance::testing
