#include "report/sample_reports.h"

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

}  // namespace

Report full_report() {
  Report r;
  r.tool.version = "0.1.0";
  r.program = {{"./server", "--fast"}, "/home/dev", "/home/dev/build/server", "deadbeef", {4710}};
  r.trace = {"/home/dev/trace", "5.6.0", 1234, {134, 6, "SIGABRT", 2}};
  r.engine = {"software-ticks/forward", "software", {"ticks are not known"}};
  r.crash.kind = "go_bad_pointer";
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

}  // namespace culprit::report
