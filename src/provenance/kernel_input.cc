#include "provenance/kernel_input.h"

#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "provenance/pass_stats.h"

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxPath = 4096;    // PATH_MAX of Linux
constexpr std::size_t kMaxPieces = 1024;  // UIO_MAXIOV

class LookObserver : public replay::PassObserver {
 public:
  explicit LookObserver(const MarkReader::Look& look) : look_(look) {}
  void on_end(const replay::Position& at, const Registers& registers,
              const replay::LiveState& live) override {
    look_(at, registers, live);
    reached = true;
  }
  bool reached = false;

 private:
  const MarkReader::Look& look_;
};

std::string read_text(const MemoryReader& memory, Address at) {
  std::string out;
  while (out.size() < kMaxPath) {
    const auto c = memory.read_as<char>(at + static_cast<std::int64_t>(out.size()));
    if (!c || *c == '\0') break;
    out += *c;
  }
  return out;
}

/// The buffers of a call, in the order in which bytes go through them, as far as they were used.
std::vector<ByteRange> buffers_of(const DescriptorCall& call, const MemoryReader& memory) {
  std::vector<ByteRange> out;
  std::uint64_t left = call.result > 0 ? static_cast<std::uint64_t>(call.result) : 0;
  const auto add = [&](std::uint64_t start, std::uint64_t size) {
    const std::uint64_t used = std::min(size, left);
    left -= used;
    if (used > 0) out.push_back({Address{start}, used});
  };
  if (!is_vectored(call.number)) {
    add(call.arguments[1], left);
    return out;
  }
  // struct iovec {void* base; size_t length}; struct msghdr has the array at 16 and its length
  // at 24.
  Address array{call.arguments[1]};
  std::uint64_t count = call.arguments[2];
  if (call.number == SYS_recvmsg || call.number == SYS_sendmsg) {
    const Address header = array;
    array = Address{memory.read_u64(header + 16).value_or(0)};
    count = memory.read_u64(header + 24).value_or(0);
  }
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(count, kMaxPieces) && left > 0; ++i) {
    const Address at = array + static_cast<std::int64_t>(16 * i);
    const auto start = memory.read_u64(at);
    const auto size = memory.read_u64(at + 8);
    if (!start || !size) break;
    add(*start, *size);
  }
  return out;
}

std::string description_of(const Opening& opening) {
  switch (opening.kind) {
    case Opening::Kind::file:
      return {};
    case Opening::Kind::pipe:
      return "a pipe";
    case Opening::Kind::socketpair:
      return "a socket pair";
    case Opening::Kind::socket:
      return "a socket";
    case Opening::Kind::other:
      return "a descriptor that is no file";
    case Opening::Kind::inherited:
      if (opening.descriptor == 0) return "standard input";
      return "descriptor " + std::to_string(opening.descriptor) +
             ", open since before the recording";
  }
  return {};
}

}  // namespace

std::optional<std::uint64_t> offset_of(const std::vector<ByteRange>& buffers, Address address) {
  std::uint64_t before = 0;
  for (const ByteRange& range : buffers) {
    if (range.contains(address)) return before + static_cast<std::uint64_t>(address - range.start);
    before += range.size;
  }
  return std::nullopt;
}

std::optional<Address> address_of(const std::vector<ByteRange>& buffers, std::uint64_t offset,
                                  std::uint64_t size) {
  for (const ByteRange& range : buffers) {
    if (offset < range.size) {
      if (range.size - offset < size) return std::nullopt;
      return range.start + static_cast<std::int64_t>(offset);
    }
    offset -= range.size;
  }
  return std::nullopt;
}

bool MarkReader::at(const replay::Mark& mark, const Look& look) {
  LookObserver observer(look);
  replay::PassSpec spec;
  spec.end = mark;
  spec.deadline = deadline_;
  const auto pass = replay_.run(spec, observer);
  if (!pass.ok()) return false;
  count(stats_, *pass);
  return observer.reached;
}

replay::Mark mark_of(const DescriptorCall& call, replay::Mark::Kind kind) {
  replay::Mark mark;
  mark.kind = kind;
  mark.thread = call.thread;
  mark.ordinal = call.ordinal;
  return mark;
}

std::optional<KernelInput> trace_input(MarkReader& reader, const DescriptorHistory& history,
                                       const WriterHit& writer, const Slot& slot) {
  const replay::Position& at = writer.moment.position;
  if (!writer.hit.kernel || writer.hit.kernel->remapped || !is_input(writer.hit.kernel->syscall)) {
    return std::nullopt;
  }
  const DescriptorCall* use = history.call(at.thread, at.syscalls);
  if (use == nullptr || use->number != writer.hit.kernel->syscall) return std::nullopt;
  KernelInput out;
  out.descriptor = static_cast<int>(use->arguments[0]);

  const auto pair = [&](const DescriptorCall& call) -> std::optional<std::array<int, 2>> {
    const Address where{call.arguments[call.number == SYS_socketpair ? 3 : 0]};
    std::optional<std::array<int, 2>> ends;
    reader.at(mark_of(call, replay::Mark::Kind::syscall_exit),
              [&](const auto&, const auto&, const replay::LiveState& live) {
                ends = live.read_as<std::array<int, 2>>(where);
              });
    return ends;
  };
  // Both questions are about the same pair: it is read once.
  std::optional<std::pair<EventNumber, std::optional<std::array<int, 2>>>> last;
  const auto remembered = [&](const DescriptorCall& call) {
    if (!last || last->first != call.event) last = {call.event, pair(call)};
    return last->second;
  };
  const auto opening = history.opening_of(use->process, out.descriptor, use->event, remembered);
  if (!opening) return out;
  out.description = description_of(*opening);

  std::vector<ByteRange> buffers;
  if (is_vectored(use->number)) {
    reader.at(mark_of(*use, replay::Mark::Kind::syscall_exit),
              [&](const auto&, const auto&, const replay::LiveState& live) {
                buffers = buffers_of(*use, live);
              });
  } else {
    buffers = {{Address{use->arguments[1]},
                use->result > 0 ? static_cast<std::uint64_t>(use->result) : 0}};
  }
  const auto offset = offset_of(buffers, slot.address);
  if (const auto begin = history.offset_before(*opening, *use); begin && offset) {
    out.file_offset = *begin + *offset;
  }
  if (opening->kind == Opening::Kind::file && opening->call) {
    const bool at_folder =
        opening->call->number == SYS_openat || opening->call->number == SYS_openat2;
    const Address path{opening->call->arguments[at_folder ? 1 : 0]};
    reader.at(mark_of(*opening->call, replay::Mark::Kind::syscall_entry),
              [&](const auto&, const auto&, const replay::LiveState& live) {
                out.path = read_text(live, path);
              });
  }
  if (!offset) return out;
  out.write = history.writer_of(*opening, *use, *offset, remembered);
  if (!out.write) return out;
  const DescriptorCall& write = out.write->call;
  reader.at(mark_of(write, replay::Mark::Kind::syscall_entry),
            [&](const auto&, const auto&, const replay::LiveState& live) {
              const auto where = address_of(buffers_of(write, live), out.write->offset, slot.size);
              std::uint64_t value = 0;
              const auto bytes = std::as_writable_bytes(std::span(&value, 1)).first(slot.size);
              // The bytes prove that it was this call.
              if (where && live.read(*where, bytes) == slot.size && value == slot.value)
                out.buffer = where;
            });
  if (!out.buffer) out.write.reset();
  return out;
}

}  // namespace culprit::provenance
