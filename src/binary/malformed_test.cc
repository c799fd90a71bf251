// Damaged files: every query must come back, with whatever answer. Run under the sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "binary/debug_type.h"
#include "binary/module_map.h"
#include "binary/symbolizer.h"
#include "binary/test_support.h"
#include "binary/unwinder.h"
#include "binary/variables.h"

namespace culprit::binary {
namespace {

using testing::TemporaryFolder;

// Memory that is readable everywhere, with contents that lead back into the module.
class EndlessMemory : public MemoryReader {
 public:
  explicit EndlessMemory(std::uint64_t seed) : seed_(seed) {}
  [[nodiscard]] std::size_t read(Address address, std::span<std::byte> out) const override {
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint64_t word = (address.value + i) / 8;
      const std::uint64_t value =
          word % 3 == 0 ? 0x401000 + (word * seed_) % 0x1000 : 0x7fff0000 + (word % 64) * 8;
      out[i] = static_cast<std::byte>(value >> ((address.value + i) % 8 * 8));
    }
    return out.size();
  }

 private:
  std::uint64_t seed_;
};

void query_everything(const std::string& file, std::uint64_t seed) {
  ModuleCache cache;
  std::vector<Mapping> mappings{
      {{Address{0x401000}, 0x4000}, 0x1000, true, false, true, false, "/specimen", file},
      {{Address{0x7fff0000}, 0x100000}, 0, true, true, false, false, "[stack]", ""},
  };
  ModuleMap map(std::move(mappings), cache);
  const EndlessMemory memory(seed);
  const Symbolizer symbolizer(map);
  const VariableFinder finder(map);
  for (std::uint64_t pc = 0x401000; pc < 0x402000; pc += 0x57) {
    const CodeLocation location = symbolizer.locate(Address{pc});
    Registers registers;
    registers.rip = pc;
    registers[Gpr::rsp] = 0x7fff1000;
    registers[Gpr::rbp] = 0x7fff2000;
    const Backtrace trace = Unwinder(map).unwind(registers, memory, {64});
    EXPECT_LE(trace.frames.size(), 64U);
    const FrameView view{&trace.frames[0], trace.frames.size() > 1 ? &trace.frames[1] : nullptr,
                         &memory};
    if (const auto variables = finder.variables(view, true); variables.ok()) {
      for (const Variable& v : *variables) (void)finder.read(view, v, 64);
    }
    (void)finder.describe_address(view, Address{0x7fff0f80});
    (void)finder.describe_pointee(view, Address{0x7fff0080});
    (void)symbolizer.line_rows(location.function);
    (void)symbolizer.symbol_at(Address{pc});
  }
  for (const char* name : {"struct ArrowSchema", "mixed_t", "Point"}) {
    if (const auto type = find_type(map, name)) {
      (void)type->name();
      for (const Member& m : type->members()) (void)m.type.name();
      for (std::uint64_t offset = 0; offset < 160; offset += 7) {
        (void)describe_in_type(*type, offset);
      }
    }
  }
  (void)finder.find_global("global_values");
  for (std::uint64_t a = 0x403000; a < 0x406000; a += 0x111)
    (void)finder.describe_global(Address{a});
  (void)symbolizer.function_entries("visit");
  (void)symbolizer.inlined_instances("inlined_helper");
}

class Malformed : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override {
    std::vector<std::string> command = GetParam();
    if (!testing::run({command[0], "--version"})) GTEST_SKIP() << command[0] << " is not installed";
    const std::string compiler = command[0];
    const std::string library = folder_ / "good.so";
    std::string damaged = library;
    const bool split = std::find(command.begin(), command.end(), "-gsplit-dwarf") != command.end();
    const bool package = split && command.back() == "package";
    if (package) command.pop_back();
    if (split) {
      // The split file is the damaged one, where the module looks for it.
      command.insert(command.end(), {"-fPIC", "-c", "-o", folder_ / "good.o"});
      command.push_back(testing::test_data("frames.c"));
      ASSERT_TRUE(testing::run(command));
      command = {compiler, "-shared", "-Wl,-Ttext-segment=0x400000",
                 "-o",     library,   folder_ / "good.o"};
      damaged = split_ = folder_ / "good.dwo";
    } else {
      command.insert(command.end(), {"-shared", "-fPIC", "-Wl,-Ttext-segment=0x400000", "-o",
                                     library, testing::test_data("frames.c")});
    }
    ASSERT_TRUE(testing::run(command));
    if (package) {
      if (!testing::run({"llvm-dwp-19", "--version"})) GTEST_SKIP() << "no llvm-dwp-19";
      damaged = split_ = library + ".dwp";
      ASSERT_TRUE(testing::run({"llvm-dwp-19", folder_ / "good.dwo", "-o", split_}));
      ASSERT_TRUE(testing::run({"rm", folder_ / "good.dwo"}));
    }
    std::ifstream in(damaged, std::ios::binary);
    good_.assign(std::istreambuf_iterator<char>(in), {});
    ASSERT_GT(good_.size(), split ? 2000U : 10000U);
  }
  void query(const std::string& bytes, std::uint64_t seed) {
    if (!split_.empty()) {
      std::ofstream(split_, std::ios::binary) << bytes;
      SCOPED_TRACE(split_);
      return query_everything(folder_ / "good.so", seed);
    }
    const std::string file = folder_ / ("bad" + std::to_string(seed) + ".so");
    std::ofstream(file, std::ios::binary) << bytes;
    SCOPED_TRACE(file);
    query_everything(file, seed);
    std::remove(file.c_str());  // kept if the query does not come back
  }
  TemporaryFolder folder_;
  std::string split_;  ///< the split file, if it is that one
  std::string good_;
};

TEST_P(Malformed, FlippedBytes) {
  // For longer runs: CULPRIT_MALFORMED_ROUNDS and another CULPRIT_MALFORMED_SEED.
  const auto setting = [](const char* name, std::uint64_t fallback) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
  };
  std::mt19937_64 random(setting("CULPRIT_MALFORMED_SEED", 20240607));
  const std::uint64_t rounds = setting("CULPRIT_MALFORMED_ROUNDS", 150);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::string bad = good_;
    const std::size_t flips = 1 + random() % (round % 3 == 0 ? 4 : 200);
    // Half of the rounds damage one neighbourhood only: sections are small, files are not.
    const std::size_t focus = random() % bad.size();
    for (std::size_t i = 0; i < flips; ++i) {
      std::size_t at = random() % bad.size();
      if (round % 2 == 0) at = (focus + random() % 4096) % bad.size();
      if (at < 64 && round % 5 != 0) continue;  // mostly keep the ELF header
      bad[at] = static_cast<char>(random());
    }
    query(bad, round + 1);
  }
}

TEST_P(Malformed, Truncated) {
  for (std::uint64_t part = 1; part < 24; ++part) {
    query(good_.substr(0, good_.size() * part / 24), part);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Malformed,
    ::testing::Values(
        std::vector<std::string>{"gcc", "-O2", "-gdwarf-5"},
        std::vector<std::string>{"gcc", "-O1", "-gdwarf-4", "-fdebug-types-section"},
        std::vector<std::string>{"clang-14", "-O1", "-gdwarf-5"},
        std::vector<std::string>{"gcc", "-O2", "-g", "-gz=zlib", "-fno-asynchronous-unwind-tables"},
        std::vector<std::string>{"gcc", "-O2", "-gdwarf-4", "-gsplit-dwarf",
                                 "-fdebug-types-section"},
        std::vector<std::string>{"gcc", "-O2", "-gdwarf-5", "-gsplit-dwarf"},
        std::vector<std::string>{"clang-14", "-O1", "-gdwarf-5", "-gsplit-dwarf"},
        std::vector<std::string>{"clang-14", "-O1", "-gdwarf-4", "-gsplit-dwarf", "package"},
        std::vector<std::string>{"clang-14", "-O2", "-gdwarf-5", "-gsplit-dwarf", "package"}),
    [](const auto& i) { return "format" + std::to_string(i.index); });

}  // namespace
}  // namespace culprit::binary
