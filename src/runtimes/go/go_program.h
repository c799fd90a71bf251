// What the tests of the Go runtime share: a real Go program, and the structures of its runtime laid
// out in fake memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "binary/module_map.h"
#include "runtimes/go/fake_memory.h"
#include "runtimes/go/layout.h"

namespace culprit::runtimes::go::testing {

/// The Go toolchains of this machine, or one empty string (its tests are skipped).
std::vector<std::string> toolchains();

/// Builds testdata/stacks.go, with cgo; it stays in the build folder, and is built again where it
/// is not up to date. The path of the program, or nothing if the toolchain fails.
/// `c_level` is the C side's optimisation.
std::optional<std::string> build_program(const std::string& go, const std::string& extra_flag = {},
                                         const std::string& c_level = "-O2");

/// The map of a process in which the loader put the file's segments at their addresses plus `bias`.
binary::ModuleMap map_of_file(const std::string& file, std::uint64_t bias,
                              binary::ModuleCache& cache);

/// One test for each toolchain: the program's map, moved by a bias, and its runtime's layout.
class GoProgramTest : public ::testing::TestWithParam<std::string> {
 protected:
  static constexpr std::uint64_t kBias = 0x5500'0000'0000;
  void SetUp() override;

  std::string program_;
  binary::ModuleCache cache_;
  std::optional<binary::ModuleMap> map_;
  Layout layout_;
};

/// For INSTANTIATE_TEST_SUITE_P.
std::string toolchain_name(const ::testing::TestParamInfo<std::string>& info);

/// The structures that a Go runtime keeps in memory, by hand. Each is zero but for what is set
/// here.
class FakeRuntime {
 public:
  FakeRuntime(const Layout& layout, FakeMemory& memory);

  Address add_g(std::uint64_t id, ByteRange stack);
  void set_sched(Address g, Address sp, Address pc, Address bp = {});
  /// In front of allm, as the runtime does it.
  Address add_m(std::uint64_t procid, Address g0, Address curg, Address gsignal = {});
  Address add_p();

 private:
  Address allocate(std::uint64_t size);
  void publish(Address slice, const std::vector<Address>& elements, Address array);

  const Layout& layout_;
  FakeMemory& memory_;
  Address next_{0xc000000000};
  Address allgs_array_, allp_array_;
  std::vector<Address> allgs_, allp_;
  Address allm_;
};

/// Places in a function's code for frames made by hand.
struct Site {
  Address entry;           ///< its CFI says CFA = rsp + 8
  Address return_address;  ///< where a call from the middle of the function returns to
  std::uint64_t size = 0;  ///< of the frame there: CFA - rsp
};
/// The function of this symbol, with or without Go's ABI suffix. Fails the test if there is none.
Site site(const binary::ModuleMap& map, const std::string& function);

/// Lays frames on a stack from `sp` upwards, innermost first, each returning into the next; the
/// last one returns to 0.
struct LaidStack {
  std::vector<Address> sp;  ///< of each frame
  Address end;
};
LaidStack lay_frames(FakeMemory& memory, Address sp, const std::vector<Site>& frames);

}  // namespace culprit::runtimes::go::testing
