#include "runtimes/go/go_program.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "binary/elf_file.h"
#include "binary/symbolizer.h"
#include "binary/test_support.h"
#include "binary/unwinder.h"

namespace culprit::runtimes::go::testing {
namespace {

constexpr std::uint64_t kPage = 4096;

/// Held until the end of the scope, against other test processes.
class FileLock {
 public:
  explicit FileLock(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (descriptor_ >= 0) flock(descriptor_, LOCK_EX);
  }
  ~FileLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

std::uint64_t round_up(std::uint64_t n) { return (n + kPage - 1) / kPage * kPage; }

}  // namespace

std::vector<std::string> toolchains() {
  auto tools = binary::testing::go_tools();
  if (tools.empty()) tools.emplace_back();
  return tools;
}

std::optional<std::string> build_program(const std::string& go, const std::string& extra_flag,
                                         const std::string& c_level) {
  std::string name = go + extra_flag + c_level;
  for (char& c : name) {
    if (c == '/' || c == ' ' || c == '=') c = '_';
  }
  const std::string cache = std::string(CULPRIT_BINARY_DIR) + "/go-cache";
  const std::string folder = std::string(CULPRIT_BINARY_DIR) + "/go-stacks/" + name;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return std::nullopt;
  const FileLock lock(folder + "/lock");
  const std::string program = folder + "/stacks";
  std::vector<std::string> arguments{go, "build", "-o", program};
  if (!extra_flag.empty()) arguments.push_back(extra_flag);
  arguments.push_back(std::string(CULPRIT_SOURCE_DIR) + "/src/runtimes/go/testdata/stacks.go");
  const bool built = binary::testing::run(arguments, {{"GOCACHE", cache},
                                                      {"CGO_ENABLED", "1"},
                                                      {"CGO_CFLAGS", c_level + " -g"},
                                                      {"GOFLAGS", ""},
                                                      {"GO111MODULE", "off"},
                                                      {"GOTOOLCHAIN", "local"}});
  return built ? std::optional(program) : std::nullopt;
}

binary::ModuleMap map_of_file(const std::string& file, std::uint64_t bias,
                              binary::ModuleCache& cache) {
  std::vector<binary::Mapping> mappings;
  auto elf = binary::ElfFile::open(file);
  EXPECT_TRUE(elf.ok()) << file;
  if (elf) {
    for (const auto& segment : elf.value()->segments()) {
      if (segment.type != PT_LOAD) continue;
      const std::uint64_t before = segment.address % kPage;
      binary::Mapping m;
      m.range = {Address{bias + segment.address - before}, round_up(before + segment.memory_size)};
      m.file_offset = segment.offset - before;
      m.readable = (segment.flags & PF_R) != 0;
      m.writable = (segment.flags & PF_W) != 0;
      m.executable = (segment.flags & PF_X) != 0;
      m.path = file;
      mappings.push_back(std::move(m));
    }
  }
  return {std::move(mappings), cache};
}

void GoProgramTest::SetUp() {
  if (GetParam().empty()) GTEST_SKIP() << "no Go toolchain is installed (golang-1.19-go)";
  const auto built = build_program(GetParam());
  ASSERT_TRUE(built.has_value());
  program_ = *built;
  map_.emplace(map_of_file(program_, kBias, cache_));
  std::string problem;
  auto layout = find_layout(*map_, problem);
  ASSERT_TRUE(layout.has_value()) << problem;
  layout_ = *std::move(layout);
}

std::string toolchain_name(const ::testing::TestParamInfo<std::string>& info) {
  return "go" + std::to_string(info.index);
}

FakeRuntime::FakeRuntime(const Layout& layout, FakeMemory& memory)
    : layout_(layout), memory_(memory) {
  // Room for the two arrays; the slices' headers are at the addresses of the symbols.
  allgs_array_ = allocate(kPage);
  allp_array_ = allocate(kPage);
  publish(layout.allgs, allgs_, allgs_array_);
  publish(layout.allp, allp_, allp_array_);
  memory_.put(layout.allm, Address{});
}

Address FakeRuntime::allocate(std::uint64_t size) {
  const Address at = next_;
  for (std::uint64_t done = 0; done < size; done += 8) {
    memory_.put(at + static_cast<std::int64_t>(done), std::uint64_t{0});
  }
  // A page between two objects is not there.
  next_ = next_ + static_cast<std::int64_t>(round_up(size) + kPage);
  return at;
}

void FakeRuntime::publish(Address slice, const std::vector<Address>& elements, Address array) {
  ASSERT_LE(elements.size(), kPage / 8);
  memory_.put(slice, array);
  memory_.put(slice + 8, std::uint64_t{elements.size()});
  memory_.put(slice + 16, std::uint64_t{elements.size()});
  for (std::size_t i = 0; i < elements.size(); ++i) {
    memory_.put(array + static_cast<std::int64_t>(8 * i), elements[i]);
  }
}

Address FakeRuntime::add_g(std::uint64_t id, ByteRange stack) {
  const Address g = allocate(layout_.g_size);
  memory_.put(g + static_cast<std::int64_t>(layout_.g_goid), id);
  memory_.put(g + static_cast<std::int64_t>(layout_.g_stack_lo), stack.start);
  memory_.put(g + static_cast<std::int64_t>(layout_.g_stack_hi), stack.end());
  if (id != 0) {  // a g0 is not in the list
    allgs_.push_back(g);
    publish(layout_.allgs, allgs_, allgs_array_);
  }
  return g;
}

void FakeRuntime::set_sched(Address g, Address sp, Address pc, Address bp) {
  memory_.put(g + static_cast<std::int64_t>(layout_.g_sched_sp), sp);
  memory_.put(g + static_cast<std::int64_t>(layout_.g_sched_pc), pc);
  memory_.put(g + static_cast<std::int64_t>(layout_.g_sched_bp), bp);
}

Address FakeRuntime::add_m(std::uint64_t procid, Address g0, Address curg, Address gsignal) {
  const Address m = allocate(kPage);
  memory_.put(m + static_cast<std::int64_t>(layout_.m_procid), procid);
  memory_.put(m + static_cast<std::int64_t>(layout_.m_g0), g0);
  memory_.put(m + static_cast<std::int64_t>(layout_.m_curg), curg);
  memory_.put(m + static_cast<std::int64_t>(layout_.m_gsignal), gsignal);
  memory_.put(m + static_cast<std::int64_t>(layout_.m_alllink), allm_);
  memory_.put(layout_.allm, m);
  allm_ = m;
  return m;
}

Address FakeRuntime::add_p() {
  const Address p = allocate(layout_.p_size);
  allp_.push_back(p);
  publish(layout_.allp, allp_, allp_array_);
  return p;
}

Site site(const binary::ModuleMap& map, const std::string& function) {
  const binary::Symbolizer symbols(map);
  auto found = symbols.find_symbol(function);
  for (const char* suffix : {".abi0", ".abiinternal"}) {
    if (const auto more = symbols.find_symbol(function + suffix); !more.empty()) {
      // Where there are both, the plain name is a wrapper of the assembly function.
      if (std::string_view(suffix) == ".abi0") found = more;
    }
  }
  if (found.empty()) {
    ADD_FAILURE() << "no function " << function;
    return {};
  }
  Site out;
  out.entry = found.front().address;
  // The deepest frame is that of the calls in the middle.
  FakeMemory stack;
  const Address sp{0x10000};
  for (std::int64_t i = 0; i < 0x2000; i += 8) stack.put(sp + i, std::uint64_t{1});
  const binary::Unwinder unwinder(map);
  const std::uint64_t size = std::max<std::uint64_t>(found.front().size, 1);
  for (std::uint64_t i = 0; i < size; ++i) {
    const Address pc = out.entry + static_cast<std::int64_t>(i);
    const auto step = unwinder.step(
        binary::Unwinder::resume_at(pc, sp, std::nullopt, binary::PcKind::exact), stack);
    if (!step.callee.cfa) continue;
    const auto frame = static_cast<std::uint64_t>(*step.callee.cfa - sp);
    if (frame > out.size && frame < 0x1000) {
      out.size = frame;
      out.return_address = pc + 1;
    }
  }
  EXPECT_NE(out.size, 0U) << "no frame size for " << function;
  return out;
}

LaidStack lay_frames(FakeMemory& memory, Address sp, const std::vector<Site>& frames) {
  LaidStack out;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    out.sp.push_back(sp);
    for (std::uint64_t at = 0; at + 8 < frames[i].size; at += 8) {
      memory.put(sp + static_cast<std::int64_t>(at), std::uint64_t{0});
    }
    sp = sp + static_cast<std::int64_t>(frames[i].size);
    const Address back = i + 1 < frames.size() ? frames[i + 1].return_address : Address{};
    memory.put(sp - 8, back);
  }
  out.end = sp;
  return out;
}

}  // namespace culprit::runtimes::go::testing
