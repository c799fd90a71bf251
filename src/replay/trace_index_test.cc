#include "replay/trace_index.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>

#include <algorithm>
#include <random>

#include "base/file.h"

namespace culprit::replay {
namespace {

/// A program that raises SIGUSR1 (handled), forks a child that execs /bin/true, maps, moves,
/// protects and unmaps memory, and dies of SIGSEGV. rr 5.6.0, `rr dump -p -m -e`.
std::string golden() {
  const auto text = read_file(
      std::string(CULPRIT_SOURCE_DIR) + "/src/replay/testdata/dump-c-fork-signals.txt", 1 << 20);
  EXPECT_TRUE(text.ok());
  return text.value_or("");
}

TraceIndex parse(std::string_view text, std::size_t piece = std::string_view::npos) {
  TraceIndexParser parser;
  for (std::size_t at = 0; at < text.size(); at += std::min(piece, text.size() - at)) {
    EXPECT_TRUE(parser.feed(text.substr(at, piece)).ok());
  }
  auto index = parser.finish();
  EXPECT_TRUE(index.ok());
  return std::move(*index);
}

const Mapping* mapping_with(const std::vector<Mapping>& maps, std::uint64_t address) {
  const auto found = std::find_if(maps.begin(), maps.end(), [&](const Mapping& m) {
    return m.range.contains(Address{address});
  });
  return found == maps.end() ? nullptr : &*found;
}

TEST(TraceIndex, ReadsFramesTasksAndSignals) {
  const TraceIndex index = parse(golden());
  EXPECT_EQ(index.skipped_lines(), 0U);
  ASSERT_EQ(index.frames().size(), 225U);
  EXPECT_EQ(index.first_thread(), ThreadId{6565});

  const Frame* exec = index.frame(EventNumber{14});
  ASSERT_NE(exec, nullptr);
  EXPECT_EQ(exec->kind, FrameKind::syscall_exit);
  EXPECT_EQ(exec->number, SYS_execve);
  EXPECT_EQ(index.frame(EventNumber{0}), nullptr);
  EXPECT_EQ(index.frame(EventNumber{226}), nullptr);

  const Frame* handler = index.frame(EventNumber{110});
  EXPECT_EQ(handler->kind, FrameKind::signal_handler);
  EXPECT_EQ(handler->number, SIGUSR1);
  EXPECT_FALSE(handler->deterministic);
  const Frame* fault = index.frame(EventNumber{223});
  EXPECT_EQ(fault->kind, FrameKind::signal);
  EXPECT_EQ(fault->number, SIGSEGV);
  EXPECT_TRUE(fault->deterministic);
  ASSERT_NE(index.registers_of(*fault), nullptr);
  EXPECT_EQ(index.registers_of(*fault)->rip, 0x560de7e572e1U);
  EXPECT_EQ(index.registers_of(*fault)->rsp, 0x7fffa40b8890U);

  ASSERT_EQ(index.threads().size(), 2U);
  EXPECT_EQ(index.threads()[0].wait_status, 11);
  EXPECT_EQ(index.threads()[0].ended, EventNumber{225});
  EXPECT_EQ(index.threads()[0].executable, "./f");
  EXPECT_EQ(index.threads()[1].thread, ThreadId{6566});
  EXPECT_EQ(index.threads()[1].process, ProcessId{6566});
  EXPECT_EQ(index.threads()[1].parent, ThreadId{6565});
  EXPECT_EQ(index.threads()[1].created, EventNumber{115});
  EXPECT_EQ(index.threads()[1].wait_status, 0);
  EXPECT_EQ(index.threads()[1].executable, "/bin/true");
  ASSERT_EQ(index.clones().size(), 1U);
  EXPECT_EQ(index.clones()[0].flags, 0x1200011U);
  ASSERT_EQ(index.execs().size(), 2U);
  EXPECT_EQ(index.processes(), (std::vector<ProcessId>{{6565}, {6566}}));
}

TEST(TraceIndex, MapsSystemCallOrdinalsToEvents) {
  const TraceIndex index = parse(golden());
  const ThreadId main{6565};
  EXPECT_EQ(index.event_of_syscall_entry(main, 1), EventNumber{1});
  EXPECT_EQ(index.event_of_syscall_entry(main, 1, SYS_prctl), EventNumber{1});
  EXPECT_FALSE(index.event_of_syscall_entry(main, 1, SYS_read));
  EXPECT_EQ(index.event_of_syscall_exit(main, 1), EventNumber{2});
  EXPECT_FALSE(index.event_of_syscall_entry(main, 0));
  EXPECT_FALSE(index.event_of_syscall_entry(main, 10'000));
  EXPECT_FALSE(index.event_of_syscall_entry(ThreadId{1}, 1));
  EXPECT_EQ(index.syscalls_until(main, EventNumber{0}), 0U);
  EXPECT_EQ(index.syscalls_until(main, EventNumber{1}), 1U);
  const std::uint64_t all = index.thread(main)->syscalls;
  EXPECT_EQ(index.syscalls_until(main, EventNumber{225}), all);
  for (std::uint64_t i = 1; i <= all; ++i) {
    const EventNumber event = index.event_of_syscall_entry(main, i);
    EXPECT_EQ(index.syscalls_until(main, event), i);
    EXPECT_EQ(index.frame(event)->kind, FrameKind::syscall_entry);
    Position position;
    position.thread = main;
    position.syscalls = i;
    EXPECT_EQ(index.event_of(position), event);
  }
  // The child's exit_group never returns, and keeps its registers.
  const std::uint64_t last = index.thread(ThreadId{6566})->syscalls;
  const Frame* exit = index.frame(index.event_of_syscall_entry(ThreadId{6566}, last));
  EXPECT_EQ(exit->number, SYS_exit_group);
  ASSERT_NE(index.registers_of(*exit), nullptr);
  EXPECT_EQ(index.registers_of(*exit)->arguments[0], 0U);
  EXPECT_FALSE(index.event_of_syscall_exit(ThreadId{6566}, last));
}

TEST(TraceIndex, FindsTheCrash) {
  const TraceIndex index = parse(golden());
  const auto candidates = index.crash_candidates();
  ASSERT_EQ(candidates.size(), 1U) << "the child ended well";
  EXPECT_EQ(candidates[0].kind, CrashCandidate::Kind::fatal_signal);
  EXPECT_EQ(candidates[0].signal, SIGSEGV);
  EXPECT_EQ(candidates[0].event, EventNumber{223});
  EXPECT_TRUE(candidates[0].deterministic);
  EXPECT_EQ(candidates[0].mark.kind, Mark::Kind::signal_stop);
  EXPECT_EQ(candidates[0].mark.thread, ThreadId{6565});
  EXPECT_EQ(candidates[0].mark.ordinal, index.thread(ThreadId{6565})->syscalls);

  std::string text = golden();
  const std::string from = "EXIT tid=6565 status=11";
  text.replace(text.find(from), from.size(), "EXIT tid=6565 status=0");
  const std::string child = "EXIT tid=6566 status=0";
  text.replace(text.find(child), child.size(), "EXIT tid=6566 status=768");
  const TraceIndex other = parse(text);
  const auto exits = other.crash_candidates();
  ASSERT_EQ(exits.size(), 1U);
  EXPECT_EQ(exits[0].exit_code, 3);
  EXPECT_EQ(exits[0].mark.kind, Mark::Kind::syscall_entry);
  EXPECT_EQ(exits[0].event, EventNumber{208});
}

/// The golden trace whose fault was first caught by a handler that returned, as Rust's does: the second time
/// follows rt_sigreturn at once. `moved`: the handler returned to another instruction.
std::string faulting_twice(bool moved) {
  std::string text = golden();
  const std::string delivery = "SIGNAL_DELIVERY: SIGSEGV(det)";
  const std::size_t begin = text.rfind("{\n", text.find("SIGNAL: SIGSEGV(det)"));
  const std::size_t end = text.rfind("{\n", text.find(delivery));
  const std::string fault = text.substr(begin, end - begin);
  const auto numbered = [](std::string frame, const std::string& number) {
    return frame.replace(frame.find("global_time:223"), 15, "global_time:" + number);
  };
  std::string first = fault;
  if (moved) {
    const std::size_t rip = first.find("rip:0x");
    EXPECT_NE(rip, std::string::npos);
    first.replace(rip, 7, "rip:0x9");
  }
  std::string handler = numbered(fault, "224");
  handler.replace(handler.find("SIGNAL:"), 7, "SIGNAL_HANDLER:");
  std::string entry = numbered(fault, "225");
  entry.replace(entry.find("SIGNAL: SIGSEGV(det)'"), 21,
                "SYSCALL: rt_sigreturn' (state:ENTERING_SYSCALL)");
  const std::size_t number = entry.find("orig_rax:0x") + 9;
  entry.replace(number, entry.find_first_of(" \n", number) - number, "0xf");
  std::string exit = numbered(fault, "226");
  exit.replace(exit.find("SIGNAL: SIGSEGV(det)'"), 21,
               "SYSCALL: rt_sigreturn' (state:EXITING_SYSCALL)");
  std::string rest = text.substr(end);
  rest.replace(rest.find("global_time:224"), 15, "global_time:228");
  rest.replace(rest.find("global_time:225"), 15, "global_time:229");
  return text.substr(0, begin) + first + handler + entry + exit + numbered(fault, "227") + rest;
}

TEST(TraceIndex, AFaultThatAHandlerReturnedToIsTheFirstOne) {
  const auto candidates = parse(faulting_twice(false)).crash_candidates();
  ASSERT_EQ(candidates.size(), 1U);
  EXPECT_EQ(candidates[0].event, EventNumber{223}) << "rr does not run the thread for the second one";
  EXPECT_EQ(candidates[0].mark.kind, Mark::Kind::signal_stop);
  const auto others = parse(faulting_twice(true)).crash_candidates();
  ASSERT_EQ(others.size(), 1U);
  EXPECT_EQ(others[0].event, EventNumber{227}) << "another fault";
}

TEST(TraceIndex, FindsKernelWrites) {
  const TraceIndex index = parse(golden());
  // The status word that wait4() filled in, at event 210.
  const ByteRange status{Address{0x7fffa40b8894}, 4};
  const auto writes = index.writers_of(status, EventNumber{115}, EventNumber{225});
  ASSERT_EQ(writes.size(), 1U);
  EXPECT_EQ(writes[0].event, EventNumber{210});
  EXPECT_EQ(writes[0].thread, ThreadId{6565});
  EXPECT_TRUE(index.writers_of(status, EventNumber{211}, EventNumber{225}).empty());
  // The frame that the handler was given.
  const auto frames =
      index.writers_of({Address{0x7fffa40b8300}, 8}, EventNumber{109}, EventNumber{111});
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].range.size, 0x840U);
  // What the clone wrote, it wrote into the child's memory.
  const auto cloned =
      index.writers_of({Address{0x7f1f65896a10}, 4}, EventNumber{115}, EventNumber{115});
  ASSERT_EQ(cloned.size(), 1U);
  EXPECT_EQ(cloned[0].thread, ThreadId{6565});
  EXPECT_EQ(cloned[0].target, ThreadId{6566});
}

TEST(TraceIndex, FoldsTheMappings) {
  const TraceIndex index = parse(golden());
  const ProcessId main{6565};
  EXPECT_TRUE(index.maps_at(EventNumber{13}, main).empty()) << "before the first exec";

  auto maps = index.maps_at(EventNumber{14}, main);
  const Mapping* code = mapping_with(maps, 0x560de7e57100);
  ASSERT_NE(code, nullptr);
  EXPECT_TRUE(code->executable && code->readable && !code->writable && !code->shared);
  EXPECT_EQ(code->kind, MappingKind::file);
  EXPECT_EQ(code->path, "/trace/f");
  EXPECT_EQ(code->bytes_from, "/trace/trf/mmap_copy_5_f");
  EXPECT_EQ(code->bytes_offset, 0x1000U);
  EXPECT_EQ(code->created, EventNumber{14});
  // Its neighbours have no copy of their own: the same file serves.
  const Mapping* head = mapping_with(maps, 0x560de7e56000);
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->bytes_from, "/trace/trf/mmap_copy_5_f");
  EXPECT_EQ(head->bytes_offset, 0U);
  EXPECT_EQ(mapping_with(maps, 0x7fffa4098000)->kind, MappingKind::stack);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a98000)->kind, MappingKind::vdso);
  EXPECT_EQ(mapping_with(maps, 0x70000000)->kind, MappingKind::recorder);
  EXPECT_EQ(mapping_with(maps, 0x6fffe000)->kind, MappingKind::recorder);

  // mmap at 213/214, mremap (moved and grown) at 216, mprotect of half at 218, munmap at 220.
  EXPECT_EQ(mapping_with(index.maps_at(EventNumber{213}, main), 0x7f1f65a83000), nullptr);
  maps = index.maps_at(EventNumber{214}, main);
  ASSERT_NE(mapping_with(maps, 0x7f1f65a83000), nullptr);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a83000)->kind, MappingKind::anonymous);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a83000)->created, EventNumber{214});
  maps = index.maps_at(EventNumber{216}, main);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a83000), nullptr);
  ASSERT_NE(mapping_with(maps, 0x7f1f65a82000), nullptr);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a82000)->range,
            (ByteRange{Address{0x7f1f65a81000}, 0x2000}));
  maps = index.maps_at(EventNumber{218}, main);
  EXPECT_FALSE(mapping_with(maps, 0x7f1f65a81000)->writable);
  EXPECT_TRUE(mapping_with(maps, 0x7f1f65a82000)->writable);
  maps = index.maps_at(EventNumber{0}, main);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a81000), nullptr);
  EXPECT_EQ(mapping_with(maps, 0x7f1f65a82000), nullptr);
  for (std::size_t i = 1; i < maps.size(); ++i) {
    EXPECT_GE(maps[i].range.start, maps[i - 1].range.end()) << "disjoint and in order";
  }

  // The forked child has its parent's mappings until its own exec.
  const auto parent = index.maps_at(EventNumber{115}, main);
  const auto child = index.maps_at(EventNumber{117}, ProcessId{6566});
  ASSERT_EQ(child.size(), parent.size());
  for (std::size_t i = 0; i < child.size(); ++i) EXPECT_EQ(child[i].range, parent[i].range);
  maps = index.maps_at(EventNumber{0}, ProcessId{6566});
  EXPECT_EQ(mapping_with(maps, 0x560de7e57100), nullptr);
  ASSERT_NE(mapping_with(maps, 0x55f273be9000), nullptr);
  EXPECT_EQ(mapping_with(maps, 0x55f273be9000)->path, "/usr/bin/true");
  EXPECT_TRUE(index.maps_at(EventNumber{0}, ProcessId{1}).empty());
}

TEST(TraceIndex, PiecesOfAnySizeGiveTheSame) {
  const std::string text = golden();
  const TraceIndex whole = parse(text);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}}) {
    const TraceIndex parts = parse(text, piece);
    ASSERT_EQ(parts.frames().size(), whole.frames().size());
    EXPECT_EQ(parts.mappings().size(), whole.mappings().size());
    EXPECT_EQ(parts.kernel_writes().size(), whole.kernel_writes().size());
    EXPECT_EQ(parts.skipped_lines(), whole.skipped_lines());
  }
}

TEST(TraceIndex, DamagedTextIsSkippedNotTrusted) {
  const std::string text = golden();
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    std::string damaged = text.substr(0, 20'000 + random() % 60'000);
    for (int i = 0; i < 200; ++i) {
      const std::size_t at = random() % damaged.size();
      switch (random() % 3) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          damaged.erase(at, random() % 40);
          break;
        default:
          damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 60));
      }
    }
    TraceIndexParser parser;
    ASSERT_TRUE(parser.feed(damaged).ok());
    const auto index = parser.finish();
    if (!index.ok()) continue;
    for (const TraceThread& thread : index->threads()) {
      (void)index->maps_at(EventNumber{0}, thread.process);
    }
    (void)index->crash_candidates();
    (void)index->output_calls(2);
    for (std::size_t i = 1; i < index->frames().size(); ++i) {
      ASSERT_LT(index->frames()[i - 1].event, index->frames()[i].event);
    }
  }
}

TEST(TraceIndex, LimitsAndEmptyInput) {
  TraceIndexParser empty;
  ASSERT_TRUE(empty.feed("").ok());
  EXPECT_EQ(empty.finish().error().code, ErrorCode::bad_input);
  TraceIndexParser noise;
  ASSERT_TRUE(noise.feed("rr: this is no dump\n{\n}\n").ok());
  EXPECT_EQ(noise.finish().error().code, ErrorCode::bad_input);
  TraceIndex::Limits limits;
  limits.frames = 10;
  TraceIndexParser few(limits);
  const Status status = few.feed(golden());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::bad_input);
  EXPECT_FALSE(few.finish().ok());
  // A line without an end is not kept in memory.
  limits = {};
  limits.line_length = 1000;
  TraceIndexParser endless(limits);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(endless.feed(std::string(10'000, 'x')).ok());
  EXPECT_FALSE(endless.finish().ok());
}

TEST(TraceIndex, TellsHowTheTraceWasMade) {
  std::string text = golden();
  EXPECT_FALSE(parse(text).has_ticks());
  // The count of one frame in the middle.
  const std::size_t at = text.find(" ticks:0", text.size() / 2);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 8, " ticks:18446744073709551615");
  EXPECT_TRUE(parse(text).has_ticks());
  text.replace(at, 27, " ticks:x");
  EXPECT_FALSE(parse(text).has_ticks());
}

TEST(TraceIndex, ListsOutputCalls) {
  const TraceIndex index = parse(golden());
  const auto calls = index.output_calls(1);
  ASSERT_EQ(calls.size(), 1U) << "the handler's write";
  EXPECT_EQ(calls[0].thread, ThreadId{6565});
  EXPECT_EQ(calls[0].buffer.size, 2U);
  EXPECT_EQ(index.event_of_syscall_entry(calls[0].thread, calls[0].ordinal), calls[0].event);
}

}  // namespace
}  // namespace culprit::replay
