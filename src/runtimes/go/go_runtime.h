// The Go runtime as the engine sees it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "binary/module_map.h"
#include "runtimes/go/layout.h"
#include "runtimes/runtime.h"

namespace culprit::runtimes::go {

class GoRuntime : public Runtime {
 public:
  /// Borrows `map`, which must outlive the runtime.
  GoRuntime(Layout layout, const binary::ModuleMap& map) : layout_(std::move(layout)), map_(map) {}

  [[nodiscard]] std::string_view name() const override { return "go"; }
  [[nodiscard]] std::unique_ptr<StackWalk> walk(ThreadId thread, const Registers& registers,
                                                const MemoryReader& memory) const override;
  [[nodiscard]] std::optional<RuntimePlace> describe(Address address,
                                                     const MemoryReader& memory) const override;
  [[nodiscard]] std::string describe_value(std::uint64_t value,
                                           const MemoryReader& memory) const override;
  /// The write barrier (runtime/asm_amd64.s): from Go 1.21 on gcWriteBarrier1 to 8 keep all
  /// registers but r11, their result; gcWriteBarrier and its variants for other registers, before
  /// that, keep all.
  [[nodiscard]] bool allocates(std::string_view function) const override;
  [[nodiscard]] std::uint16_t kept_by_call(std::string_view function) const override;
  [[nodiscard]] std::vector<std::string> limits() const override { return {}; }

  [[nodiscard]] const Layout& layout() const { return layout_; }

 private:
  Layout layout_;
  const binary::ModuleMap& map_;
};

}  // namespace culprit::runtimes::go
