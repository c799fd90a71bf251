#include "replay/pass_specification.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

namespace culprit::replay {
namespace {

namespace wire = agent::wire;

constexpr char kTrace[] =
    "{\n"
    "  real_time:1.0 global_time:1, event:`SYSCALL: read' (state:ENTERING_SYSCALL) tid:10, "
    "ticks:0\n"
    "rax:0xffffffffffffffda rdx:0x8 rsi:0x5000 rdi:0x3 r8:0x0 r9:0x0 r10:0x0 rip:0x1 orig_rax:0x0\n"
    "}\n{\n"
    "  real_time:1.1 global_time:2, event:`SYSCALL: read' (state:EXITING_SYSCALL) tid:10, ticks:0\n"
    "rax:0x8 rdx:0x8 rsi:0x5000 rdi:0x3 r8:0x0 r9:0x0 r10:0x0 rip:0x1 orig_rax:0x0\n"
    "  { tid:10, addr:0x5000, length:0x8 }\n"
    "}\n{\n"
    "  real_time:1.2 global_time:3, event:`SYSCALL: clone' (state:ENTERING_SYSCALL) tid:10, "
    "ticks:0\n"
    "rax:0xffffffffffffffda rdx:0x0 rsi:0x0 rdi:0x0 r8:0x0 r9:0x0 r10:0x0 rip:0x1 orig_rax:0x38\n"
    "  TraceTaskEvent::CLONE tid=11 parent=10 clone_flags=0x3d0f00\n"
    "}\n";

TraceIndex sample_index() {
  TraceIndexParser parser;
  EXPECT_TRUE(parser.feed(kTrace).ok());
  auto index = parser.finish();
  EXPECT_TRUE(index.ok());
  return std::move(*index);
}

Probe write_probe(std::uint64_t address, std::uint8_t size) {
  Probe probe;
  probe.address = Address{address};
  probe.size = size;
  return probe;
}

TEST(PassSpecification, CoversAnyRangeWithOneOrTwoUnits) {
  const TraceIndex index = sample_index();
  for (std::uint64_t offset = 0; offset < 8; ++offset) {
    for (std::uint8_t size = 1; size <= 8; ++size) {
      PassSpec pass;
      pass.probes = {write_probe(0x7000 + offset, size)};
      const auto orders = make_orders(pass, index, 0);
      ASSERT_TRUE(orders.ok());
      const auto& units = orders->spec.units;
      ASSERT_LE(units.size(), 2U);
      // One unit if the range is naturally aligned.
      if ((size & (size - 1)) == 0 && offset % size == 0) {
        EXPECT_EQ(units.size(), 1U);
      }
      for (std::uint64_t byte = 0x7000 + offset; byte < 0x7000 + offset + size; ++byte) {
        int covering = 0;
        for (const wire::Unit& unit : units) {
          EXPECT_EQ(unit.address % unit.length, 0U);
          covering += byte >= unit.address && byte < unit.address + unit.length;
        }
        EXPECT_EQ(covering, 1) << offset << "+" << int(size);
      }
      EXPECT_EQ(orders->spec.probes[0].units, (1U << units.size()) - 1);
    }
  }
}

TEST(PassSpecification, ProbesAtOnePlaceShareARegister) {
  const TraceIndex index = sample_index();
  PassSpec pass;
  for (int i = 0; i < 6; ++i) {
    pass.probes.push_back(write_probe(0x7000, 8));
    pass.probes.back().thread = ThreadId{i};
  }
  auto orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok());
  EXPECT_EQ(orders->spec.units.size(), 1U);
  pass.probes.push_back(write_probe(0x7101, 8));
  pass.probes.push_back(write_probe(0x7200, 4));
  ASSERT_TRUE(make_orders(pass, index, 0).ok());
  pass.probes.push_back(write_probe(0x7300, 1));
  orders = make_orders(pass, index, 0);
  ASSERT_FALSE(orders.ok());
  EXPECT_EQ(orders.error().code, ErrorCode::usage);
}

TEST(PassSpecification, MarksUseAnEqualProbeOrAddASilentOne) {
  const TraceIndex index = sample_index();
  PassSpec pass;
  pass.probes = {write_probe(0x7000, 8)};
  pass.probes[0].filter = ValueFilter{5};
  pass.probes[0].live = true;
  pass.end.kind = Mark::Kind::probe_hit;
  pass.end.ordinal = 3;
  pass.end.probe = pass.probes[0];
  pass.end.probe.live = false;  // does not change what counts
  auto orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok());
  EXPECT_EQ(orders->spec.probes.size(), 1U);
  EXPECT_EQ(orders->spec.end.probe, 0U);
  pass.end.probe.filter = ValueFilter{6};
  orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok());
  ASSERT_EQ(orders->spec.probes.size(), 2U);
  EXPECT_EQ(orders->spec.end.probe, 1U);
  EXPECT_FALSE(orders->spec.probes[1].report);
  EXPECT_EQ(orders->spec.units.size(), 1U);
  pass.end.ordinal = 0;
  EXPECT_FALSE(make_orders(pass, index, 0).ok());
}

TEST(PassSpecification, RefusesAddressesThatCannotBeWatched) {
  const TraceIndex index = sample_index();
  for (const std::uint64_t address : {std::uint64_t{0}, std::uint64_t{0x7ffffffffffc},
                                      std::uint64_t{0xffff888000000000}, ~std::uint64_t{0}}) {
    PassSpec pass;
    pass.probes = {write_probe(address, 8)};
    const auto orders = make_orders(pass, index, 0);
    ASSERT_FALSE(orders.ok()) << address;
    EXPECT_EQ(orders.error().code, ErrorCode::usage);
  }
  PassSpec pass;
  pass.probes = {write_probe(0x7000, 9)};
  EXPECT_FALSE(make_orders(pass, index, 0).ok());
  pass.probes = {write_probe(0x7000, 8)};
  pass.step.emplace();
  EXPECT_FALSE(make_orders(pass, index, 0).ok()) << "a window cannot begin at the end";
}

TEST(PassSpecification, SendsTheKernelWritesAndTasksOfTheTrace) {
  const TraceIndex index = sample_index();
  PassSpec pass;
  pass.probes = {write_probe(0x4ffc, 4), write_probe(0x5004, 4)};
  pass.end.kind = Mark::Kind::syscall_exit;
  pass.end.thread = ThreadId{10};
  pass.end.ordinal = 1;
  const auto orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok());
  EXPECT_EQ(orders->spec.first_thread, 10);
  EXPECT_EQ(orders->spec.end.recorded_result, 8);
  ASSERT_EQ(orders->kernel_writes.size(), 1U);
  EXPECT_EQ(orders->kernel_writes[0].probes, 2U);
  EXPECT_EQ(orders->kernel_writes[0].thread, 10);
  EXPECT_EQ(orders->kernel_writes[0].ordinal, 1U);
  EXPECT_EQ(orders->kernel_writes[0].number, SYS_read);
  ASSERT_EQ(orders->clones.size(), 1U);
  EXPECT_EQ(orders->clones[0].child, 11);
  EXPECT_TRUE(orders->clones[0].same_process);
}

TEST(PassSpecification, SendsTheAllocatorsFunctions) {
  const TraceIndex index = sample_index();
  PassSpec pass;
  auto orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok());
  EXPECT_FALSE(orders->spec.heap) << "nobody asked for the book";
  pass.heap.emplace();
  pass.heap->max_calls = 77;
  // Each role is the same one on the wire.
  const std::vector<std::pair<HeapRole, wire::HeapRole>> roles = {
      {HeapRole::allocate, wire::HeapRole::allocate},
      {HeapRole::allocate_array, wire::HeapRole::allocate_array},
      {HeapRole::resize, wire::HeapRole::resize},
      {HeapRole::resize_array, wire::HeapRole::resize_array},
      {HeapRole::allocate_aligned, wire::HeapRole::allocate_aligned},
      {HeapRole::allocate_into, wire::HeapRole::allocate_into},
      {HeapRole::release, wire::HeapRole::release}};
  for (const auto& [role, on_the_wire] : roles) {
    pass.heap->functions.push_back({role, "f", Address{0x401000 + pass.heap->functions.size()}, 9});
  }
  orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok());
  ASSERT_TRUE(orders->spec.heap);
  EXPECT_EQ(orders->spec.heap->max_calls, 77U);
  ASSERT_EQ(orders->spec.heap->functions.size(), roles.size());
  for (std::size_t i = 0; i < roles.size(); ++i) {
    EXPECT_EQ(orders->spec.heap->functions[i].role, roles[i].second);
    EXPECT_EQ(orders->spec.heap->functions[i].address, 0x401000 + i);
    EXPECT_EQ(orders->spec.heap->functions[i].code, 9U);
  }
  EXPECT_TRUE(orders->spec.units.empty()) << "they take no debug registers";
}

TEST(PassSpecification, RefusesABookThatCannotBeKept) {
  const TraceIndex index = sample_index();
  PassSpec pass;
  pass.heap.emplace();
  pass.heap->functions.resize(wire::kMaxHeapFunctions);
  EXPECT_TRUE(make_orders(pass, index, 0).ok());
  pass.heap->functions.resize(wire::kMaxHeapFunctions + 1);
  auto orders = make_orders(pass, index, 0);
  ASSERT_FALSE(orders.ok());
  EXPECT_EQ(orders.error().code, ErrorCode::usage);

  pass.heap->functions.resize(1);
  pass.step.emplace();
  pass.step->begin.kind = Mark::Kind::syscall_entry;
  pass.step->begin.ordinal = 1;
  orders = make_orders(pass, index, 0);
  ASSERT_FALSE(orders.ok()) << "not together with a step window";
  EXPECT_EQ(orders.error().code, ErrorCode::usage);
  pass.heap.reset();
  EXPECT_TRUE(make_orders(pass, index, 0).ok()) << "the window alone is fine";
}

TEST(PassSpecification, SendsTheActivationsThatAreToBeStepped) {
  const TraceIndex index = sample_index();
  PassSpec pass;
  for (const std::uint64_t address : {0x401000u, 0x402000u}) {
    Probe probe;
    probe.kind = ProbeKind::execute;
    probe.address = Address{address};
    probe.thread = ThreadId{10};
    pass.probes.push_back(probe);
  }
  pass.activation = ActivationSpec{{{1, Address{0x7ffe0000}}, {0, Address{0x7ffe0040}}}, 3, 4, 500};
  const auto orders = make_orders(pass, index, 0);
  ASSERT_TRUE(orders.ok()) << orders.error().message;
  ASSERT_TRUE(orders->spec.activation);
  const wire::ActivationSpec& sent = *orders->spec.activation;
  ASSERT_EQ(sent.entries.size(), 2U);
  EXPECT_EQ(sent.entries[0].probe, 1U);
  EXPECT_EQ(sent.entries[0].sp, 0x7ffe0000U);
  EXPECT_EQ(sent.entries[1].probe, 0U);
  EXPECT_EQ(sent.syscalls_from, 3U);
  EXPECT_EQ(sent.outer_steps, 4U);
  EXPECT_EQ(sent.budget, 500U);
  EXPECT_EQ(orders->spec.max_steps, 500U) << "all of it is kept";

  const auto refused = [&](auto change) {
    PassSpec other = pass;
    change(other);
    const auto made = make_orders(other, index, 0);
    return !made.ok() && made.error().code == ErrorCode::usage;
  };
  EXPECT_TRUE(refused([](PassSpec& p) { p.activation->entries.clear(); }));
  EXPECT_TRUE(refused([](PassSpec& p) { p.activation->entries.resize(5); }));
  EXPECT_TRUE(refused([](PassSpec& p) { p.activation->entries[0].probe = 2; }));
  EXPECT_TRUE(refused([](PassSpec& p) { p.activation->budget = 0; }));
  EXPECT_TRUE(refused([](PassSpec& p) { p.probes[0].thread.reset(); }));
  EXPECT_TRUE(refused([](PassSpec& p) { p.probes[0].kind = ProbeKind::write; }));
  EXPECT_TRUE(refused([](PassSpec& p) { p.heap.emplace(); }));
  EXPECT_TRUE(refused([](PassSpec& p) {
    p.step.emplace().begin.kind = Mark::Kind::syscall_entry;
    p.step->begin.ordinal = 1;
  }));
}

}  // namespace
}  // namespace culprit::replay
