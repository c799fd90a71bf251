// Symbols, lines, variables, member paths and unwinding of this very process, inside functions of
// shared objects that are compiled with many combinations of options.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "binary/debug_type.h"
#include "binary/module_map.h"
#include "binary/place_expression.h"
#include "binary/symbolizer.h"
#include "binary/test_support.h"
#include "binary/unwinder.h"
#include "binary/variables.h"

namespace culprit::binary {
namespace {

using testing::ProcessMemory;
using testing::read_maps;
using testing::TemporaryFolder;

enum class Debug { embedded, debug_link, build_id_folder, stripped, split, split_moved, package };

struct Variant {
  std::string name;
  std::string compiler;
  std::vector<std::string> options;
  Debug debug = Debug::embedded;
  [[nodiscard]] bool optimized() const {
    for (const std::string& o : options) {
      if (o == "-O1" || o == "-O2") return true;
    }
    return false;
  }
};

std::vector<Variant> variants() {
  std::vector<Variant> list;
  for (const char* compiler : {"gcc", "clang-14"}) {
    for (const char* level : {"-O0", "-O1", "-O2"}) {
      for (const char* version : {"-gdwarf-4", "-gdwarf-5"}) {
        list.push_back({std::string(compiler == std::string("gcc") ? "gcc" : "clang") +
                            (level + 1) + "dwarf" + (version + 8),
                        compiler,
                        {level, version}});
      }
    }
  }
  for (const char* compiler : {"gcc", "clang-14"}) {
    for (const char* version : {"4", "5"}) {
      const std::string prefix =
          (compiler == std::string("gcc") ? "gccSplit" : "clangSplit") + std::string(version);
      const auto add = [&](const std::string& suffix, const char* level, Debug debug,
                           const std::vector<std::string>& more = {}) {
        std::vector<std::string> options{level, std::string("-gdwarf-") + version, "-gsplit-dwarf"};
        options.insert(options.end(), more.begin(), more.end());
        list.push_back({prefix + suffix, compiler, options, debug});
      };
      add("O0", "-O0", Debug::split);
      add("O2", "-O2", Debug::split);
      add("Moved", "-O1", Debug::split_moved);
      // (llvm-dwp does not come back from what gcc makes of DWARF 5, and binutils' dwp knows none.)
      const bool gcc = compiler == std::string("gcc");
      if (!gcc || version == std::string("4")) add("Package", "-O1", Debug::package);
      if (gcc) {
        add("Types", "-O1", Debug::split, {"-fdebug-types-section"});
        add("Compressed", "-O2", Debug::split, {"-gz=zlib"});
      }
    }
  }
  list.push_back({"typesSection", "gcc", {"-O1", "-gdwarf-4", "-fdebug-types-section"}});
  list.push_back({"typesSection5", "gcc", {"-O2", "-gdwarf-5", "-fdebug-types-section"}});
  list.push_back({"compressed", "gcc", {"-O1", "-g", "-gz=zlib"}});
  list.push_back({"compressedOldStyle", "gcc", {"-O1", "-gdwarf-4", "-gz=zlib-gnu"}});
  list.push_back({"framePointer", "gcc", {"-O2", "-g", "-fno-omit-frame-pointer"}});
  list.push_back({"noBuildId", "gcc", {"-O1", "-g", "-Wl,--build-id=none"}});
  list.push_back({"debugFrameOnly", "gcc", {"-O2", "-g", "-fno-asynchronous-unwind-tables"}});
  list.push_back({"debugLink", "gcc", {"-O1", "-g"}, Debug::debug_link});
  list.push_back(
      {"debugLinkNoBuildId", "gcc", {"-O1", "-g", "-Wl,--build-id=none"}, Debug::debug_link});
  list.push_back({"buildIdFolder", "gcc", {"-O1", "-g", "-Wl,--build-id"}, Debug::build_id_folder});
  return list;
}

void PrintTo(const Variant& v, std::ostream* out) { *out << v.name; }

using Callback = void (*)(void*, void*);
using Handler = std::function<void(const Registers&, Address)>;

// The callback that the specimen calls: takes the registers and hands them on.
__attribute__((noinline)) void callback(void* context, void* where) {
  CULPRIT_TEST_REGISTERS(registers);
  (*static_cast<const Handler*>(context))(registers,
                                          Address{reinterpret_cast<std::uint64_t>(where)});
}

class LiveFrames : public ::testing::TestWithParam<Variant> {
 protected:
  // Compiles `source` as the parameter says, loads it, and makes the map.
  void load(const std::string& source, const std::string& compiler_suffix = "") {
    std::string compiler = GetParam().compiler;
    if (!compiler_suffix.empty()) compiler = compiler == "gcc" ? "g++" : "clang++-14";
    library_ = folder_ / "specimen.so";
    const Debug debug_kind = GetParam().debug;
    const bool split = debug_kind == Debug::split || debug_kind == Debug::split_moved ||
                       debug_kind == Debug::package;
    const std::string object = folder_ / "build/specimen.o";
    std::vector<std::string> command{compiler, "-fPIC"};
    command.insert(command.end(), GetParam().options.begin(), GetParam().options.end());
    if (split) {
      command.insert(command.end(), {"-c", "-o", object});
      ASSERT_TRUE(testing::run({"mkdir", folder_ / "build"}));
    } else {
      command.insert(command.end(), {"-shared", "-o", library_});
    }
    command.push_back(testing::test_data(source));
    if (!testing::run({compiler, "--version"})) GTEST_SKIP() << compiler << " is not installed";
    ASSERT_TRUE(testing::run(command));
    DebugFileSearch search;
    if (split) {
      const std::string dwo = folder_ / "build/specimen.dwo";
      ASSERT_TRUE(testing::run({compiler, "-shared", "-o", library_, object}));
      if (debug_kind == Debug::package) {
        const std::string tool = compiler.starts_with("g") ? "dwp" : "llvm-dwp-19";
        if (!testing::run({tool, "--version"})) GTEST_SKIP() << tool << " is not installed";
        ASSERT_TRUE(testing::run({tool, dwo, "-o", library_ + ".dwp"}));
        ASSERT_TRUE(testing::run({"rm", dwo}));
      } else if (debug_kind == Debug::split_moved) {
        ASSERT_TRUE(testing::run({"mv", dwo, folder_.path()}));
      }
    } else if (debug_kind != Debug::embedded) {
      const std::string debug = folder_ / "specimen.so.debug";
      ASSERT_TRUE(testing::run({"objcopy", "--only-keep-debug", library_, debug}));
      ASSERT_TRUE(testing::run({"objcopy", "--strip-all", library_}));
      if (debug_kind == Debug::debug_link) {
        ASSERT_TRUE(testing::run({"objcopy", "--add-gnu-debuglink=" + debug, library_}));
      } else {
        ModuleCache probe;
        auto maps = std::vector<Mapping>{
            {{Address{0x1000}, 0x1000}, 0x1000, true, false, true, false, library_, ""}};
        const ModuleMap map(std::move(maps), probe);
        ASSERT_EQ(map.modules().size(), 1U);
        const std::string id = map.modules()[0]->build_id;
        ASSERT_GE(id.size(), 16U);
        const std::string target = folder_ / ("dbg/.build-id/" + id.substr(0, 2));
        ASSERT_TRUE(testing::run({"mkdir", "-p", target}));
        ASSERT_TRUE(testing::run({"mv", debug, target + "/" + id.substr(2) + ".debug"}));
        search.directories = {folder_ / "dbg"};
      }
    }
    handle_ = dlopen(library_.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle_, nullptr) << dlerror();
    cache_.emplace(search);
    map_.emplace(read_maps(getpid()), *cache_);
    for (const Module* changed : map_->verify(memory_)) ADD_FAILURE() << changed->problem;
  }
  ~LiveFrames() override {
    if (handle_ != nullptr) dlclose(handle_);
  }

  template <typename Function>
  Function* symbol(const char* name) {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }

  // The index of the first frame whose innermost function has this name; fails if there is none.
  std::size_t frame_in(const Backtrace& trace, std::string_view function) {
    for (std::size_t i = 0; i < trace.frames.size(); ++i) {
      const Frame& f = trace.frames[i];
      const CodeLocation at = symbolizer().locate(f.pc, f.pc_kind);
      for (const FunctionFrame& part : at.frames) {
        if (part.name == function) return i;
      }
    }
    ADD_FAILURE() << "no frame of " << function << " among " << trace.frames.size() << ": "
                  << to_string(trace.stop) << ", " << trace.detail;
    return 0;
  }
  FrameView view(const Backtrace& trace, std::size_t i) const {
    return {&trace.frames[i], i + 1 < trace.frames.size() ? &trace.frames[i + 1] : nullptr,
            &memory_};
  }
  Symbolizer symbolizer() const { return Symbolizer(*map_); }

  std::uint32_t line_of(const std::string& source, const std::string& text) {
    std::ifstream file(testing::test_data(source));
    std::string line;
    for (std::uint32_t n = 1; std::getline(file, line); ++n) {
      if (line.find(text) != std::string::npos) return n;
    }
    ADD_FAILURE() << "no line with " << text;
    return 0;
  }

  TemporaryFolder folder_;
  std::string library_;
  void* handle_ = nullptr;
  ProcessMemory memory_{getpid()};
  std::optional<ModuleCache> cache_;
  std::optional<ModuleMap> map_;
};

TEST_P(LiveFrames, LocalsAreNamedDownToTheScalar) {
  load("frames.c");
  if (IsSkipped() || HasFatalFailure()) return;
  int calls = 0;
  const Handler handler = [&](const Registers& registers, Address where) {
    const Backtrace trace = Unwinder(*map_).unwind(registers, memory_);
    const std::size_t at = frame_in(trace, "visit");
    // The walk goes on to this test and ends at the thread's start.
    EXPECT_EQ(trace.stop, UnwindStop::outermost) << trace.detail;
    EXPECT_GT(trace.frames.size(), at + 5);
    const CodeLocation location =
        symbolizer().locate(trace.frames[at].pc, trace.frames[at].pc_kind);
    ASSERT_FALSE(location.frames.empty());
    EXPECT_TRUE(location.has_debug_info) << location.no_debug_info;
    EXPECT_EQ(location.language, "C");
    EXPECT_EQ(location.symbol, "visit");
    EXPECT_TRUE(location.function.contains(trace.frames[at].pc));
    const FunctionFrame& frame = location.frames.front();
    EXPECT_EQ(frame.position.file, testing::test_data("frames.c"));
    EXPECT_EQ(frame.position.line,
              line_of("frames.c",
                      calls == 0 ? "callback(context, &box)" : "callback(context, &c_schema)"));
    EXPECT_EQ(frame.declared.line, line_of("frames.c", "int visit(callback_t"));

    const VariableFinder finder(*map_);
    const FrameView here = view(trace, at);
    const auto name = [&](std::int64_t offset) {
      const auto d = finder.describe_address(here, where + offset);
      return d ? d->expression : std::string("?");
    };
    if (calls == 0) {
      EXPECT_EQ(name(0), "box.points[0].x");
      EXPECT_EQ(name(20), "box.points[2].y");
      EXPECT_EQ(name(33), "box.label[1]");
      EXPECT_EQ(name(40), "box.low");
      EXPECT_EQ(name(44), "box");  // padding
      EXPECT_EQ(name(48), "box.u.whole");
      EXPECT_EQ(name(56 + 4 * 7), "box.grid[1][2]");
      EXPECT_EQ(name(120), "box.weight");
      EXPECT_NE(name(128).substr(0, 3), "box");
      const auto d = finder.describe_address(here, where + 22);
      ASSERT_TRUE(d.has_value());
      EXPECT_EQ(d->variable_type, "mixed_t");
      EXPECT_EQ(d->place.type_name, "int");
      EXPECT_EQ(d->place.container_type, "struct Point");
      EXPECT_EQ(d->place.offset_in_scalar, 2U);
      EXPECT_EQ(d->start, where);
      EXPECT_TRUE(finder.describe_address(here, where + 44)->place.padding);
    } else {
      EXPECT_EQ(name(0), "c_schema.format");
      EXPECT_EQ(name(8), "c_schema.name");
      EXPECT_EQ(name(32), "c_schema.release");
      const auto d = finder.describe_address(here, where);
      ASSERT_TRUE(d.has_value());
      EXPECT_EQ(d->variable, "c_schema");
      EXPECT_EQ(d->variable_type, "struct ArrowSchema");
      EXPECT_EQ(d->place.type_name, "const char*");
      EXPECT_EQ(d->place.field, "format");
      EXPECT_EQ(d->place.container_type, "struct ArrowSchema");
      EXPECT_EQ(d->declared.line, line_of("frames.c", "struct ArrowSchema c_schema;"));
      EXPECT_EQ(d->size, 40U);
      EXPECT_EQ(d->function, "visit");
      EXPECT_TRUE(d->in_scope);
      EXPECT_EQ(finder.describe_address(here, where + 32)->place.type_name,
                "void (*)(struct ArrowSchema*)");
    }
    // Parameters: the right value, or an honest "not available"; never a wrong one.
    const auto variables = finder.variables(here);
    ASSERT_TRUE(variables.ok());
    bool seen = false;
    for (const Variable& v : *variables) {
      if (v.name != "number") continue;
      seen = true;
      EXPECT_EQ(v.scope, VariableScope::parameter);
      EXPECT_EQ(v.type_name, "int64_t");
      const auto bytes = finder.read(here, v);
      if (!GetParam().optimized()) {
        EXPECT_TRUE(bytes.ok());
      }
      if (bytes.ok()) {
        std::int64_t value = 0;
        ASSERT_EQ(bytes->size(), sizeof value);
        std::memcpy(&value, bytes->data(), sizeof value);
        EXPECT_EQ(value, 0x12345678);
      }
    }
    EXPECT_TRUE(seen);
    ++calls;
  };
  auto* visit = symbol<int(Callback, const void*, std::int64_t, const char*)>("visit");
  visit(callback, &handler, 0x12345678, "label");
  EXPECT_EQ(calls, 2);
}

TEST_P(LiveFrames, PointersNameWhatTheyPointTo) {
  load("frames.c");
  if (IsSkipped() || HasFatalFailure()) return;
  int calls = 0;
  const Handler handler = [&](const Registers& registers, Address where) {
    ++calls;
    const Backtrace trace = Unwinder(*map_).unwind(registers, memory_);
    const VariableFinder finder(*map_);
    const std::size_t at = frame_in(trace, "fill");
    const auto d = finder.describe_pointee(view(trace, at), where + 8);
    if (!GetParam().optimized()) {
      ASSERT_TRUE(d.has_value());
    }
    if (d) {
      EXPECT_EQ(d->expression, "out->name");
      EXPECT_EQ(d->variable_type, "struct ArrowSchema*");
      EXPECT_TRUE(d->through_pointer);
      EXPECT_EQ(d->start, where);
    }
    // It is the caller's local, whatever the callee knows.
    const std::size_t outer = frame_in(trace, "visit_pointee");
    const auto own = finder.describe_address(view(trace, outer), where + 8);
    ASSERT_TRUE(own.has_value());
    EXPECT_EQ(own->expression, "target.name");
  };
  symbol<int(Callback, const void*)>("visit_pointee")(callback, &handler);
  EXPECT_EQ(calls, 1);
}

TEST_P(LiveFrames, ExpressionsNamePlaces) {
  load("frames.c");
  if (IsSkipped() || HasFatalFailure()) return;
  int calls = 0;
  const Handler handler = [&](const Registers& registers, Address where) {
    ++calls;
    const Backtrace trace = Unwinder(*map_).unwind(registers, memory_);
    const VariableFinder finder(*map_);
    std::vector<FrameView> views;
    for (std::size_t i = frame_in(trace, "fill"); i < trace.frames.size(); ++i) {
      views.push_back(view(trace, i));
    }
    const auto place = [&](std::string_view text) {
      return find_place(finder, views, memory_, text);
    };
    // A local of an outer frame, a global, and what is no expression or names nothing.
    const auto outer = place("target.name");
    ASSERT_TRUE(outer.ok()) << outer.error().message;
    EXPECT_EQ(outer->address, where + 8);
    EXPECT_EQ(outer->size, 8U);
    EXPECT_EQ(outer->type_name, "const char*");
    const auto through = place("(*out).name");
    EXPECT_EQ(through.ok(), place("out->name").ok());
    if (!GetParam().optimized()) {
      ASSERT_TRUE(through.ok()) << through.error().message;
    }
    if (through.ok()) {
      EXPECT_EQ(through->address, where + 8);
    }
    const auto first = place("global_values");
    const auto third = place("global_values[0x3]");
    ASSERT_TRUE(first.ok() && third.ok());
    EXPECT_EQ(first->size, 32U);
    EXPECT_EQ(third->address, first->address + 12);
    EXPECT_EQ(place("*global_values")->address, first->address);
    EXPECT_EQ(place(" global_values [ -1 ] ")->address, first->address - 4);
    EXPECT_EQ(place("static_point.y")->address, place("static_point")->address + 4);
    EXPECT_EQ(place("global_values.x").error().code, ErrorCode::not_found);
    EXPECT_EQ(place("static_point.z").error().code, ErrorCode::not_found);
    EXPECT_EQ(place("no_such_name").error().code, ErrorCode::not_found);
    EXPECT_EQ(place("*static_point").error().code, ErrorCode::not_found);
    for (const std::string& text :
         {std::string(), std::string("1"), std::string("global_values["),
          std::string("global_values[1"), std::string("global_values[]"),
          std::string("global_values[99999999999999999999]"), std::string("static_point."),
          std::string("static_point y"), std::string("a::"), std::string("+x"),
          std::string(200, '('), std::string(200, '*'), std::string(300, 'x'),
          std::string("x\0y", 3)}) {
      EXPECT_EQ(place(text).error().code, ErrorCode::usage) << text;
    }
  };
  symbol<int(Callback, const void*)>("visit_pointee")(callback, &handler);
  EXPECT_EQ(calls, 1);
}

TEST_P(LiveFrames, InlinedFramesAndGlobals) {
  load("frames.c");
  if (IsSkipped() || HasFatalFailure()) return;
  int calls = 0;
  const Handler handler = [&](const Registers& registers, Address where) {
    const Backtrace trace = Unwinder(*map_).unwind(registers, memory_);
    const VariableFinder finder(*map_);
    const std::size_t at = frame_in(trace, "visit_inlined");
    const CodeLocation location =
        symbolizer().locate(trace.frames[at].pc, trace.frames[at].pc_kind);
    const auto global = finder.describe_global(where, registers.fs_base);
    switch (calls++) {
      case 0: {
        ASSERT_EQ(location.frames.size(), 2U);
        EXPECT_EQ(location.frames[0].name, "inlined_helper");
        EXPECT_TRUE(location.frames[0].inlined);
        EXPECT_EQ(location.frames[0].position.line,
                  line_of("frames.c", "callback(context, &local_in_inline)"));
        EXPECT_EQ(location.frames[1].name, "visit_inlined");
        EXPECT_FALSE(location.frames[1].inlined);
        EXPECT_EQ(location.frames[1].position.line,
                  line_of("frames.c", "result = inlined_helper("));
        const auto d = finder.describe_address(view(trace, at), where + 4);
        ASSERT_TRUE(d.has_value());
        EXPECT_EQ(d->expression, "local_in_inline.y");
        EXPECT_EQ(d->function, "inlined_helper");
        EXPECT_FALSE(symbolizer().inlined_instances("inlined_helper").empty());
        break;
      }
      case 1:
        ASSERT_TRUE(global.has_value());
        EXPECT_EQ(global->expression, "static_point.x");
        EXPECT_EQ(global->declared.line, line_of("frames.c", "static struct Point static_point"));
        break;
      case 2:
        ASSERT_TRUE(global.has_value());
        EXPECT_EQ(global->expression, "global_values[3]");
        EXPECT_EQ(global->variable_type, "int[8]");
        EXPECT_EQ(finder.find_global("global_values")->location.address(), where - 12);
        EXPECT_EQ(map_->region_at(where).kind, RegionKind::module_data);
        break;
      case 3:
        // Another library's thread-local storage is not resolved, and not misnamed.
        EXPECT_FALSE(global.has_value());
        EXPECT_EQ(finder.find_global("per_thread_value")->location.kind(),
                  LocationKind::thread_local_storage);
        break;
      default:
        FAIL();
    }
  };
  symbol<int(Callback, const void*, int)>("visit_inlined")(callback, &handler, 11);
  EXPECT_EQ(calls, 4);
}

TEST_P(LiveFrames, CxxNamesBasesAndReferences) {
  load("shapes.cc", "++");
  if (IsSkipped() || HasFatalFailure()) return;
  int calls = 0;
  const Handler handler = [&](const Registers& registers, Address where) {
    const Backtrace trace = Unwinder(*map_).unwind(registers, memory_);
    const VariableFinder finder(*map_);
    if (calls++ == 0) {
      const auto global = finder.describe_global(where);
      ASSERT_TRUE(global.has_value());
      EXPECT_EQ(global->expression, "geo::(anonymous namespace)::hidden_counter");
      return;
    }
    // The callback may be a tail call of measure(); then only its caller is on the stack.
    const std::size_t outer = frame_in(trace, "run_shapes");
    const auto own = finder.describe_address(view(trace, outer), where + 8);
    ASSERT_TRUE(own.has_value());
    EXPECT_EQ(own->expression, "box.value");
    // gcc and clang write the argument differently.
    const std::string box = own->variable_type;
    EXPECT_TRUE(box == "geo::Box<long>" || box == "geo::Box<long int>") << box;
    EXPECT_EQ(finder.describe_address(view(trace, outer), where)->expression, "box.id");
    EXPECT_EQ(finder.describe_address(view(trace, outer), where)->place.container_type,
              "geo::Base");
    EXPECT_EQ(map_->module_named("specimen.so")->path, library_);
    const auto type = find_type(*map_, box, map_->module_named("specimen.so"));
    ASSERT_TRUE(type.has_value());
    EXPECT_EQ(type->size(), 16U);
    EXPECT_EQ(type->member("id")->offset, 0U);
    EXPECT_EQ(type->member("value")->offset, 8U);
    if (!GetParam().optimized()) {
      const std::size_t inner =
          frame_in(trace, "geo::Box<long>::measure(void (*)(void*, void*), void*, int)");
      EXPECT_EQ(finder.describe_pointee(view(trace, inner), where + 8)->expression, "this->value");
    }
  };
  symbol<int(Callback, const void*)>("run_shapes")(callback, &handler);
  EXPECT_EQ(calls, 2);
}

TEST_P(LiveFrames, TypesSymbolsAndCodeByName) {
  load("frames.c");
  if (IsSkipped() || HasFatalFailure()) return;
  const Module* module = map_->module_named("specimen.so");
  ASSERT_NE(module, nullptr);
  const auto schema = find_type(*map_, "struct ArrowSchema", module);
  ASSERT_TRUE(schema.has_value());
  EXPECT_EQ(schema->size(), 40U);
  EXPECT_EQ(schema->members().size(), 5U);
  EXPECT_EQ(schema->member("release")->offset, 32U);
  EXPECT_EQ(schema->member("nothing"), std::nullopt);
  const auto mixed = find_type(*map_, "mixed_t", module);
  ASSERT_TRUE(mixed.has_value());
  EXPECT_EQ(mixed->size(), 128U);
  EXPECT_EQ(mixed->member("points")->type.array_count(), 4U);
  EXPECT_EQ(mixed->member("high")->bit_size, 5U);
  EXPECT_EQ(mixed->member("high")->bit_offset, 40U * 8 + 3);
  EXPECT_EQ(mixed->member("grid")->type.name(), "int[3][5]");
  EXPECT_EQ(find_type(*map_, "struct NoSuchThing", module), std::nullopt);

  const Address visit{reinterpret_cast<std::uint64_t>(dlsym(handle_, "visit"))};
  const auto entries = symbolizer().function_entries("visit", module);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0], visit);
  const auto symbols = symbolizer().find_symbol("visit");
  ASSERT_FALSE(symbols.empty());
  EXPECT_EQ(symbols[0].address, visit);
  EXPECT_TRUE(symbols[0].function);
  const auto code = read_code(*map_, visit, 32);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(std::memcmp(code->data(), reinterpret_cast<const void*>(visit.value), 32), 0);
  const auto rows = symbolizer().line_rows(symbolizer().locate(visit).function);
  ASSERT_GT(rows.size(), 4U);
  EXPECT_EQ(rows.front().address, visit);

  const auto variadic = [&](const char* name) {
    return symbolizer()
        .locate(Address{reinterpret_cast<std::uint64_t>(dlsym(handle_, name))})
        .variadic;
  };
  EXPECT_TRUE(variadic("count_unnamed"));
  EXPECT_FALSE(variadic("without_prototype"));
  EXPECT_FALSE(variadic("visit"));
}

INSTANTIATE_TEST_SUITE_P(Options, LiveFrames, ::testing::ValuesIn(variants()),
                         [](const auto& i) { return i.param.name; });

// ---- this test program itself ----

class Self : public ::testing::Test {
 protected:
  ProcessMemory memory_{getpid()};
  ModuleCache cache_;
  ModuleMap map_{read_maps(getpid()), cache_};
};

TEST_F(Self, RegionsAndModulesAreNamed) {
  EXPECT_TRUE(map_.verify(memory_).empty());
  for (const auto& module : map_.modules()) {
    EXPECT_EQ(module->check, FileCheck::matches) << module->path << ": " << module->problem;
  }
  int local = 0;
  EXPECT_EQ(map_.region_at(Address{reinterpret_cast<std::uint64_t>(&local)}).kind,
            RegionKind::stack);
  EXPECT_EQ(map_.region_at(Address{8}).kind, RegionKind::unmapped);
  const Address here{reinterpret_cast<std::uint64_t>(&callback)};
  EXPECT_EQ(map_.region_at(here).kind, RegionKind::module_code);
  ASSERT_NE(map_.main_module(), nullptr);
  EXPECT_EQ(map_.module_at(here), map_.main_module());
  const Module* libc = map_.module_named("libc.so.6");
  ASSERT_NE(libc, nullptr);
  EXPECT_FALSE(libc->build_id.empty());
  const Address clock{reinterpret_cast<std::uint64_t>(dlsym(RTLD_DEFAULT, "environ"))};
  EXPECT_EQ(Symbolizer(map_).symbol_at(clock)->linkage_name.find("environ") != std::string::npos,
            true);
  const Module* vdso = map_.module_named("[vdso]");
  ASSERT_NE(vdso, nullptr);
  EXPECT_FALSE(Symbolizer(map_).find_symbol("__vdso_clock_gettime").empty());
}

ModuleMap* handler_map = nullptr;
Backtrace handler_trace;

void on_signal(int, siginfo_t*, void*) {
  CULPRIT_TEST_REGISTERS(registers);
  handler_trace = Unwinder(*handler_map).unwind(registers, ProcessMemory(getpid()));
}

__attribute__((noinline)) int interrupted(volatile int* trap) {
  const int kept = *trap + 1;
  raise(SIGUSR1);
  return kept + *trap;
}

TEST_F(Self, UnwindsThroughASignalHandler) {
  for (const bool alternate : {false, true}) {
    handler_map = &map_;
    handler_trace = {};
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | (alternate ? SA_ONSTACK : 0);
    struct sigaction old {};
    ASSERT_EQ(sigaction(SIGUSR1, &action, &old), 0);
    std::vector<char> stack(1 << 20);
    stack_t alternate_stack{};
    alternate_stack.ss_sp = stack.data();
    alternate_stack.ss_size = stack.size();
    ASSERT_EQ(sigaltstack(&alternate_stack, nullptr), 0);
    volatile int trap = 1;
    EXPECT_EQ(interrupted(&trap), 3);
    alternate_stack.ss_flags = SS_DISABLE;
    sigaltstack(&alternate_stack, nullptr);
    sigaction(SIGUSR1, &old, nullptr);

    std::size_t handler = 0;
    std::size_t signal = 0;
    std::size_t target = 0;
    for (std::size_t i = 0; i < handler_trace.frames.size(); ++i) {
      const Frame& f = handler_trace.frames[i];
      const std::string name(Symbolizer(map_).locate(f.pc, f.pc_kind).best_name());
      if (name.find("on_signal") != std::string::npos) handler = i;
      if (f.is_signal_frame) signal = i;
      if (name.find("interrupted") != std::string::npos) target = i;
    }
    EXPECT_EQ(signal, handler + 1) << alternate;
    EXPECT_GT(target, signal) << alternate;
    ASSERT_GT(handler_trace.frames.size(), signal + 1);
    EXPECT_EQ(handler_trace.frames[signal + 1].pc_kind, PcKind::exact);
    // All registers of the interrupted code are known.
    EXPECT_EQ(handler_trace.frames[signal + 1].registers.valid_gpr, 0xFFFFU);
    EXPECT_EQ(handler_trace.stop, UnwindStop::outermost) << handler_trace.detail;
  }
}

// A map over memory that lies: the file must be rejected.
class PatchedMemory : public MemoryReader {
 public:
  PatchedMemory(const MemoryReader& inner, Address at) : inner_(inner), at_(at) {}
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    const std::size_t got = inner_.read(address, out);
    if (ByteRange{address, got}.contains(at_)) {
      out[static_cast<std::size_t>(at_ - address)] ^= std::byte{1};
    }
    return got;
  }

 private:
  const MemoryReader& inner_;
  Address at_;
};

TEST_F(Self, AFileThatIsNotTheMappedOneIsNotUsed) {
  const Module* libc = map_.module_named("libc.so.6");
  ASSERT_NE(libc, nullptr);
  // One byte of the ELF header; one of the build id (found by looking for it).
  std::vector<std::byte> head(0x1000);
  ASSERT_EQ(memory_.read(Address{libc->bias}, head), head.size());
  std::string wanted;
  for (std::size_t i = 0; i + 1 < libc->build_id.size(); i += 2) {
    wanted += static_cast<char>(std::stoi(libc->build_id.substr(i, 2), nullptr, 16));
  }
  const std::string text(reinterpret_cast<const char*>(head.data()), head.size());
  const std::size_t id_at = text.find(wanted);
  ASSERT_NE(id_at, std::string::npos);
  for (const std::size_t at : {std::size_t{40}, id_at + 3}) {
    ModuleMap map(read_maps(getpid()), cache_);
    const Address code = map.module_named("libc.so.6")->segments[1].range.start + 64;
    EXPECT_TRUE(read_code(map, code, 16).ok());
    const auto changed = map.verify(PatchedMemory(memory_, Address{libc->bias + at}));
    ASSERT_EQ(changed.size(), 1U);
    EXPECT_EQ(changed[0]->name(), "libc.so.6");
    EXPECT_EQ(changed[0]->check, FileCheck::mismatch);
    EXPECT_NE(changed[0]->problem.find("changed since the recording"), std::string::npos);
    EXPECT_FALSE(read_code(map, code, 16).ok());
    const CodeLocation location = Symbolizer(map).locate(code);
    EXPECT_FALSE(location.has_debug_info);
    EXPECT_EQ(location.no_debug_info, changed[0]->problem);
    EXPECT_TRUE(location.symbol.empty());
  }
}

TEST_F(Self, MissingFilesAreSaidAndNotFatal) {
  std::vector<Mapping> mappings{
      {{Address{0x400000}, 0x2000}, 0, true, false, true, false, "/no/such/program", ""},
      {{Address{0x500000}, 0x2000}, 0, true, false, true, false, "/etc/passwd", ""},
      {{Address{~std::uint64_t{0} - 0xfff}, 0x2000}, 0, true, false, true, false, "/x", ""},
  };
  const ModuleMap map(std::move(mappings), cache_);
  ASSERT_EQ(map.modules().size(), 2U);
  for (const auto& module : map.modules()) {
    EXPECT_EQ(module->check, FileCheck::unreadable);
    EXPECT_FALSE(module->problem.empty());
  }
  const CodeLocation location = Symbolizer(map).locate(Address{0x400010});
  EXPECT_NE(location.no_debug_info.find("/no/such/program"), std::string::npos);
}

}  // namespace
}  // namespace culprit::binary
