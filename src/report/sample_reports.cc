#include "report/sample_reports.h"

#include <algorithm>
#include <iterator>
#include <string>

namespace culprit::report {
namespace {

Position position(std::int64_t event) {
  Position p;
  p.event = EventNumber{event};
  p.thread = ThreadId{4711};
  p.thread_name = "worker";
  p.process = ProcessId{4710};
  p.syscalls = 12;
  p.ticks = 987654321;
  p.probe = Position::Probe{"write", Address{0x7ffd1000}, 8, 0xc000100000, 3};
  return p;
}

Frame frame() {
  Frame f;
  f.function = "_Z5storeP4node";
  f.demangled = "store(node*)";
  f.file = "/home/dev/src/store.cc";
  f.line = 31;
  f.column = 7;
  f.module = "/home/dev/build/server";
  f.module_offset = 0x1234;
  f.pc = Address{0x401234};
  f.frame_address = Address{0x7ffd2000};
  f.inlined = true;
  f.stack = StackKind::goroutine;
  f.goroutine = 18;
  return f;
}

LifeEvent event(const char* what, std::int64_t number) {
  return LifeEvent{position(number), what, {frame()}};
}

Location location() {
  Location l;
  l.address = Address{0x7ffd1000};
  l.size = 8;
  l.region = RegionKind::stack;
  l.description = "stack of thread 4711";
  l.mapping = ByteRange{Address{0x7ffd0000}, 0x21000};
  l.mapping_path = "[stack]";
  Owner o;
  o.variable = "c_schema";
  o.member = "format";
  o.type = "struct ArrowSchema";
  o.member_type = "const char *";
  o.declared_file = "/home/dev/src/import.c";
  o.declared_line = 15;
  o.function = "cache_schema";
  o.module = "/home/dev/build/server";
  o.frame_offset = -112;
  o.frame = Address{0x7ffd1070};
  o.object = Address{0x7ffd1000};
  o.object_size = 72;
  o.offset = 8;
  o.allocator = "malloc";
  o.life.born = event("frame entered", 90);
  o.life.died = event("frame left", 95);
  o.life.alive_at_write = false;
  l.owner = o;
  RegionPeriod period;
  period.kind = RegionKind::heap;
  period.range = ByteRange{Address{0x7ffd0000}, 0x1000};
  period.description = "heap block";
  period.from = event("malloc", 10);
  period.to = event("free", 20);
  l.history = {period};
  return l;
}

Source source() {
  Source s;
  s.kind = SourceKind::memory;
  s.address = Address{0xc000001000};
  s.size = 8;
  s.value = 0xc000100000;
  s.register_name = "rcx";
  s.pc = Address{0x401230};
  s.instruction = "mov rcx, qword ptr [rax]";
  s.description = "gp.stack.lo";
  s.followed = true;
  return s;
}

Hop hop() {
  Hop h;
  h.kind = HopKind::runtime_store;
  h.summary = "the write barrier recorded the old value";
  h.position = position(100);
  h.writer.function = "runtime.gcWriteBarrier";
  h.writer.demangled = "runtime.gcWriteBarrier()";
  h.writer.file = "/usr/lib/go/src/runtime/asm_amd64.s";
  h.writer.line = 1651;
  h.writer.column = 1;
  h.writer.module = "/home/dev/build/server";
  h.writer.build_id = "deadbeef";
  h.writer.module_offset = 0x57b63;
  h.writer.pc = Address{0x457b63};
  h.writer.instruction = "mov qword ptr [r12-8], r13";
  h.writer.inlined_in = {frame()};
  h.writer.source_line = "MOVQ\tR13, -8(R12)";
  h.writer.excerpt = {{1650, "MOVQ (DI), R13"}, {1651, "MOVQ R13, -8(R12)"}};
  h.location = location();
  h.bytes = ValueBytes{4, 4};
  h.value_before = 0;
  h.value_after = 0xc000100000;
  h.source = source();
  h.inputs = {source()};
  h.syscall = Syscall{0, "read", {3, 0x7ffd1000, 8}, -14, 3, "/home/dev/input", 4096};
  h.backtrace = {frame()};
  h.confidence = Confidence::proved;
  h.note = "bytes before and after agree\nwith the instruction";
  h.revisit = Revisit{EventNumber{100}, "culprit open report.json --hop 0", {"tbreak *0x457b63"}};
  return h;
}

// What one hop of long_report() is about. Told from the origin to the crash.
struct Step {
  HopKind kind;
  const char* function;
  const char* file;
  std::uint32_t line;
  const char* code;
  const char* instruction;
  RegionKind region;
  const char* variable;
  const char* member;
  const char* type;
  std::uint64_t address;
  int thread;
};

// A parser gets a length from a pipe, a bad pointer is computed from it, and goes through a queue
// to a worker. The middle part repeats: records are handed from one buffer to the next.
constexpr Step kBeginning[] = {
    {HopKind::channel, "feeder::send", "src/feeder.cc", 41, "write(out, &record, sizeof record);",
     "syscall", RegionKind::stack, "record", "offset", "feeder::Record", 0x7ffd44a01e30, 2},
    {HopKind::kernel_write, "Input::fill", "src/input.cc", 88,
     "ssize_t n = read(fd_, buffer_, size);", "syscall", RegionKind::heap, "", "", "",
     0x55d01c2a4018, 0},
    {HopKind::arithmetic, "Record::field", "src/record.h", 63, "return base_ + header().offset;",
     "lea rax, [rdi+rdx]", RegionKind::heap, "records", "[2].field", "Record", 0x55d01c2a6210, 0},
};
constexpr Step kMiddle[] = {
    {HopKind::store, "Queue::push", "src/queue.cc", 27, "slots_[tail_ % size_].item = item;",
     "mov qword ptr [rcx+0x8], rax", RegionKind::global, "queue", "slots_[3].item", "Queue",
     0x55d01b9f2048, 0},
    {HopKind::block_copy, "memcpy", "", 0, "", "rep movsb", RegionKind::heap, "", "", "",
     0x7f2b6c000b60, 1},
    {HopKind::store, "Worker::take", "src/worker.cc", 102, "job.item = queue_.pop();",
     "mov qword ptr [rbp-0x40], rax", RegionKind::stack, "job", "item", "Job", 0x7f2b71ffecd0, 1},
    {HopKind::register_slice, "Worker::resolve<Item const*>(Job&)", "src/worker.cc", 119,
     "return lookup(job.item, generation);", "mov rdi, rbx", RegionKind::unknown, "", "", "", 0, 1},
};
constexpr Step kCrash = {HopKind::crash_report,
                         "Item::name",
                         "src/item.cc",
                         17,
                         "return std::string_view(text_, length_);",
                         "mov rax, qword ptr [rdi+0x10]",
                         RegionKind::heap,
                         "",
                         "",
                         "",
                         0x7f2b6c000b70,
                         1};

Frame frame_of(const Step& step, std::uint32_t depth) {
  Frame f;
  f.function = depth == 0 ? step.function : "caller_" + std::to_string(depth);
  f.file = depth == 0 && *step.file == '\0'
               ? ""
               : "/builds/shop/" + std::string(depth == 0 ? step.file : "src/main.cc");
  f.line = depth == 0 ? step.line : 200 + depth;
  f.module = "/builds/shop/out/shop";
  f.module_offset = 0x21340 + depth * 0x40;
  f.pc = Address{0x55d01b821340ULL + depth * 0x40ULL};
  f.stack = StackKind::native;
  return f;
}

Hop hop_of(const Step& step, std::uint32_t number, std::int64_t event) {
  constexpr std::int32_t kThreads[] = {2210, 2214, 2190};
  constexpr const char* kNames[] = {"shop", "worker 2", "feeder"};
  Hop h;
  h.kind = step.kind;
  h.position.event = EventNumber{event};
  h.position.thread = ThreadId{kThreads[step.thread]};
  h.position.process = ProcessId{step.thread == 2 ? 2190 : 2210};
  h.position.thread_name = kNames[step.thread];
  h.position.probe = PositionProbe{"write", Address{step.address}, 8, 0x55d01c2a90f3, number + 1};
  h.writer.function = step.function;
  if (*step.file != '\0') {
    h.writer.file = "/builds/shop/" + std::string(step.file);
    h.writer.line = step.line;
    h.writer.source_line = step.code;
    h.writer.excerpt = {{step.line - 2, ""},
                        {step.line - 1, "\t// item " + std::to_string(number)},
                        {step.line, std::string("\t") + step.code},
                        {step.line + 1, "}"}};
  }
  h.writer.module =
      *step.file == '\0' ? "/lib/x86_64-linux-gnu/libc.so.6" : "/builds/shop/out/shop";
  h.writer.module_offset = 0x21340 + number * 0x140;
  h.writer.pc = Address{0x55d01b821340ULL + number * 0x140ULL};
  h.writer.instruction = step.instruction;
  if (step.address != 0) {
    Location l;
    l.address = Address{step.address};
    l.size = 8;
    l.region = step.region;
    Owner o;
    o.variable = step.variable;
    o.member = step.member;
    o.type = step.type;
    if (step.region == RegionKind::heap) {
      o.allocator = "malloc";
      o.object = Address{step.address & ~std::uint64_t{0xFF}};
      o.object_size = 4096;
      o.offset = step.address & 0xFF;
      o.life.born = LifeEvent{h.position, "malloc(4096)", {frame_of(step, 1)}};
      o.life.born->position.event.value -= 3;
      o.life.alive_at_write = true;
    } else if (step.region == RegionKind::stack) {
      o.function = step.function;
      o.life.born =
          LifeEvent{h.position, "frame of " + std::string(step.function) + " entered", {}};
      o.life.born->position.event.value -= 1;
      o.life.alive_at_write = true;
    }
    l.owner = o;
    h.location = l;
    h.value_before = number % 2 == 0 ? 0 : 0x55d01c2a9000;
  }
  h.value_after = 0x55d01c2a90f3;
  h.source = Source{};
  h.source->kind = SourceKind::memory;
  h.source->address = Address{step.address + 0x40};
  h.source->register_name = "rax";
  h.source->value = 0x55d01c2a90f3;
  h.source->instruction = "mov rax, qword ptr [rsi]";
  h.source->description = "the slot before";
  for (std::uint32_t depth = 0; depth < 12; ++depth) h.backtrace.push_back(frame_of(step, depth));
  h.confidence = step.kind == HopKind::register_slice ? Confidence::likely : Confidence::proved;
  h.note = "the instruction's own operand covers the slot";
  h.revisit = Revisit{EventNumber{event},
                      "rr replay -g " + std::to_string(event) + " /builds/shop/trace",
                      {"break *0x55d01b821340", "continue", "backtrace"}};
  return h;
}

}  // namespace

Report full_report() {
  Report r;
  r.tool.version = "0.1.0";
  r.program = {{"./server", "--fast"}, "/home/dev", "/home/dev/build/server", "deadbeef", {4710}};
  r.trace = {"/home/dev/trace", "5.6.0", 1234, {134, 6, "SIGABRT", 2}};
  r.engine = {"software-ticks/forward", "software", "software ticks", {"ticks are not known"}};
  r.crash.kind = "go_bad_pointer";
  r.crash.hint = "gc_bad_pointer";
  r.crash.runtime = "go";
  r.crash.signal = 6;
  r.crash.signal_name = "SIGABRT";
  r.crash.fault_address = Address{0x18};
  r.crash.message = "runtime: pointer\nfatal error: found bad pointer";
  r.crash.position = position(120);
  r.crash.frames = {frame()};
  r.suspect = Suspect{0xc000100000,
                      8,
                      "pointer to an unallocated span",
                      "named by the crash report",
                      location(),
                      Confidence::likely};
  Hop first = hop();
  Hop second = hop();
  second.kind = HopKind::origin;
  Hop branch = hop();
  branch.main_line = false;
  branch.parent = 0;
  r.hops = {first, second, branch};
  number_hops(r.hops);
  r.verdict.bug_class = BugClass::uninitialised_stack;
  r.verdict.title = "Uninitialised stack variable c_schema";
  r.verdict.explanation = "It was never written.";
  r.verdict.evidence = {0, 1};
  r.verdict.suggested_fix = "Zero it.";
  r.verdict.confidence = Confidence::proved;
  r.verdict.stopped_because = StopReason::origin_found;
  r.verdict.stopped_detail = "gp.stack.lo";
  r.verdict.cause = CauseSite{"cache_schema", "/home/dev/src/import.c", 15, "c_schema",
                              "format",       "/home/dev/build/server"};
  r.fingerprint = {"1s-00", "1l-00"};
  r.stats = {5, 6, 7, 8, {{"replay", 12.5}}};
  r.warnings = {"no debug info for libfoo.so"};
  return r;
}

Report minimal_report() {
  Report r;
  r.crash.kind = "signal";
  return r;
}

Report hostile_report() {
  Report r = full_report();
  const std::string attacks[] = {
      "\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>",
      "::set-output name=x::y\r\n::error file=a::b",
      "\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80|\x80",
      std::string("nul\0 inside", 11),
      "\xe2\x80\xae"
      "gpj.exe\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf\xe2\x80\xa8",
      "](javascript:alert(1)) `code` | table | ```\n# heading",
      std::string(10 << 20, 'A'),
      std::string(10 << 20, '\x1b'),
      "\xc2\x9b"
      "31mC1 control",
  };
  std::size_t next = 0;
  const auto attack = [&]() -> const std::string& { return attacks[next++ % std::size(attacks)]; };
  r.program.argv.assign(2000, attacks[0]);
  r.program.cwd = attack();
  r.program.executable = attack();
  r.crash.message = attack();
  r.crash.kind = attack();
  r.crash.signal_name = attack();
  r.suspect->description = attack();
  r.suspect->how_chosen = attack();
  r.verdict.title = attack();
  r.verdict.explanation = attack();
  r.verdict.suggested_fix = attack();
  r.verdict.stopped_detail = attack();
  r.verdict.cause->function = attack();
  r.verdict.cause->variable = attack();
  r.verdict.cause->file = attack();
  for (Hop& h : r.hops) {
    h.summary = attack();
    h.writer.function = attack();
    h.writer.demangled = attack();
    h.writer.file = attack();
    h.writer.instruction = attack();
    h.writer.source_line = attack();
    h.location->description = attack();
    h.location->owner->variable = attack();
    h.location->owner->member = attack();
    h.location->owner->type = attack();
    h.source->description = attack();
    h.syscall->name = attack();
    h.syscall->path = attack();
    h.note = attack();
    h.position.thread_name = attack();
    h.revisit->command = attack();
    h.revisit->gdb_commands = {attack()};
    h.backtrace.assign(400, frame());
    h.backtrace[0].function = attack();
    h.backtrace[0].demangled = attack();
    h.backtrace[1].file = attack();
  }
  const Hop small = [] {
    Hop h;
    h.kind = HopKind::store;
    return h;
  }();
  r.hops.resize(1200, small);
  r.verdict.evidence = {0, 999, 1100};
  number_hops(r.hops);
  r.warnings.assign(400, attacks[1]);
  r.engine.limitations = {attacks[2]};
  return r;
}

Report long_report(std::uint32_t hops) {
  Report r = full_report();
  r.program = {{"./out/shop", "--workers", "4", "--in", "fifo"},
               "/builds/shop",
               "/builds/shop/out/shop",
               "4f1c9a7733",
               {2210}};
  r.trace = {"/builds/shop/trace", "5.6.0", 120'000, {139, 11, "SIGSEGV", 3}};
  r.crash = {};
  r.crash.kind = "signal";
  r.crash.signal = 11;
  r.crash.signal_name = "SIGSEGV";
  r.crash.fault_address = Address{0x55d01c2a9103};
  for (std::uint32_t depth = 0; depth < 12; ++depth) {
    r.crash.frames.push_back(frame_of(kCrash, depth));
  }
  r.suspect = Suspect{0x55d01c2a90f3,
                      8,
                      "pointer past the end of its block",
                      "base register of the faulting load",
                      std::nullopt,
                      Confidence::proved};
  const auto beginning = static_cast<std::uint32_t>(std::size(kBeginning));
  const std::uint32_t count = std::max(hops, beginning + 1);
  r.hops = {hop_of(kCrash, 0, 10 * std::int64_t{count})};
  for (std::uint32_t i = 1; i < count; ++i) {
    const std::uint32_t to_origin = count - 1 - i;
    Step step = to_origin < beginning
                    ? kBeginning[to_origin]
                    : kMiddle[std::size(kMiddle) - 1 - (i - 1) % std::size(kMiddle)];
    // The next buffer each time.
    if (to_origin >= beginning && step.address != 0)
      step.address += (i - 1) / std::size(kMiddle) * 0x1000;
    r.hops.push_back(hop_of(step, i, 10 * std::int64_t{count - i}));
  }
  Hop& arithmetic = r.hops[count - beginning];
  arithmetic.inputs = {*arithmetic.source, *arithmetic.source};
  arithmetic.inputs[0].description = "base_";
  arithmetic.inputs[1].description = "header().offset";
  arithmetic.inputs[1].followed = true;
  arithmetic.inputs[0].followed = false;
  if (count > beginning + 2) {
    // The other input of the sum: where the block came from.
    Hop branch = hop_of(kBeginning[2], count, 5);
    branch.kind = HopKind::allocation;
    branch.main_line = false;
    branch.parent = count - beginning;
    r.hops.push_back(branch);
  }
  r.hops[count - 2].syscall =
      Syscall{0, "read", {5, 0x55d01c2a4000, 4096}, 4096, 5, "/builds/shop/fifo", std::nullopt};
  number_hops(r.hops);
  r.verdict = {};
  r.verdict.bug_class = BugClass::bad_input;
  r.verdict.title = "Record's offset from the feeder was used unchecked";
  r.verdict.explanation =
      "Record::field (record.h:63) added header().offset to base_ without a check against the "
      "block's "
      "size. The offset came through a pipe from feeder::send (feeder.cc:41) of process 2190.";
  r.verdict.evidence = {count - 1, count - 2};
  r.verdict.suggested_fix = "Check `header().offset` against `size_` in Record::field.";
  r.verdict.confidence = Confidence::proved;
  r.verdict.stopped_because = StopReason::kernel_input;
  r.verdict.cause = CauseSite{"Record::field", "/builds/shop/src/record.h", 63, "records",
                              "[2].field",     "/builds/shop/out/shop"};
  r.fingerprint = {};
  return r;
}

}  // namespace culprit::report
