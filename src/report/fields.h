// The members of the report model and their JSON keys, once for writing and reading.
//
// Fields<T>::visit(v, x) calls one function of the visitor for each member, in the order of the
// JSON form. x is const for a writer. The visitor's functions say how a member looks in JSON:
//
//   required_*   always there; a reader refuses a report without it
//   name         text of one line, at most kMaxName bytes; left out if empty
//   code         the same for a line of source or disassembly: tabs stay
//   prose        text of several lines, at most kMaxProse bytes; left out if empty
//   number       an integer; left out if 0 (if empty, for optionals)
//   hex          a "0x…" string; left out if an optional is empty
//   flag         a bool; left out if it has the given default
//   choice       a name of a closed list; always there
//   object       a member of another described type; left out if it equals a fresh one (if empty)
//   list, names, hexes, indices   arrays; left out if empty
#pragma once

#include "report/history.h"
#include "report/limits.h"
#include "report/model.h"

namespace culprit::report {

template <typename T>
struct Fields;

template <>
struct Fields<ByteRange> {
  static void visit(auto& v, auto& x) {
    v.hex("start", x.start);
    v.required_number("size", x.size);
  }
};

template <>
struct Fields<PositionProbe> {
  static void visit(auto& v, auto& x) {
    v.required_name("kind", x.kind);
    v.hex("address", x.address);
    v.number("size", x.size);
    v.hex("value_filter", x.value_filter);
    v.required_number("ordinal", x.ordinal);
  }
};

template <>
struct Fields<Position> {
  static void visit(auto& v, auto& x) {
    v.number("event", x.event.value);
    v.number("thread", x.thread.value);
    v.name("thread_name", x.thread_name);
    v.number("process", x.process.value);
    v.number("syscalls", x.syscalls);
    v.number("ticks", x.ticks);
    v.object("probe", x.probe);
  }
};

template <>
struct Fields<SourceLine> {
  static void visit(auto& v, auto& x) {
    v.required_number("line", x.line);
    v.required_code("text", x.text);
  }
};

template <>
struct Fields<Frame> {
  static void visit(auto& v, auto& x) {
    v.name("function", x.function);
    v.name("demangled", x.demangled);
    v.name("file", x.file);
    v.number("line", x.line);
    v.number("column", x.column);
    v.name("module", x.module);
    v.hex("module_offset", x.module_offset);
    v.hex("pc", x.pc);
    v.hex("frame_address", x.frame_address);
    v.flag("inlined", x.inlined, false);
    v.choice("stack", x.stack);
    v.number("goroutine", x.goroutine);
  }
};

template <>
struct Fields<Writer> {
  static void visit(auto& v, auto& x) {
    v.name("function", x.function);
    v.name("demangled", x.demangled);
    v.name("file", x.file);
    v.number("line", x.line);
    v.number("column", x.column);
    v.name("module", x.module);
    v.name("build_id", x.build_id);
    v.hex("module_offset", x.module_offset);
    v.hex("pc", x.pc);
    v.code("instruction", x.instruction);
    v.list("inlined_in", x.inlined_in, kMaxFrames);
    v.code("source_line", x.source_line);
    v.list("excerpt", x.excerpt, kMaxItems);
  }
};

template <>
struct Fields<LifeEvent> {
  static void visit(auto& v, auto& x) {
    v.object("position", x.position);
    v.name("description", x.description);
    v.list("backtrace", x.backtrace, kMaxFrames);
  }
};

template <>
struct Fields<Life> {
  static void visit(auto& v, auto& x) {
    v.object("born", x.born);
    v.object("died", x.died);
    v.flag("alive_at_write", x.alive_at_write);
  }
};

template <>
struct Fields<Owner> {
  static void visit(auto& v, auto& x) {
    v.name("variable", x.variable);
    v.name("member", x.member);
    v.name("type", x.type);
    v.name("member_type", x.member_type);
    v.name("declared_file", x.declared_file);
    v.number("declared_line", x.declared_line);
    v.name("function", x.function);
    v.name("module", x.module);
    v.number("frame_offset", x.frame_offset);
    v.hex("frame", x.frame);
    v.hex("object", x.object);
    v.number("object_size", x.object_size);
    v.number("offset", x.offset);
    v.name("allocator", x.allocator);
    v.object("life", x.life);
  }
};

template <>
struct Fields<RegionPeriod> {
  static void visit(auto& v, auto& x) {
    v.choice("kind", x.kind);
    v.object("range", x.range);
    v.name("description", x.description);
    v.object("from", x.from);
    v.object("to", x.to);
  }
};

template <>
struct Fields<Location> {
  static void visit(auto& v, auto& x) {
    v.hex("address", x.address);
    v.number("size", x.size);
    v.choice("region", x.region);
    v.name("description", x.description);
    v.object("mapping", x.mapping);
    v.name("mapping_path", x.mapping_path);
    v.object("owner", x.owner);
    v.list("history", x.history, kMaxItems);
  }
};

template <>
struct Fields<Syscall> {
  static void visit(auto& v, auto& x) {
    v.required_number("number", x.number);
    v.name("name", x.name);
    v.hexes("arguments", x.arguments, kMaxItems);
    v.required_number("result", x.result);
    v.number("descriptor", x.descriptor);
    v.name("path", x.path);
    v.number("file_offset", x.file_offset);
  }
};

template <>
struct Fields<Source> {
  static void visit(auto& v, auto& x) {
    v.choice("kind", x.kind);
    v.hex("address", x.address);
    v.number("size", x.size);
    v.hex("value", x.value);
    v.name("register", x.register_name);
    v.hex("pc", x.pc);
    v.code("instruction", x.instruction);
    v.name("description", x.description);
    v.flag("followed", x.followed, false);
  }
};

template <>
struct Fields<Revisit> {
  static void visit(auto& v, auto& x) {
    v.number("event", x.event.value);
    v.name("command", x.command);
    v.names("gdb_commands", x.gdb_commands, kMaxItems);
  }
};

template <>
struct Fields<ValueBytes> {
  static void visit(auto& v, auto& x) {
    v.required_number("first", x.first);
    v.required_number("count", x.count);
  }
};

template <>
struct Fields<Hop> {
  static void visit(auto& v, auto& x) {
    v.required_number("index", x.index);
    v.number("parent", x.parent);
    v.flag("main_line", x.main_line, true);
    v.choice("kind", x.kind);
    v.name("summary", x.summary);
    v.object("position", x.position);
    v.object("writer", x.writer);
    v.object("location", x.location);
    v.object("bytes", x.bytes);
    v.hex("value_before", x.value_before);
    v.hex("value_after", x.value_after);
    v.object("source", x.source);
    v.list("inputs", x.inputs, kMaxItems);
    v.object("syscall", x.syscall);
    v.list("backtrace", x.backtrace, kMaxFrames);
    v.choice("confidence", x.confidence);
    v.prose("note", x.note);
    v.object("revisit", x.revisit);
  }
};

template <>
struct Fields<CauseSite> {
  static void visit(auto& v, auto& x) {
    v.name("function", x.function);
    v.name("file", x.file);
    v.number("line", x.line);
    v.name("variable", x.variable);
    v.name("member", x.member);
    v.name("module", x.module);
  }
};

template <>
struct Fields<Verdict> {
  static void visit(auto& v, auto& x) {
    v.choice("class", x.bug_class);
    v.required_name("title", x.title);
    v.prose("explanation", x.explanation);
    v.indices("evidence", x.evidence, kMaxHops);
    v.prose("suggested_fix", x.suggested_fix);
    v.choice("confidence", x.confidence);
    v.choice("stopped_because", x.stopped_because);
    v.prose("stopped_detail", x.stopped_detail);
    v.object("cause", x.cause);
  }
};

template <>
struct Fields<Tool> {
  static void visit(auto& v, auto& x) {
    v.required_name("name", x.name);
    v.name("version", x.version);
  }
};

template <>
struct Fields<Program> {
  static void visit(auto& v, auto& x) {
    v.names("argv", x.argv, kMaxArguments);
    v.name("cwd", x.cwd);
    v.name("executable", x.executable);
    v.name("build_id", x.build_id);
    v.number("pid", x.pid.value);
  }
};

template <>
struct Fields<Recorded> {
  static void visit(auto& v, auto& x) {
    v.number("exit_status", x.exit_status);
    v.number("signal", x.signal);
    v.name("signal_name", x.signal_name);
    v.number("attempts", x.attempts);
  }
};

template <>
struct Fields<Trace> {
  static void visit(auto& v, auto& x) {
    v.name("directory", x.directory);
    v.name("rr_version", x.rr_version);
    v.number("events", x.events);
    v.object("recorded", x.recorded);
  }
};

template <>
struct Fields<Engine> {
  static void visit(auto& v, auto& x) {
    v.name("name", x.name);
    v.name("ticks", x.ticks);
    v.name("choice", x.choice);
    v.names("limitations", x.limitations, kMaxItems);
  }
};

template <>
struct Fields<Crash> {
  static void visit(auto& v, auto& x) {
    v.name("kind", x.kind);
    v.name("hint", x.hint);
    v.name("runtime", x.runtime);
    v.number("signal", x.signal);
    v.name("signal_name", x.signal_name);
    v.hex("fault_address", x.fault_address);
    v.prose("message", x.message);
    v.object("position", x.position);
    v.list("frames", x.frames, kMaxFrames);
  }
};

template <>
struct Fields<Suspect> {
  static void visit(auto& v, auto& x) {
    v.hex("value", x.value);
    v.required_number("size", x.size);
    v.name("description", x.description);
    v.prose("how_chosen", x.how_chosen);
    v.object("location", x.location);
    v.choice("confidence", x.confidence);
  }
};

template <>
struct Fields<Fingerprint> {
  static void visit(auto& v, auto& x) {
    v.required_name("strict", x.strict);
    v.required_name("loose", x.loose);
  }
};

template <>
struct Fields<Stats::Phase> {
  static void visit(auto& v, auto& x) {
    v.required_name("name", x.name);
    v.real("elapsed_ms", x.elapsed_ms);
  }
};

template <>
struct Fields<Stats> {
  static void visit(auto& v, auto& x) {
    v.required_number("passes", x.passes);
    v.required_number("hits", x.hits);
    v.required_number("steps", x.steps);
    v.number("peak_memory_bytes", x.peak_memory_bytes);
    v.list("phases", x.phases, kMaxItems);
  }
};

template <>
struct Fields<Report> {
  static void visit(auto& v, auto& x) {
    v.required_name("schema_version", x.schema_version);
    v.required_object("tool", x.tool);
    v.required_object("verdict", x.verdict);
    v.required_object("fingerprint", x.fingerprint);
    v.required_object("program", x.program);
    v.required_object("trace", x.trace);
    v.required_object("engine", x.engine);
    v.required_object("crash", x.crash);
    v.object("suspect", x.suspect);
    v.required_list("hops", x.hops, kMaxHops);
    v.required_object("stats", x.stats);
    v.names("warnings", x.warnings, kMaxItems);
  }
};

template <>
struct Fields<HistoryFilters> {
  static void visit(auto& v, auto& x) {
    v.hex("value", x.value);
    v.number("thread", x.thread);
    v.number("first_event", x.first);
    v.number("last_event", x.last);
  }
};

template <>
struct Fields<WriteGroup> {
  static void visit(auto& v, auto& x) {
    v.choice("kind", x.kind);
    v.object("writer", x.writer);
    v.name("syscall", x.syscall);
    v.required_number("count", x.count);
    v.number("first_event", x.first.value);
    v.number("last_event", x.last.value);
  }
};

template <>
struct Fields<History> {
  static void visit(auto& v, auto& x) {
    v.required_name("schema_version", x.schema_version);
    v.required_object("tool", x.tool);
    v.required_object("program", x.program);
    v.required_object("trace", x.trace);
    v.required_object("engine", x.engine);
    v.name("expression", x.expression);
    v.required_object("location", x.location);
    v.required_object("evaluated_at", x.evaluated_at);
    v.object("filters", x.filters);
    v.required_list("regions", x.regions, kMaxHops);
    v.required_number("regions_left_out", x.regions_left_out);
    v.required_number("writes_seen", x.writes_seen);
    v.required_number("writes_matching", x.writes_matching);
    v.required_list("writes", x.writes, kMaxHops);
    v.required_number("writes_left_out", x.writes_left_out);
    v.required_list("writers", x.writers, kMaxItems);
    v.required_number("writers_left_out", x.writers_left_out);
    v.required_object("stats", x.stats);
    v.names("warnings", x.warnings, kMaxItems);
  }
};

}  // namespace culprit::report
