#include "provenance/testing/live_image.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string>

#include "binary/test_support.h"
#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance::testing {

LiveImage::LiveImage() {
  // As `rr dump -m` prints it.
  std::string text = fmt::format(
      "{{\n  real_time:1.0 global_time:1, event:`SYSCALL: execve' (state:EXITING_SYSCALL) tid:{}, "
      "ticks:0\nrax:0x0 rdx:0x0 rsi:0x0 rdi:0x0 r8:0x0 r9:0x0 r10:0x0 rip:0x1 orig_rax:0x3b\n"
      "  TraceTaskEvent::EXEC tid={} file=/bin/test\n",
      kThread.value, kThread.value);
  for (const binary::Mapping& m : binary::testing::read_maps(getpid())) {
    if (m.path.empty() || m.path.front() != '/') continue;
    text += fmt::format(
        "  {{ map_file:\"{}\", addr:{:#x}, length:{:#x}, prot_flags:\"{}{}{}p\", "
        "file_offset:{:#x}, device:1, inode:1, data_file:\"\", data_offset:0x0, "
        "file_size:0x1000000 }}\n",
        m.path, m.range.start.value, m.range.size, m.readable ? 'r' : '-', m.writable ? 'w' : '-',
        m.executable ? 'x' : '-', m.file_offset);
  }
  text += "}\n";
  replay::TraceIndexParser parser;
  (void)parser.feed(text);
  index_ = std::make_unique<replay::TraceIndex>(*parser.finish());
  image_ = std::make_unique<ProcessImage>(*index_, kProcess, EventNumber{1},
                                          std::vector<std::pair<std::string, std::string>>{});
}

}  // namespace culprit::provenance::testing
