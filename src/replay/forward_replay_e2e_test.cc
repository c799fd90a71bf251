#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>
#include <tuple>

#include "replay/replay_fixture.h"

namespace culprit::replay {
namespace {

Probe write_probe(Address address, std::uint8_t size = 8) {
  Probe probe;
  probe.address = address;
  probe.size = size;
  return probe;
}

Probe execute_probe(Address address) {
  Probe probe;
  probe.kind = ProbeKind::execute;
  probe.address = address;
  return probe;
}

Mark hit_mark(const Probe& probe, std::uint64_t ordinal) {
  Mark mark;
  mark.kind = Mark::Kind::probe_hit;
  mark.probe = probe;
  mark.ordinal = ordinal;
  return mark;
}

/// Runs a pass and fails the test if it fails.
#define RUN_PASS(result, recording, spec, notes)                 \
  const auto result = (recording)->replay->run((spec), (notes)); \
  ASSERT_TRUE(result.ok()) << result.error().message

using Change = std::tuple<std::uint64_t, std::uint64_t, long>;  // before, after, system call or -1

std::vector<Change> changes(const std::vector<Hit>& hits) {
  std::vector<Change> result;
  for (const Hit& hit : hits) {
    result.emplace_back(hit.value_before, hit.value_after,
                        hit.kernel ? static_cast<long>(hit.kernel->syscall) : -1L);
  }
  return result;
}

TEST(ForwardReplayE2e, ReportsEachKindOfWriteInOrder) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  EXPECT_TRUE(result->end_reached);
  EXPECT_EQ(result->matches[0], notes.hits.size());
  auto seen = changes(notes.hits);
  // The exec of the program maps the slot. (What rr's own child had there before does not count.)
  ASSERT_GE(seen.size(), 1U);
  EXPECT_TRUE(notes.hits[0].kernel && notes.hits[0].kernel->remapped);
  EXPECT_EQ(std::get<2>(seen[0]), SYS_execve);
  seen.erase(seen.begin());
  ASSERT_EQ(seen.size(), 20U);
  const std::uint64_t flags = std::get<1>(seen[15]);
  EXPECT_EQ(flags & ~0xfffUL, 0x80000000UL);
  EXPECT_EQ(flags & 0x100, 0U) << "the trap flag";
  const std::uint64_t straddled = 0x5555000000004444;
  const std::vector<Change> expected = {
      {0, 0x1111, -1},
      {0x1111, 0x1111, -1},
      {0x1111, 0x2222, -1},
      {0x2222, 0x2200, -1},
      {0x2200, 0, -1},
      {0, 0, -1},
      {0, 0, -1},
      {0, 0, -1},
      {0, 0, -1},
      {0, 0, -1},
      {0, 0, -1},
      {0, 0x3333, -1},
      {0x3333, 0x4444, SYS_read},
      {0x4444, 0x4444, SYS_read},
      {0x4444, straddled, -1},
      {straddled, flags, -1},
      {flags, 0x8888, -1},  // the child's copy
      {flags, 0x9999, -1},
      {0x9999, 0xaaaa, -1},  // vfork: the same memory
  };
  ASSERT_GE(seen.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(seen[i], expected[i]) << "hit " << i;
  // Then the forked child's exec of another program takes its copy away.
  EXPECT_EQ(seen.size(), expected.size() + 1);
  EXPECT_EQ(std::get<2>(seen.back()), SYS_execve);
}

TEST(ForwardReplayE2e, HitsAreTheSameInEveryPass) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes.push_back(execute_probe(recording->at("tick")));
  std::vector<Hit> first;
  for (int pass = 0; pass < 5; ++pass) {
    Notes notes;
    RUN_PASS(result, recording, spec, notes);
    if (pass == 0) {
      first = notes.hits;
      ASSERT_GT(first.size(), 20U);
      continue;
    }
    ASSERT_EQ(notes.hits.size(), first.size());
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_EQ(notes.hits[i].ordinal, first[i].ordinal);
      EXPECT_EQ(notes.hits[i].position.thread, first[i].position.thread);
      EXPECT_EQ(notes.hits[i].position.syscalls, first[i].position.syscalls);
      EXPECT_EQ(notes.hits[i].registers, first[i].registers) << "hit " << i;
      EXPECT_EQ(notes.hits[i].value_after, first[i].value_after);
    }
  }
}

TEST(ForwardReplayE2e, UnalignedRangeTakesTwoUnitsAndCountsAStoreOnce) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot") - 4));
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  // The first three stores: 8, 8 and 16 bytes from the slot on, so the upper half here.
  std::vector<std::uint64_t> values;
  for (const Hit& hit : notes.hits) {
    if (!hit.kernel && values.size() < 3) values.push_back(hit.value_after);
  }
  EXPECT_EQ(values, (std::vector<std::uint64_t>{0x111100000000, 0x111100000000, 0x222200000000}));
  // `rep movsb` writes all eight bytes one by one; nothing is counted twice.
  const auto bytes = std::count_if(notes.hits.begin(), notes.hits.end(), [&](const Hit& hit) {
    return !hit.kernel && hit.position.syscalls == notes.hits[2].position.syscalls;
  });
  // 3 stores, 8 iterations of movsb, 1 of stosq: the units are no wider than the range here.
  EXPECT_EQ(bytes, 3 + 8 + 1);
}

TEST(ForwardReplayE2e, ValueFilterCountsTheRestAsRaw) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes[0].filter = ValueFilter{0x4444, 0xffffffff};
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  ASSERT_EQ(notes.hits.size(), 3U);
  EXPECT_EQ(notes.hits[0].ordinal, 1U);
  EXPECT_EQ(notes.hits[0].raw_ordinal, 14U);
  EXPECT_EQ(notes.hits[0].kernel->syscall, static_cast<std::uint64_t>(SYS_read));
  EXPECT_EQ(notes.hits[0].kernel->result, 8);
  EXPECT_EQ(notes.hits[2].value_after, 0x5555000000004444U);
  EXPECT_EQ(result->matches[0], 3U);
  EXPECT_EQ(result->raw_hits[0], 21U);
}

TEST(ForwardReplayE2e, KeepLastDeliversTheNewestAtTheEnd) {
  Recording* recording = record("hot", {"1000"});
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes[0].keep_last = 7;
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  EXPECT_EQ(result->matches[0], 1001U);  // the exec made the first
  ASSERT_EQ(notes.hits.size(), 7U);
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(notes.hits[i].value_after, 994 + i);
    EXPECT_EQ(notes.hits[i].value_before, 993 + i);
    EXPECT_EQ(notes.hits[i].ordinal, 995 + i);
    EXPECT_FALSE(notes.hits[i].live);
  }
}

TEST(ForwardReplayE2e, ProcessAndThreadFiltersLimitWhatCounts) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  const auto processes = recording->index().processes();
  ASSERT_EQ(processes.size(), 4U);
  PassSpec spec;
  for (const ProcessId process : processes) {
    spec.probes.push_back(write_probe(recording->at("slot")));
    spec.probes.back().process = process;
  }
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes.back().thread = ThreadId{processes[2].value};
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  EXPECT_EQ(result->matches, (std::vector<std::uint64_t>{18, 1, 1, 1, 1}));
}

TEST(ForwardReplayE2e, AnExecuteProbeStopsBeforeTheInstructionWithLiveAccess) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(execute_probe(recording->at("tick")));
  spec.probes[0].live = true;
  spec.end = hit_mark(execute_probe(recording->at("tick")), 3);
  struct Look : Notes {
    Address slot;
    std::vector<std::uint64_t> slot_values;
    std::string maps;
    std::size_t unreadable = 99;
    std::size_t partial = 99;
    bool no_such_thread = false;
    Next on_hit(const Hit& hit, const LiveState* live) override {
      EXPECT_NE(live, nullptr);
      if (live == nullptr) return Next::stop_pass;
      EXPECT_TRUE(hit.live);
      slot_values.push_back(live->read_u64(slot).value_or(~0UL));
      const auto threads = live->threads();
      EXPECT_TRUE(threads.ok() && threads->size() == 1);
      const auto registers = live->registers(hit.position.thread);
      EXPECT_TRUE(registers.ok() && *registers == hit.registers);
      no_such_thread = !live->registers(ThreadId{1}).ok();
      maps = live->maps().value_or("");
      std::byte bytes[16];
      unreadable = live->read(Address{0x10}, bytes);
      // The mapping that holds the stack pointer: reading over its end gives what there is.
      for (std::size_t at = 0; at < maps.size(); at = maps.find('\n', at) + 1) {
        unsigned long from = 0;
        unsigned long to = 0;
        if (std::sscanf(maps.c_str() + at, "%lx-%lx", &from, &to) != 2) break;
        if (hit.registers[Gpr::rsp] < from || hit.registers[Gpr::rsp] >= to) continue;
        partial = live->read(Address{to - 5}, bytes);
      }
      return Notes::on_hit(hit, live);
    }
  } look;
  look.slot = recording->at("slot");
  RUN_PASS(result, recording, spec, look);
  EXPECT_TRUE(result->end_reached);
  ASSERT_EQ(look.hits.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(look.hits[i].registers.pc(), recording->at("tick"));
    EXPECT_EQ(look.hits[i].registers[Gpr::rdi], i);
  }
  EXPECT_EQ(look.slot_values, (std::vector<std::uint64_t>{0, 0x3333, 0x5555000000004444}));
  EXPECT_NE(look.maps.find("stores"), std::string::npos);
  EXPECT_EQ(look.unreadable, 0U);
  EXPECT_EQ(look.partial, 5U);
  EXPECT_TRUE(look.no_such_thread);
  ASSERT_TRUE(look.end);
  EXPECT_EQ(look.end_registers, look.hits[2].registers);
  EXPECT_TRUE(processes_of(*recording).empty());
}

/// Compares all code in memory with the files, at the end of a pass.
struct CodeAtEnd : Notes {
  std::vector<std::pair<std::string, std::size_t>> differing;
  std::size_t compared = 0;
  void on_end(const Position& at_end, const Registers& registers, const LiveState& live) override {
    Notes::on_end(at_end, registers, live);
    const std::string maps = live.maps().value_or("");
    for (std::size_t at = 0; at < maps.size();) {
      const std::string line = maps.substr(at, maps.find('\n', at) - at);
      at += line.size() + 1;
      unsigned long from = 0, to = 0, offset = 0;
      char flags[5] = "";
      int path = 0;
      if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %*s %n", &from, &to, flags, &offset,
                      &path) < 4 ||
          std::string_view(flags) != "r-xp" || path == 0 ||
          line[static_cast<std::size_t>(path)] != '/') {
        continue;
      }
      std::ifstream file(line.substr(static_cast<std::size_t>(path)), std::ios::binary);
      std::vector<char> disk(to - from);
      file.seekg(static_cast<std::streamoff>(offset));
      file.read(disk.data(), static_cast<std::streamsize>(disk.size()));
      const auto size = static_cast<std::size_t>(file.gcount());
      std::vector<std::byte> memory(size);
      memory.resize(live.read(Address{from}, memory));
      compared += memory.size();
      for (std::size_t i = 0; i < memory.size(); ++i) {
        if (static_cast<char>(memory[i]) != disk[i] && memory[i] == std::byte{0xcc}) {
          differing.emplace_back(line, i);
        }
      }
    }
  }
};

TEST(ForwardReplayE2e, LiveMemoryShowsNoBreakpointOfRr) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  // Stop in the middle of the code that runs up to the next system call, then read all of the
  // executable's and libc's code: rr has an int3 on that system call's instruction.
  PassSpec spec;
  spec.end = hit_mark(execute_probe(recording->at("tick")), 1);
  CodeAtEnd look;
  RUN_PASS(result, recording, spec, look);
  EXPECT_GT(look.compared, 100'000U);
  EXPECT_TRUE(look.differing.empty());
}

TEST(ForwardReplayE2e, AStepWindowEndsAtTheHit) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  const Probe tick = execute_probe(recording->at("tick"));
  const Probe slot = write_probe(recording->at("slot"));
  spec.step.emplace();
  spec.step->begin = hit_mark(tick, 3);  // tick(2): then pushf, popf and the store of the flags
  spec.end = hit_mark(slot, 17);
  spec.probes.push_back(slot);
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  ASSERT_TRUE(result->end_reached);
  ASSERT_TRUE(result->window);
  const StepWindow& window = *result->window;
  EXPECT_FALSE(window.truncated);
  ASSERT_GE(window.steps.size(), 4U);
  ASSERT_LE(window.steps.size(), 40U);
  EXPECT_EQ(window.steps.front().pc(), recording->at("tick"));
  EXPECT_EQ(window.final_registers, notes.end_registers);
  EXPECT_EQ(notes.hits.back().registers, notes.end_registers);
  const std::uint64_t length = window.final_registers.rip - window.steps.back().rip;
  EXPECT_GE(length, 3U) << "the last step is the store itself";
  EXPECT_LE(length, 11U);
  // The program must not see that it was stepped: the same flags as in an unstepped pass.
  const std::uint64_t stepped = notes.hits.back().value_after;
  EXPECT_EQ(stepped & 0x100, 0U);
  Notes plain;
  PassSpec unstepped = spec;
  unstepped.step.reset();
  RUN_PASS(again, recording, unstepped, plain);
  EXPECT_EQ(plain.hits.back().value_after, stepped);
  EXPECT_EQ(plain.end_registers, notes.end_registers);
}

TEST(ForwardReplayE2e, AStepWindowHasTheInstructionThatItBeganAtOnceForEachExecution) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  const Probe tick = execute_probe(recording->at("tick"));
  spec.step.emplace();
  spec.step->begin = hit_mark(tick, 2);
  spec.end = hit_mark(write_probe(recording->at("slot")), 17);
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  ASSERT_TRUE(result->window);
  std::size_t executions = 0;
  for (const Registers& step : result->window->steps) {
    if (step.pc() == recording->at("tick")) ++executions;
  }
  EXPECT_EQ(executions, 2U) << "hits 2 and 3";
}

TEST(ForwardReplayE2e, AStepWindowGoesThroughSystemCallsAndStringInstructions) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  const Probe tick = execute_probe(recording->at("tick"));
  const Probe slot = write_probe(recording->at("slot"));
  spec.probes.push_back(slot);
  spec.step.emplace();
  spec.step->begin = hit_mark(tick, 1);
  spec.end = hit_mark(tick, 3);
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  ASSERT_TRUE(result->window);
  const StepWindow& window = *result->window;
  EXPECT_FALSE(window.truncated);
  EXPECT_EQ(window.steps.front().pc(), recording->at("tick"));
  EXPECT_EQ(window.final_registers.pc(), recording->at("tick"));
  // Single-stepping `rep movsb` shows each of its 16 iterations; the hits are those of any other
  // pass.
  Notes plain;
  PassSpec unstepped = spec;
  unstepped.step.reset();
  RUN_PASS(again, recording, unstepped, plain);
  EXPECT_EQ(changes(notes.hits), changes(plain.hits));
  std::size_t calls = 0;
  for (std::size_t i = 1; i < window.steps.size(); ++i) {
    // A system call instruction is two bytes long and leaves its number in orig_rax.
    const Registers& before = window.steps[i - 1];
    const Registers& after = window.steps[i];
    if (after.rip == before.rip + 2 && after.orig_rax == before[Gpr::rax]) {
      ++calls;
    }
  }
  EXPECT_EQ(calls, 5U) << "pipe, two writes, two reads";
}

TEST(ForwardReplayE2e, AStepWindowDoesNotStepThroughLongStringInstructions) {
  Recording* recording = record("strings");
  ASSERT_NE(recording, nullptr);
  const Probe slot = write_probe(recording->at("slot"));
  PassSpec spec;
  spec.probes.push_back(slot);
  spec.step.emplace();
  spec.step->begin = hit_mark(execute_probe(recording->at("begin")), 1);
  spec.end = hit_mark(execute_probe(recording->at("end")), 1);
  Notes stepped;
  RUN_PASS(result, recording, spec, stepped);
  ASSERT_TRUE(result->window);
  const StepWindow& window = *result->window;
  EXPECT_FALSE(window.truncated);
  EXPECT_LT(window.steps.size(), 100U) << "225000 iterations";
  EXPECT_EQ(window.steps.front().pc(), recording->at("begin"));
  EXPECT_EQ(window.final_registers.pc(), recording->at("end"));
  // Every hit, and the instructions around, are as without stepping.
  PassSpec plain = spec;
  plain.step.reset();
  Notes unstepped;
  RUN_PASS(again, recording, plain, unstepped);
  EXPECT_EQ(changes(stepped.hits), changes(unstepped.hits));
  EXPECT_EQ(stepped.hits.size(), 1 + 8 + 1U) << "the exec, eight bytes, one word";
  EXPECT_EQ(stepped.end_registers, unstepped.end_registers);
  // Each iteration that hit is in the window.
  for (const Hit& hit : stepped.hits) {
    if (hit.kernel || hit.registers[Gpr::rcx] == 0) continue;
    EXPECT_TRUE(std::any_of(window.steps.begin(), window.steps.end(), [&](const Registers& step) {
      return step.rip == hit.registers.rip && step[Gpr::rcx] == hit.registers[Gpr::rcx];
    }));
  }
  // A window that ends inside the instruction.
  spec.end = hit_mark(slot, 6);
  Notes inside;
  RUN_PASS(ended, recording, spec, inside);
  ASSERT_TRUE(ended->window);
  EXPECT_EQ(ended->window->final_registers, inside.hits.back().registers);
  EXPECT_EQ(ended->window->steps.back().rip, inside.hits.back().registers.rip);
}

/// The entries of inner() and outer() that the store of 7 was made in, and a pass that looks for
/// them.
struct Activations {
  PassSpec spec;
  Hit inner;
  Hit outer;
};

std::optional<Activations> activations(const Recording& recording, const Mark& end) {
  Activations out;
  out.spec.probes = {execute_probe(recording.at("inner")), execute_probe(recording.at("outer"))};
  for (Probe& probe : out.spec.probes) {
    probe.thread = recording.index().first_thread();
    probe.keep_last = 100;
  }
  out.spec.end = end;
  Notes notes;
  const auto result = recording.replay->run(out.spec, notes);
  if (!result.ok() || notes.hits.empty()) return std::nullopt;
  for (const Hit& hit : notes.hits) (hit.probe == 0 ? out.inner : out.outer) = hit;
  ActivationSpec wanted;
  wanted.entries = {{0, out.inner.registers.sp()}, {1, out.outer.registers.sp()}};
  wanted.outer_steps = 2'000;
  out.spec.activation = wanted;
  return out;
}

std::vector<Registers> explicit_window(const Recording& recording, const Activations& wanted,
                                       std::size_t probe) {
  PassSpec spec;
  spec.step.emplace();
  spec.step->begin =
      hit_mark(wanted.spec.probes[probe], (probe == 0 ? wanted.inner : wanted.outer).ordinal);
  spec.end = wanted.spec.end;
  Notes notes;
  const auto result = recording.replay->run(spec, notes);
  return result.ok() && result->window ? result->window->steps : std::vector<Registers>{};
}

TEST(ForwardReplayE2e, TheNewestActivationIsSteppedWithoutKnowingItsOrdinal) {
  Recording* recording = record("activations");
  ASSERT_NE(recording, nullptr);
  Probe store = write_probe(recording->at("slot"));
  store.filter = ValueFilter{7};
  const auto wanted = activations(*recording, hit_mark(store, 1));
  ASSERT_TRUE(wanted);
  EXPECT_EQ(wanted->inner.ordinal, 8U);
  EXPECT_EQ(wanted->outer.ordinal, 4U);

  // With the caller's steps before: the same ones as in a window from the caller's entry.
  Notes notes;
  RUN_PASS(result, recording, wanted->spec, notes);
  EXPECT_TRUE(result->end_reached);
  ASSERT_TRUE(result->window);
  EXPECT_FALSE(result->window->truncated);
  EXPECT_EQ(result->window->final_registers, notes.end_registers);
  const auto from_outer = explicit_window(*recording, *wanted, 1);
  ASSERT_GT(from_outer.size(), 100U);
  EXPECT_EQ(result->window->steps, from_outer);
  EXPECT_EQ(notes.hits.size(), 12U) << "each entry is counted, stepped or not";

  // The caller runs too long before: only the function's own steps.
  PassSpec spec = wanted->spec;
  spec.activation->outer_steps = 100;
  Notes narrow;
  RUN_PASS(second, recording, spec, narrow);
  ASSERT_TRUE(second->window);
  const auto from_inner = explicit_window(*recording, *wanted, 0);
  ASSERT_GT(from_inner.size(), 20U);
  ASSERT_LT(from_inner.size(), from_outer.size());
  EXPECT_EQ(second->window->steps, from_inner);
}

TEST(ForwardReplayE2e, ActivationsThatCannotBeSteppedLeaveTheHits) {
  Recording* recording = record("activations");
  ASSERT_NE(recording, nullptr);
  Probe store = write_probe(recording->at("slot"));
  store.filter = ValueFilter{7};
  const auto wanted = activations(*recording, hit_mark(store, 1));
  ASSERT_TRUE(wanted);
  const auto hits_without_window = [&](auto change) -> std::size_t {
    PassSpec spec = wanted->spec;
    change(spec);
    Notes notes;
    const auto result = recording->replay->run(spec, notes);
    EXPECT_TRUE(result.ok());
    if (!result.ok() || !result->end_reached || result->window) return 0;
    return notes.hits.size();
  };
  // The budget is used up by calls before; the last call alone takes more; there are no such
  // frames; all entries are too early.
  EXPECT_EQ(hits_without_window([](PassSpec& s) { s.activation->budget = 300; }), 12U);
  EXPECT_EQ(hits_without_window([](PassSpec& s) { s.activation->budget = 10; }), 12U);
  EXPECT_EQ(hits_without_window([](PassSpec& s) {
              for (auto& entry : s.activation->entries) entry.sp = entry.sp + 8;
            }),
            12U);
  EXPECT_EQ(hits_without_window([](PassSpec& s) { s.activation->syscalls_from = 1'000'000; }), 12U);
  // Earlier calls spend nothing where they are known to be too early.
  PassSpec late = wanted->spec;
  late.activation->syscalls_from = wanted->inner.position.syscalls;
  late.activation->outer_steps = 0;
  late.activation->budget = 300;
  Notes notes;
  RUN_PASS(result, recording, late, notes);
  EXPECT_TRUE(result->window);
}

TEST(ForwardReplayE2e, AnActivationThatHasReturnedGivesNoWindow) {
  Recording* recording = record("activations");
  ASSERT_NE(recording, nullptr);
  // outer(3) goes on behind its calls of inner(), and stores.
  Probe store = write_probe(recording->at("done"));
  store.filter = ValueFilter{3};
  auto wanted = activations(*recording, hit_mark(store, 1));
  ASSERT_TRUE(wanted);
  Notes notes;
  RUN_PASS(result, recording, wanted->spec, notes);
  EXPECT_TRUE(result->end_reached);
  EXPECT_FALSE(result->window);
  // outer() itself is the innermost that runs.
  wanted->spec.activation->entries.erase(wanted->spec.activation->entries.begin());
  Notes of_outer;
  RUN_PASS(second, recording, wanted->spec, of_outer);
  ASSERT_TRUE(second->window);
  EXPECT_EQ(second->window->steps, explicit_window(*recording, *wanted, 1));
}

TEST(ForwardReplayE2e, APassThatStopsTooOftenIsGivenUp) {
  Recording* recording = record("hot", {"1000"});
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes = {write_probe(recording->at("slot"))};
  spec.probes[0].keep_last = 1;
  spec.stop_budget = 1'000;
  Notes all;
  RUN_PASS(result, recording, spec, all);
  EXPECT_TRUE(result->end_reached);
  EXPECT_GE(result->raw_hits[0], 1'000U) << "all of the loop; the kernel's changes cost no stop";

  const auto given_up = [&](const PassSpec& cheaper) {
    Notes notes;
    const auto refused = recording->replay->run(cheaper, notes);
    return !refused.ok() && refused.error().code == ErrorCode::bad_input && !notes.end &&
           notes.hits.empty();
  };
  spec.stop_budget = 999;
  EXPECT_TRUE(given_up(spec));
  // What a filter drops, or a mark only counts, has stopped the program as well.
  PassSpec filtered = spec;
  filtered.probes[0].filter = ValueFilter{0xffff'ffff};
  EXPECT_TRUE(given_up(filtered));
  PassSpec marked;
  marked.stop_budget = 999;
  marked.end = hit_mark(write_probe(recording->at("slot")), 1'001);  // the first is the exec's
  EXPECT_TRUE(given_up(marked));
  // It ends before it has stopped so often.
  marked.end.ordinal = 500;
  Notes early;
  RUN_PASS(ended, recording, marked, early);
  EXPECT_TRUE(ended->end_reached);
}

TEST(ForwardReplayE2e, AStepWindowKeepsTheNewestSteps) {
  Recording* recording = record("hot", {"1000"});
  ASSERT_NE(recording, nullptr);
  const Probe slot = write_probe(recording->at("slot"));
  PassSpec spec;
  spec.step.emplace();
  spec.step->begin = hit_mark(slot, 11);
  spec.step->max_steps = 50;
  spec.end = hit_mark(slot, 901);
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  ASSERT_TRUE(result->window);
  EXPECT_TRUE(result->window->truncated);
  ASSERT_EQ(result->window->steps.size(), 50U);
  EXPECT_EQ(result->window->final_registers, notes.end_registers);
  // A begin that never comes: no window.
  spec.step->begin = hit_mark(slot, 5'000);
  Notes none;
  RUN_PASS(without, recording, spec, none);
  EXPECT_FALSE(without->window);
  EXPECT_TRUE(without->end_reached);
}

TEST(ForwardReplayE2e, KernelWritesGoToTheThreadThatMadeTheCall) {
  Recording* recording = record("threads");
  ASSERT_NE(recording, nullptr);
  const auto threads = recording->index().threads();
  ASSERT_EQ(threads.size(), 5U);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes.back().thread = threads[2].thread;
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  std::map<std::int32_t, std::vector<std::uint64_t>> by_thread;
  for (const Hit& hit : notes.hits) {
    if (hit.probe == 0) by_thread[hit.position.thread.value].push_back(hit.value_after);
    EXPECT_EQ(hit.position.process, threads[0].process);
  }
  for (std::size_t i = 1; i <= 3; ++i) {
    const std::uint64_t base = 0x1000 * i;
    EXPECT_EQ(by_thread[threads[i].thread.value],
              (std::vector<std::uint64_t>{base, base + 1, base + 2}));
  }
  EXPECT_EQ(result->matches[1], 3U);
  EXPECT_EQ(by_thread[threads[4].thread.value], std::vector<std::uint64_t>{0xbeef});
  ASSERT_TRUE(notes.hits.back().kernel);
  EXPECT_EQ(notes.hits.back().kernel->syscall, static_cast<std::uint64_t>(SYS_read));
  EXPECT_EQ(notes.hits.back().kernel->arguments[1], recording->at("slot").value);
  EXPECT_EQ(notes.hits.back().kernel->result, 8);
}

TEST(ForwardReplayE2e, ReplacedAndVanishedPagesAreHits) {
  Recording* recording = record("remap");
  ASSERT_NE(recording, nullptr);
  const auto processes = recording->index().processes();
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.map_events = true;
  Notes notes;
  RUN_PASS(result, recording, spec, notes);
  struct Expected {
    std::uint64_t after;
    long syscall;
    bool remapped;
    std::size_t process;
  };
  const std::vector<Expected> expected = {
      {0, SYS_mmap, true, 0},  // the page appears
      {0x2002, -1, false, 0},        {0x1001, SYS_mmap, true, 0},
      {0x3003, -1, false, 0},        {0, SYS_mmap, true, 0},
      {0x3033, -1, false, 0},        {0, SYS_madvise, true, 0},
      {0x4004, SYS_mremap, true, 0}, {0x5005, SYS_process_vm_writev, false, 1},
      {0, SYS_munmap, true, 0},  // gone
      {0, SYS_mmap, true, 0},    // and there again
      {0x6006, -1, false, 0},
  };
  // The loader may have had other files mapped there before.
  const auto first_store = std::find_if(notes.hits.begin(), notes.hits.end(),
                                        [](const Hit& hit) { return hit.value_after == 0x2002; });
  ASSERT_NE(first_store, notes.hits.end());
  ASSERT_NE(first_store, notes.hits.begin());
  notes.hits.erase(notes.hits.begin(), first_store - 1);
  ASSERT_EQ(notes.hits.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const Hit& hit = notes.hits[i];
    EXPECT_EQ(hit.value_after, expected[i].after) << i;
    EXPECT_EQ(hit.kernel ? static_cast<long>(hit.kernel->syscall) : -1, expected[i].syscall) << i;
    EXPECT_EQ(hit.kernel && hit.kernel->remapped, expected[i].remapped) << i;
    EXPECT_EQ(hit.position.process, processes[expected[i].process]) << i;
  }
  EXPECT_FALSE(notes.hits[0].before_known);
  EXPECT_FALSE(notes.hits[10].before_known);
  const auto count = [&](long number) {
    return std::count_if(notes.map_events.begin(), notes.map_events.end(),
                         [&](const MapEvent& e) { return static_cast<long>(e.syscall) == number; });
  };
  EXPECT_EQ(count(SYS_mremap), 1);
  EXPECT_EQ(count(SYS_madvise), 1);
  EXPECT_EQ(count(SYS_clone), 1);
  EXPECT_EQ(count(SYS_exit_group), 2);
}

// ------------------------------------------------------------------------------------ the heap

/// The functions of the recorded program's allocator, as it printed them.
HeapSpec heap_spec(const Recording& recording) {
  HeapSpec heap;
  const auto add = [&](HeapRole role, const std::string& name) {
    heap.functions.push_back({role, name, recording.at(name), recording.at(name + "_code").value});
  };
  add(HeapRole::allocate, "malloc");
  add(HeapRole::allocate_array, "calloc");
  add(HeapRole::resize, "realloc");
  add(HeapRole::allocate_into, "memalign");
  add(HeapRole::release, "free");
  return heap;
}

/// A block as the program's own book has it.
struct TrueBlock {
  ByteRange range;
  ThreadId allocated_by;
  std::optional<ThreadId> freed_by;
};

std::vector<TrueBlock> true_blocks(const Recording& recording) {
  std::vector<TrueBlock> blocks;
  for (int i = 0; recording.addresses.contains("start" + std::to_string(i)); ++i) {
    const std::string n = std::to_string(i);
    const auto thread = [&](const std::string& name) {
      return ThreadId{static_cast<std::int32_t>(recording.at(name + n).value)};
    };
    TrueBlock block{{recording.at("start" + n), recording.at("size" + n).value}, thread("by"), {}};
    if (recording.at("freed" + n).value != 0) block.freed_by = thread("freed");
    blocks.push_back(block);
  }
  return blocks;
}

/// Asks for the blocks at some addresses when the pass ends.
struct BookAtEnd : CodeAtEnd {
  std::vector<Address> addresses;
  std::vector<HeapBlocks> books;
  std::uint64_t malloc_code = 0;
  Address malloc_at;
  void on_end(const Position& at, const Registers& registers, const LiveState& live) override {
    CodeAtEnd::on_end(at, registers, live);
    for (const Address address : addresses) {
      auto blocks = live.heap_blocks(address);
      EXPECT_TRUE(blocks.ok()) << blocks.error().message;
      books.push_back(blocks.ok() ? *blocks : HeapBlocks{});
    }
    malloc_code = live.read_u64(malloc_at).value_or(0);
  }
};

TEST(ForwardReplayE2e, TheHeapsBookIsWhatTheProgramDid) {
  Recording* recording = record("heap");
  ASSERT_NE(recording, nullptr);
  const std::vector<TrueBlock> truth = true_blocks(*recording);
  ASSERT_GE(truth.size(), 16U);
  PassSpec spec;
  spec.heap = heap_spec(*recording);
  spec.end = hit_mark(execute_probe(recording->at("finish")), 1);
  BookAtEnd look;
  look.malloc_at = recording->at("malloc");
  for (const TrueBlock& block : truth) look.addresses.push_back(block.range.start);
  RUN_PASS(result, recording, spec, look);
  ASSERT_TRUE(result->end_reached);
  ASSERT_EQ(look.books.size(), truth.size());
  std::uint64_t newest_call = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    SCOPED_TRACE("block " + std::to_string(i) + " at " + to_hex(truth[i].range.start));
    const HeapBlocks& book = look.books[i];
    EXPECT_TRUE(book.complete);
    // The C library's own blocks may have been there as well, but not with the same size.
    const auto& same_thread = truth[i].allocated_by;
    const auto found =
        std::find_if(book.holding.rbegin(), book.holding.rend(), [&](const HeapBlock& block) {
          return block.range == truth[i].range && block.allocated.position.thread == same_thread &&
                 block.allocated.ordinal > newest_call;
        });
    ASSERT_NE(found, book.holding.rend());
    newest_call = found->allocated.ordinal;
    ASSERT_EQ(found->released.has_value(), truth[i].freed_by.has_value());
    if (found->released) {
      EXPECT_EQ(found->released->position.thread, *truth[i].freed_by);
      EXPECT_EQ(found->released->registers[Gpr::rdi], truth[i].range.start.value);
      EXPECT_GT(found->released->ordinal, found->allocated.ordinal);
      EXPECT_GT(found->released->position.sequence, found->allocated.position.sequence);
    }
    for (std::size_t k = 1; k < book.holding.size(); ++k) {
      EXPECT_GT(book.holding[k - 1].allocated.ordinal, book.holding[k].allocated.ordinal);
    }
    // Only a thread that ends gives the free blocks of its cache to free() once more (glibc).
    for (const HeapCall& stray : book.stray) {
      EXPECT_NE(stray.position.thread, truth[0].allocated_by) << "main";
    }
    // A call's stack begins with its return address, in the program's own code.
    ASSERT_GE(found->allocated.stack.size(), 8U);
    std::uint64_t caller = 0;
    std::memcpy(&caller, found->allocated.stack.data(), sizeof caller);
    const std::uint64_t finish = recording->at("finish").value;
    EXPECT_LT(caller > finish ? caller - finish : finish - caller, 0x10000U);
    EXPECT_EQ(found->allocated.registers.pc(),
              spec.heap->functions.at(found->allocated.function).address);
  }
  // Of the two at one address, the second lives and is first.
  EXPECT_EQ(truth[0].range, truth[1].range) << "glibc hands the newest free block out again";
  ASSERT_GE(look.books[0].holding.size(), 2U);
  EXPECT_FALSE(look.books[0].holding[0].released);
  EXPECT_TRUE(look.books[0].holding[1].released);
  // The newest call of the thread that stands at the end.
  ASSERT_TRUE(look.books[0].current);
  EXPECT_EQ(look.books[0].current->registers[Gpr::rdi], 3000U);

  // The breakpoints do not show: neither the functions' nor those at return addresses.
  EXPECT_EQ(look.malloc_code, recording->at("malloc_code").value);
  EXPECT_GT(look.compared, 100'000U);
  EXPECT_TRUE(look.differing.empty());
}

TEST(ForwardReplayE2e, AForkHasABookOfItsOwn) {
  Recording* recording = record("heap");
  ASSERT_NE(recording, nullptr);
  const ThreadId child{static_cast<std::int32_t>(recording->at("child").value)};
  PassSpec spec;
  spec.heap = heap_spec(*recording);
  spec.end = hit_mark(execute_probe(recording->at("child_done")), 1);
  BookAtEnd look;
  look.malloc_at = recording->at("malloc");
  look.addresses = {recording->at("kept"), recording->at("child_large")};
  RUN_PASS(result, recording, spec, look);
  ASSERT_TRUE(result->end_reached);
  ASSERT_TRUE(look.end);
  EXPECT_EQ(look.end->thread, child);
  ASSERT_EQ(look.books.size(), 2U);
  // The block that it had from its parent, freed by the child, and its own at the same address.
  EXPECT_EQ(recording->at("child_small"), recording->at("kept"));
  const auto& small = look.books[0].holding;
  ASSERT_GE(small.size(), 2U);
  EXPECT_EQ(small[0].allocated.position.thread, child);
  EXPECT_FALSE(small[0].released);
  EXPECT_NE(small[1].allocated.position.thread, child);
  ASSERT_TRUE(small[1].released);
  EXPECT_EQ(small[1].released->position.thread, child);
  ASSERT_GE(look.books[1].holding.size(), 1U);
  EXPECT_EQ(look.books[1].holding[0].range.size, 3000U);
  EXPECT_EQ(look.books[1].holding[0].allocated.position.thread, child);
  EXPECT_EQ(look.malloc_code, recording->at("malloc_code").value);
  EXPECT_TRUE(look.differing.empty());

  // The parent's book has none of that.
  spec.end = hit_mark(execute_probe(recording->at("finish")), 1);
  BookAtEnd parent;
  parent.addresses = {recording->at("kept"), recording->at("last")};
  RUN_PASS(again, recording, spec, parent);
  ASSERT_EQ(parent.books.size(), 2U);
  ASSERT_GE(parent.books[0].holding.size(), 2U);
  EXPECT_FALSE(parent.books[0].holding[0].released);
  EXPECT_NE(parent.books[0].holding[0].allocated.position.thread, child);
  for (const HeapBlocks& book : parent.books) {
    for (const HeapBlock& block : book.holding) {
      EXPECT_NE(block.allocated.position.thread, child);
      EXPECT_TRUE(!block.released || block.released->position.thread != child);
    }
  }
}

TEST(ForwardReplayE2e, TheHeapsBookChangesNothingElse) {
  Recording* recording = record("heap");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes.push_back(execute_probe(recording->at("free")));
  spec.end = hit_mark(execute_probe(recording->at("finish")), 1);
  Notes plain;
  RUN_PASS(without, recording, spec, plain);
  spec.heap = heap_spec(*recording);
  Notes booked;
  RUN_PASS(with, recording, spec, booked);
  ASSERT_TRUE(without->end_reached);
  ASSERT_TRUE(with->end_reached);
  EXPECT_EQ(with->matches, without->matches);
  EXPECT_EQ(with->raw_hits, without->raw_hits);
  ASSERT_TRUE(plain.end && booked.end);
  EXPECT_EQ(booked.end->thread, plain.end->thread);
  EXPECT_EQ(booked.end->syscalls, plain.end->syscalls);
  EXPECT_EQ(booked.end_registers, plain.end_registers);
  ASSERT_EQ(booked.hits.size(), plain.hits.size());
  for (std::size_t i = 0; i < plain.hits.size(); ++i) {
    EXPECT_EQ(booked.hits[i].probe, plain.hits[i].probe) << "hit " << i;
    EXPECT_EQ(booked.hits[i].registers, plain.hits[i].registers) << "hit " << i;
    EXPECT_EQ(booked.hits[i].value_before, plain.hits[i].value_before) << "hit " << i;
    EXPECT_EQ(booked.hits[i].value_after, plain.hits[i].value_after) << "hit " << i;
  }
}

TEST(ForwardReplayE2e, AStoreIntoAFreedBlockComesAfterItsRelease) {
  Recording* recording = record("heap");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes.back().live = true;
  spec.heap = heap_spec(*recording);
  spec.end = hit_mark(execute_probe(recording->at("finish")), 1);
  struct Look : Notes {
    Address slot;
    std::optional<HeapBlocks> alive, stale, at_end;
    Next on_hit(const Hit& hit, const LiveState* live) override {
      auto blocks = live != nullptr ? live->heap_blocks(slot) : Error{};
      if (blocks.ok() && hit.value_after == 0x1111) alive = *blocks;
      if (blocks.ok() && hit.value_after == 0x2222) stale = *blocks;
      return Notes::on_hit(hit, live);
    }
    void on_end(const Position& at, const Registers& registers, const LiveState& live) override {
      Notes::on_end(at, registers, live);
      if (auto blocks = live.heap_blocks(slot); blocks.ok()) at_end = *blocks;
    }
  } look;
  look.slot = recording->at("slot");
  RUN_PASS(result, recording, spec, look);
  ASSERT_TRUE(look.alive && look.stale && look.at_end);
  ASSERT_FALSE(look.alive->holding.empty());
  EXPECT_EQ(look.alive->holding[0].range.size, 800U);
  EXPECT_FALSE(look.alive->holding[0].released) << "at the first store";
  ASSERT_FALSE(look.stale->holding.empty());
  ASSERT_TRUE(look.stale->holding[0].released) << "at the second one";
  EXPECT_EQ(look.stale->holding[0].allocated.ordinal, look.alive->holding[0].allocated.ordinal);
  const auto stored = [&](std::uint64_t value) {
    const auto hit = std::find_if(look.hits.begin(), look.hits.end(),
                                  [&](const Hit& h) { return h.value_after == value; });
    return hit != look.hits.end() ? hit->position.sequence : 0;
  };
  const HeapBlock& block = look.stale->holding[0];
  EXPECT_LT(block.allocated.position.sequence, stored(0x1111));
  EXPECT_LT(stored(0x1111), block.released->position.sequence);
  EXPECT_LT(block.released->position.sequence, stored(0x2222));
}

TEST(ForwardReplayE2e, ABookOfTooManyCallsIsGivenUp) {
  Recording* recording = record("heap");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.heap = heap_spec(*recording);
  spec.heap->max_calls = 5;
  spec.end = hit_mark(execute_probe(recording->at("finish")), 1);
  BookAtEnd look;
  look.malloc_at = recording->at("malloc");
  look.addresses = {recording->at("last")};
  RUN_PASS(result, recording, spec, look);
  ASSERT_TRUE(result->end_reached);
  ASSERT_EQ(look.books.size(), 1U);
  EXPECT_FALSE(look.books[0].complete);
  EXPECT_TRUE(look.differing.empty()) << "the breakpoints are gone";
  EXPECT_EQ(look.malloc_code, recording->at("malloc_code").value);
}

TEST(ForwardReplayE2e, CrashMarksStopAtTheFailure) {
  Recording* fault = record("fault");
  ASSERT_NE(fault, nullptr);
  auto candidates = fault->index().crash_candidates();
  ASSERT_EQ(candidates.size(), 1U);
  EXPECT_EQ(candidates[0].signal, SIGSEGV);
  EXPECT_TRUE(candidates[0].deterministic);
  PassSpec spec;
  spec.end = candidates[0].mark;
  Notes notes;
  RUN_PASS(result, fault, spec, notes);
  ASSERT_TRUE(notes.end);
  EXPECT_EQ(notes.end_registers.pc(), fault->at("crash_here"));
  EXPECT_EQ(notes.end_registers[Gpr::rdi], 0x20U) << "the fatal fault, not the handled one";

  // Any fatal signal, from the start: the handled one comes first.
  const ThreadId main_thread = fault->index().first_thread();
  for (const Frame& frame : fault->index().frames()) {
    if (frame.kind != FrameKind::signal) continue;
    spec.end = Mark{};
    spec.end.kind = Mark::Kind::signal_stop;
    spec.end.thread = main_thread;
    spec.end.ordinal = fault->index().syscalls_until(main_thread, frame.event);
    Notes handled;
    RUN_PASS(first, fault, spec, handled);
    EXPECT_EQ(handled.end_registers[Gpr::rdi], 0x10U);
    break;
  }

  Recording* aborted = record("stores");
  ASSERT_NE(aborted, nullptr);
  candidates = aborted->index().crash_candidates();
  ASSERT_EQ(candidates.size(), 1U);
  EXPECT_EQ(candidates[0].signal, SIGABRT);
  EXPECT_FALSE(candidates[0].deterministic);
  for (const auto kind : {Mark::Kind::syscall_exit, Mark::Kind::signal_stop}) {
    PassSpec abort_spec;
    abort_spec.end = candidates[0].mark;
    EXPECT_EQ(abort_spec.end.kind, Mark::Kind::syscall_exit);
    abort_spec.end.kind = kind;
    struct Look : Notes {
      std::uint64_t slot_value = 0;
      Address slot;
      void on_end(const Position& at, const Registers& registers, const LiveState& live) override {
        Notes::on_end(at, registers, live);
        slot_value = live.read_u64(slot).value_or(0);
      }
    } at_abort;
    at_abort.slot = aborted->at("slot");
    RUN_PASS(stopped, aborted, abort_spec, at_abort);
    ASSERT_TRUE(at_abort.end);
    EXPECT_EQ(at_abort.end_registers.orig_rax, static_cast<std::uint64_t>(SYS_tgkill));
    EXPECT_EQ(at_abort.end_registers[Gpr::rax], 0U);
    EXPECT_EQ(at_abort.end_registers[Gpr::rdx], static_cast<std::uint64_t>(SIGABRT));
    EXPECT_EQ(at_abort.slot_value, 0xaaaaU);
  }

  Recording* exited = record("threads");
  ASSERT_NE(exited, nullptr);
  candidates = exited->index().crash_candidates();
  ASSERT_EQ(candidates.size(), 1U);
  EXPECT_EQ(candidates[0].exit_code, 3);
  PassSpec exit_spec;
  exit_spec.end = candidates[0].mark;
  Notes at_exit;
  RUN_PASS(exit_result, exited, exit_spec, at_exit);
  ASSERT_TRUE(at_exit.end);
  EXPECT_EQ(at_exit.end_registers[Gpr::rax], static_cast<std::uint64_t>(SYS_exit_group));
  EXPECT_EQ(at_exit.end_registers[Gpr::rdi], 3U);
}

TEST(ForwardReplayE2e, SystemCallOrdinalsNameTheSameCallsAsTheIndex) {
  for (const char* program : {"stores", "threads", "fault"}) {
    Recording* recording = record(program);
    ASSERT_NE(recording, nullptr);
    const TraceIndex& index = recording->index();
    for (const TraceThread& thread : index.threads()) {
      // The first, the last, and some in between, of each thread.
      for (const std::uint64_t ordinal :
           {std::uint64_t{1}, thread.syscalls / 3, thread.syscalls / 2, thread.syscalls}) {
        if (ordinal == 0 || ordinal > thread.syscalls) continue;
        const Frame* entry = index.frame(index.event_of_syscall_entry(thread.thread, ordinal));
        ASSERT_NE(entry, nullptr);
        PassSpec spec;
        spec.end.kind = Mark::Kind::syscall_entry;
        spec.end.thread = thread.thread;
        spec.end.ordinal = ordinal;
        Notes notes;
        RUN_PASS(result, recording, spec, notes);
        ASSERT_TRUE(notes.end) << program << " " << thread.thread.value << " " << ordinal;
        EXPECT_EQ(notes.end_registers.orig_rax, static_cast<std::uint64_t>(entry->number));
        EXPECT_EQ(notes.end->thread, thread.thread);
        EXPECT_EQ(notes.end->syscalls, ordinal);
        EXPECT_EQ(index.event_of(*notes.end), entry->event);

        const Frame* exit = index.frame(index.event_of_syscall_exit(thread.thread, ordinal));
        if (exit == nullptr || entry->number == SYS_execve) continue;
        spec.end.kind = Mark::Kind::syscall_exit;
        Notes returned;
        RUN_PASS(after, recording, spec, returned);
        ASSERT_TRUE(returned.end);
        EXPECT_EQ(static_cast<std::int64_t>(returned.end_registers[Gpr::rax]),
                  index.registers_of(*exit)->result);
      }
    }
  }
}

TEST(ForwardReplayE2e, TheObserverCanStopThePass) {
  Recording* recording = record("hot", {"3000"});
  ASSERT_NE(recording, nullptr);
  for (const bool live : {false, true}) {
    struct Stop : Notes {
      Next on_hit(const Hit& hit, const LiveState* state) override {
        Notes::on_hit(hit, state);
        return hits.size() == 5 ? Next::stop_pass : Next::go_on;
      }
    } stop;
    PassSpec spec;
    spec.probes.push_back(write_probe(recording->at("slot")));
    spec.probes[0].live = live;
    RUN_PASS(result, recording, spec, stop);
    EXPECT_TRUE(result->end_reached);
    EXPECT_EQ(stop.hits.size(), 5U) << "nothing after stop_pass";
    EXPECT_FALSE(stop.end);
    EXPECT_TRUE(processes_of(*recording).empty());
  }
}

TEST(ForwardReplayE2e, AtTheDeadlineNothingIsLeftBehind) {
  Recording* recording = record("hot", {"3000000"});
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.probes[0].filter = ValueFilter{~0UL};  // each of three million stores traps, none is told
  spec.deadline = std::chrono::milliseconds{700};
  Notes notes;
  const auto start = std::chrono::steady_clock::now();
  const auto result = recording->replay->run(spec, notes);
  const auto elapsed = std::chrono::steady_clock::now() - start;
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::timeout);
  EXPECT_LT(elapsed, std::chrono::seconds(5));
  EXPECT_TRUE(processes_of(*recording).empty());
  // An observer that dallies in a live stop does not keep the pass alive either.
  struct Slow : PassObserver {
    Next on_hit(const Hit&, const LiveState* live) override {
      std::this_thread::sleep_for(std::chrono::milliseconds(800));
      EXPECT_FALSE(live->maps().ok());
      return Next::go_on;
    }
  } slow;
  spec.probes[0].filter.reset();
  spec.probes[0].live = true;
  const auto late = recording->replay->run(spec, slow);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::timeout);
  EXPECT_TRUE(processes_of(*recording).empty());
}

TEST(ForwardReplayE2e, PassesRunInParallel) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  std::vector<Notes> notes(4);
  std::vector<std::thread> threads;
  std::vector<std::string> errors(notes.size());
  for (std::size_t i = 0; i < notes.size(); ++i) {
    threads.emplace_back([&, i] {
      const auto result = recording->replay->run(spec, notes[i]);
      if (!result.ok()) errors[i] = result.error().message;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < notes.size(); ++i) {
    EXPECT_EQ(errors[i], "");
    EXPECT_EQ(changes(notes[i].hits), changes(notes[0].hits));
    EXPECT_EQ(notes[i].hits.size(), 21U);
  }
}

TEST(ForwardReplayE2e, RefusesWhatCannotBeDone) {
  Recording* recording = record("hot", {"1000"});
  ASSERT_NE(recording, nullptr);
  Notes notes;
  PassSpec spec;
  for (int i = 0; i < 3; ++i) spec.probes.push_back(write_probe(recording->at("slot") + 8 * i));
  spec.probes.push_back(write_probe(recording->at("slot") + 36));  // two units
  auto result = recording->replay->run(spec, notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::usage);

  ForwardOptions options;
  options.trace_dir = recording->trace;
  options.command.agent = CULPRIT_TEST_AGENT;
  options.max_hits = 10;
  auto limited = ForwardReplay::open(options);
  ASSERT_TRUE(limited.ok());
  spec.probes.resize(1);
  result = (*limited)->run(spec, notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::bad_input);
  EXPECT_TRUE(processes_of(*recording).empty());

  options.trace_dir = "/nonexistent/trace";
  EXPECT_EQ(ForwardReplay::open(options).error().code, ErrorCode::not_found);
  options.trace_dir = recording->trace;
  options.command.agent = "/nonexistent/agent.so";
  EXPECT_EQ(ForwardReplay::open(options).error().code, ErrorCode::not_found);
}

TEST(ForwardReplayE2e, ADamagedTraceIsAReplayFailure) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  auto directory = TemporaryDirectory::create("culprit-replay-damaged");
  ASSERT_TRUE(directory.ok());
  const auto copy = directory->path() / "trace";
  std::filesystem::copy(recording->trace, copy);
  // The index is read while the trace is whole; the replay then finds its events cut short.
  ForwardOptions options;
  options.trace_dir = copy;
  options.command.agent = CULPRIT_TEST_AGENT;
  auto replay = ForwardReplay::open(options);
  ASSERT_TRUE(replay.ok()) << replay.error().message;
  std::filesystem::permissions(copy / "events", std::filesystem::perms::owner_all);
  std::filesystem::resize_file(copy / "events", std::filesystem::file_size(copy / "events") / 2);
  Notes notes;
  const auto result = (*replay)->run(PassSpec{}, notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::replay_failed);
  EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  EXPECT_GT(result.error().message.size(), 25U) << result.error().message;
  // And an index of it cannot be made.
  const auto index = ForwardReplay::open(options);
  if (!index.ok()) {
    EXPECT_EQ(index.error().code, ErrorCode::replay_failed);
  }
}

// With real ticks rr single-steps the program by itself. A probe that is hit by such a step must be
// reported, and rr must get its step. `rr replay -t` makes it do that without ticks.
TEST(ForwardReplayE2e, RrsOwnStepsAreLeftToIt) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  Notes all;
  RUN_PASS(plain, recording, spec, all);
  ASSERT_GE(all.hits.size(), 12U);
  // The twelve stores after the exec are made without a system call between them.
  spec.end = hit_mark(spec.probes[0], 12);
  const EventNumber first = recording->index().event_of(all.hits[1].position);
  ASSERT_TRUE(first);
  const auto rr = find_program("rr");
  ASSERT_TRUE(rr.has_value());
  ::setenv("RR_THAT_STEPS", rr->c_str(), 1);
  ::setenv("RR_STEPS_FROM", std::to_string(first.value).c_str(), 1);
  ForwardOptions options;
  options.trace_dir = recording->trace;
  options.command.rr = std::string(CULPRIT_TEST_PROGRAMS) + "/replay_rr_that_steps";
  options.command.agent = CULPRIT_TEST_AGENT;
  auto stepping = ForwardReplay::open(options);
  ASSERT_TRUE(stepping.ok()) << stepping.error().message;
  for (const bool window : {false, true}) {
    if (window) spec.step = StepSpec{hit_mark(spec.probes[0], 5), 100'000};
    Notes notes;
    const auto result = (*stepping)->run(spec, notes);
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_TRUE(result->end_reached);
    ASSERT_EQ(notes.hits.size(), 12U);
    for (std::size_t i = 0; i < notes.hits.size(); ++i) {
      EXPECT_EQ(notes.hits[i].registers.rip, all.hits[i].registers.rip) << "hit " << i;
      EXPECT_EQ(notes.hits[i].value_before, all.hits[i].value_before) << "hit " << i;
      EXPECT_EQ(notes.hits[i].value_after, all.hits[i].value_after) << "hit " << i;
    }
    EXPECT_EQ(result->window.has_value(), window);
  }
}

// This machine's counters, or none, against a trace whose ticks are all 0.
TEST(ForwardReplayE2e, HardwareTicksDoNotFitASoftwareTrace) {
  Recording* recording = record("stores");
  ASSERT_NE(recording, nullptr);
  ForwardOptions options;
  options.trace_dir = recording->trace;
  options.command.agent = CULPRIT_TEST_AGENT;
  options.command.software_ticks = false;
  auto hardware = ForwardReplay::open(options);
  ASSERT_TRUE(hardware.ok()) << hardware.error().message;
  EXPECT_EQ((*hardware)->engine_name(), "hardware-ticks/forward");
  PassSpec spec;
  spec.probes.push_back(write_probe(recording->at("slot")));
  spec.deadline = std::chrono::seconds(30);
  Notes notes;
  const auto started = std::chrono::steady_clock::now();
  const auto result = (*hardware)->run(spec, notes);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::replay_failed) << result.error().message;
  EXPECT_NE(result.error().message, "");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(20));
  EXPECT_TRUE(processes_of(*recording).empty());
}

}  // namespace
}  // namespace culprit::replay
