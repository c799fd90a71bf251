#include "provenance/descriptors.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <unordered_map>

namespace culprit::provenance {
namespace {

constexpr std::size_t kMaxCalls = 4'000'000;
constexpr int kMaxPairs = 16;

/// A descriptor of a process.
using Name = std::pair<std::uint64_t, int>;

Name name(ProcessId process, std::int64_t descriptor) {
  return {static_cast<std::uint64_t>(process.value), static_cast<int>(descriptor)};
}

int first(const DescriptorCall& call) { return static_cast<int>(call.arguments[0]); }

bool opens(std::uint64_t number) {
  return number == SYS_open || number == SYS_openat || number == SYS_creat || number == SYS_openat2;
}

bool makes_pair(std::uint64_t number) {
  return number == SYS_pipe || number == SYS_pipe2 || number == SYS_socketpair;
}

/// dup and its like: the result is another name of the first argument.
bool duplicates(const DescriptorCall& call) {
  if (call.result < 0) return false;
  if (call.number == SYS_fcntl) {
    return call.arguments[1] == F_DUPFD || call.arguments[1] == F_DUPFD_CLOEXEC;
  }
  return call.number == SYS_dup || call.number == SYS_dup2 || call.number == SYS_dup3;
}

bool is_output(std::uint64_t number) {
  return number == SYS_write || number == SYS_writev || number == SYS_sendto ||
         number == SYS_sendmsg;
}

bool moves_position(std::uint64_t number) {
  return number == SYS_read || number == SYS_readv || number == SYS_write || number == SYS_writev;
}

/// Moves bytes in a way that is not followed.
bool is_opaque(std::uint64_t number) {
  return number == SYS_splice || number == SYS_tee || number == SYS_vmsplice ||
         number == SYS_sendfile || number == SYS_copy_file_range || number == SYS_recvmmsg ||
         number == SYS_sendmmsg;
}

bool matters(const DescriptorCall& call) {
  return opens(call.number) || makes_pair(call.number) || duplicates(call) ||
         is_input(call.number) || is_output(call.number) || is_opaque(call.number) ||
         call.number == SYS_pwrite64 || call.number == SYS_close || call.number == SYS_lseek ||
         call.number == SYS_socket || call.number == SYS_accept || call.number == SYS_accept4 ||
         call.number == SYS_memfd_create || call.number == SYS_eventfd2 ||
         call.number == SYS_timerfd_create || call.number == SYS_signalfd4 ||
         call.number == SYS_inotify_init1;
}

std::optional<Opening::Kind> made_by(const DescriptorCall& call, int descriptor) {
  if (call.result != descriptor || call.result < 0) return std::nullopt;
  if (opens(call.number)) return Opening::Kind::file;
  switch (call.number) {
    case SYS_socket:
    case SYS_accept:
    case SYS_accept4:
      return Opening::Kind::socket;
    case SYS_memfd_create:
    case SYS_eventfd2:
    case SYS_timerfd_create:
    case SYS_signalfd4:
    case SYS_inotify_init1:
      return Opening::Kind::other;
    default:
      return std::nullopt;
  }
}

/// The names that one open file has, kept while calls and forks go by.
class Names {
 public:
  explicit Names(Name made) : names_{made} {}
  [[nodiscard]] bool has(const DescriptorCall& call) const {
    return names_.count(name(call.process, first(call))) != 0;
  }
  void apply(const DescriptorCall& call) {
    if (duplicates(call)) {
      const bool ours = has(call);
      const Name copy = name(call.process, call.result);
      ours ? void(names_.insert(copy)) : void(names_.erase(copy));
    } else if (call.number == SYS_close && call.result == 0) {
      names_.erase(name(call.process, first(call)));
    }
  }
  void apply(const DescriptorFork& fork) {
    std::vector<Name> copies;
    for (const Name& n : names_) {
      if (n.first == static_cast<std::uint64_t>(fork.parent.value))
        copies.push_back(name(fork.child, n.second));
    }
    names_.insert(copies.begin(), copies.end());
  }

 private:
  std::set<Name> names_;
};

/// A file whose descriptors' position begins at zero, and is where the next read or write goes.
bool has_position(const Opening& opening) {
  if (!opening.call) return false;
  const DescriptorCall& made = *opening.call;
  if (made.number == SYS_memfd_create) return true;
  if (opening.kind != Opening::Kind::file || made.number == SYS_openat2) return false;
  const std::uint64_t flags = made.number == SYS_open     ? made.arguments[1]
                              : made.number == SYS_openat ? made.arguments[2]
                                                          : 0;
  return (flags & O_APPEND) == 0;
}

/// Moves the position of an open file by a call on it.
void move_position(const DescriptorCall& call, std::uint64_t& position) {
  if (moves_position(call.number) && call.result > 0)
    position += static_cast<std::uint64_t>(call.result);
  if (call.number == SYS_lseek && call.result >= 0)
    position = static_cast<std::uint64_t>(call.result);
}

/// Calls `on_fork` and `on_call` in the order of events, from behind `from` on, until on_call says
/// false.
template <typename OnFork, typename OnCall>
void run_from(const std::vector<DescriptorCall>& calls, const std::vector<DescriptorFork>& forks,
              EventNumber from, OnFork on_fork, OnCall on_call) {
  auto call = std::upper_bound(calls.begin(), calls.end(), from,
                               [](EventNumber e, const auto& c) { return e < c.event; });
  auto fork = std::upper_bound(forks.begin(), forks.end(), from,
                               [](EventNumber e, const auto& f) { return e < f.event; });
  for (; call != calls.end(); ++call) {
    for (; fork != forks.end() && fork->event < call->event; ++fork) on_fork(*fork);
    if (!on_call(*call)) return;
  }
}

bool same_call(const DescriptorCall& a, const DescriptorCall& b) {
  return a.thread == b.thread && a.ordinal == b.ordinal;
}

/// A read that leaves the bytes where they are.
bool peeks(const DescriptorCall& call) {
  if (call.number == SYS_recvfrom) return (call.arguments[3] & MSG_PEEK) != 0;
  return call.number == SYS_recvmsg && (call.arguments[2] & MSG_PEEK) != 0;
}

}  // namespace

bool is_input(std::uint64_t syscall) {
  return syscall == SYS_read || syscall == SYS_readv || syscall == SYS_pread64 ||
         syscall == SYS_recvfrom || syscall == SYS_recvmsg;
}

bool is_vectored(std::uint64_t syscall) {
  return syscall == SYS_readv || syscall == SYS_writev || syscall == SYS_recvmsg ||
         syscall == SYS_sendmsg;
}

DescriptorHistory DescriptorHistory::read(const replay::TraceIndex& index) {
  std::vector<DescriptorCall> calls;
  std::vector<DescriptorFork> forks;
  std::unordered_map<std::int64_t, std::uint64_t> ordinals;
  for (const replay::Frame& frame : index.frames()) {
    std::uint64_t& ordinal = ordinals[frame.thread.value];
    if (frame.kind == replay::FrameKind::syscall_entry) ++ordinal;
    if (frame.kind != replay::FrameKind::syscall_exit || frame.number < 0) continue;
    const replay::FrameRegisters* registers = index.registers_of(frame);
    const replay::TraceThread* thread = index.thread(frame.thread);
    if (registers == nullptr || thread == nullptr) continue;
    const DescriptorCall call{frame.event,
                              frame.thread,
                              thread->process,
                              ordinal,
                              static_cast<std::uint64_t>(frame.number),
                              registers->arguments,
                              registers->result};
    if (!matters(call)) continue;
    if (calls.size() >= kMaxCalls) return DescriptorHistory({}, {});
    calls.push_back(call);
  }
  for (const replay::TraceClone& clone : index.clones()) {
    const replay::TraceThread* parent = index.thread(clone.parent);
    const replay::TraceThread* child = index.thread(clone.child);
    if (parent == nullptr || child == nullptr || parent->process == child->process) continue;
    forks.push_back({clone.event, parent->process, child->process});
  }
  return DescriptorHistory(std::move(calls), std::move(forks));
}

const DescriptorCall* DescriptorHistory::call(ThreadId thread, std::uint64_t ordinal) const {
  for (const DescriptorCall& c : calls_) {
    if (c.thread == thread && c.ordinal == ordinal) return &c;
  }
  return nullptr;
}

std::optional<Opening> DescriptorHistory::opening_of(ProcessId process, int descriptor,
                                                     EventNumber before,
                                                     const ReadPair& pair) const {
  int asked = 0;
  for (std::size_t generation = 0; generation <= forks_.size(); ++generation) {
    for (auto it = calls_.rbegin(); it != calls_.rend(); ++it) {
      const DescriptorCall& c = *it;
      if (c.process != process || c.event >= before) continue;
      if (duplicates(c)) {
        if (c.result == descriptor) descriptor = first(c);
        continue;
      }
      if (const auto kind = made_by(c, descriptor)) return Opening{*kind, c, 0, descriptor};
      if (makes_pair(c.number) && c.result == 0) {
        if (++asked > kMaxPairs) return std::nullopt;
        const auto ends = pair(c);
        for (int end = 0; ends && end < 2; ++end) {
          if ((*ends)[static_cast<std::size_t>(end)] != descriptor) continue;
          const auto kind =
              c.number == SYS_socketpair ? Opening::Kind::socketpair : Opening::Kind::pipe;
          return Opening{kind, c, end, descriptor};
        }
      }
      // It was closed, and nobody is known to have made it again.
      if (c.number == SYS_close && c.result == 0 && first(c) == descriptor) return std::nullopt;
    }
    const auto fork = std::find_if(forks_.begin(), forks_.end(),
                                   [&](const auto& f) { return f.child == process; });
    if (fork == forks_.end()) break;
    process = fork->parent;
    before = fork->event;
  }
  return Opening{Opening::Kind::inherited, std::nullopt, 0, descriptor};
}

std::optional<std::uint64_t> DescriptorHistory::offset_before(const Opening& opening,
                                                              const DescriptorCall& use) const {
  if (use.number == SYS_pread64) return use.arguments[3];
  if (!has_position(opening)) return std::nullopt;
  const DescriptorCall& open = *opening.call;
  Names names(name(open.process, open.result));
  std::uint64_t position = 0;
  std::optional<std::uint64_t> found;
  bool known = true;
  run_from(
      calls_, forks_, open.event, [&](const DescriptorFork& f) { names.apply(f); },
      [&](const DescriptorCall& c) {
        if (same_call(c, use)) {
          if (names.has(c)) found = position;
          return false;
        }
        if (names.has(c)) move_position(c, position);
        // sendfile and copy_file_range have it in other arguments too.
        if (is_opaque(c.number)) known = false;
        names.apply(c);
        return true;
      });
  return known ? found : std::nullopt;
}

std::optional<StreamWrite> DescriptorHistory::file_writer_of(const Opening& opening,
                                                             std::uint64_t offset,
                                                             EventNumber before) const {
  if (!has_position(opening)) return std::nullopt;
  Names names(name(opening.call->process, opening.call->result));
  std::uint64_t position = 0;
  std::optional<StreamWrite> newest;
  bool known = true;
  run_from(
      calls_, forks_, opening.call->event, [&](const DescriptorFork& f) { names.apply(f); },
      [&](const DescriptorCall& c) {
        if (c.event >= before) return false;
        if (is_opaque(c.number)) known = false;
        if (names.has(c)) {
          const bool own = c.number == SYS_pwrite64;
          const std::uint64_t at = own ? c.arguments[3] : position;
          const bool writes = own || c.number == SYS_write || c.number == SYS_writev;
          if (writes && c.result > 0 && offset >= at &&
              offset - at < static_cast<std::uint64_t>(c.result)) {
            newest = StreamWrite{c, offset - at};
          }
          move_position(c, position);
        }
        names.apply(c);
        return true;
      });
  return known ? newest : std::nullopt;
}

std::optional<StreamWrite> DescriptorHistory::writer_of(const Opening& opening,
                                                        const DescriptorCall& use,
                                                        std::uint64_t offset,
                                                        const ReadPair& pair) const {
  const bool socket = opening.kind == Opening::Kind::socketpair;
  if ((!socket && opening.kind != Opening::Kind::pipe) || !opening.call || peeks(use))
    return std::nullopt;
  const DescriptorCall& made = *opening.call;
  const auto ends = pair(made);
  if (!ends || opening.end < 0 || opening.end > 1 || (!socket && opening.end != 0))
    return std::nullopt;
  constexpr std::uint64_t kTypeMask = 0xf;  // SOCK_NONBLOCK and SOCK_CLOEXEC lie above
  const bool messages = socket && (made.arguments[1] & kTypeMask) != SOCK_STREAM;
  Names reader(name(made.process, (*ends)[static_cast<std::size_t>(opening.end)]));
  Names writer(name(made.process, (*ends)[static_cast<std::size_t>(1 - opening.end)]));

  struct Written {
    DescriptorCall call;
    std::uint64_t at = 0;  ///< bytes, or messages, before it
  };
  std::vector<Written> written;
  std::uint64_t produced = 0;
  std::uint64_t consumed = 0;
  std::optional<std::uint64_t> wanted;
  bool known = true;
  run_from(
      calls_, forks_, made.event,
      [&](const DescriptorFork& f) {
        reader.apply(f);
        writer.apply(f);
      },
      [&](const DescriptorCall& c) {
        if (is_opaque(c.number)) known = false;
        if (is_input(c.number) && reader.has(c) && c.result >= 0 && !peeks(c)) {
          if (same_call(c, use)) wanted = messages ? consumed : consumed + offset;
          consumed += messages ? 1 : static_cast<std::uint64_t>(c.result);
        } else if (is_output(c.number) && writer.has(c) && c.result >= 0) {
          written.push_back({c, produced});
          produced += messages ? 1 : static_cast<std::uint64_t>(c.result);
        }
        reader.apply(c);
        writer.apply(c);
        return known && !(wanted && produced > *wanted);
      });
  if (!known || !wanted) return std::nullopt;
  for (const Written& w : written) {
    const std::uint64_t size = static_cast<std::uint64_t>(w.call.result);
    if (messages ? w.at == *wanted && offset < size : *wanted - w.at < size && w.at <= *wanted) {
      return StreamWrite{w.call, messages ? offset : *wanted - w.at};
    }
  }
  return std::nullopt;
}

}  // namespace culprit::provenance
