// OCaml's bytecode runtime as the engine sees it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtimes/collector.h"
#include "runtimes/ocaml/layout.h"
#include "runtimes/runtime.h"

namespace culprit::runtimes::ocaml {

class OcamlRuntime : public Runtime, private Collector {
 public:
  explicit OcamlRuntime(Layout layout);

  [[nodiscard]] std::string_view name() const override { return "ocaml"; }
  /// The interpreter runs on the C stack: nothing is crossed.
  [[nodiscard]] std::unique_ptr<StackWalk> walk(ThreadId thread, const Registers& registers,
                                                const MemoryReader& memory) const override;
  /// Blocks of the domains' pools ("OCaml block 0x…[0]"), pools, bytecode stacks, minor heaps.
  [[nodiscard]] std::optional<RuntimePlace> describe(Address address,
                                                     const MemoryReader& memory) const override;
  /// Code fragments and blocks of pools.
  [[nodiscard]] std::string describe_value(std::uint64_t value,
                                           const MemoryReader& memory) const override;
  [[nodiscard]] const Collector* collector() const override { return this; }
  [[nodiscard]] std::vector<std::string> limits() const override;

  [[nodiscard]] const Layout& layout() const { return layout_; }

 private:
  [[nodiscard]] bool sweeps(std::string_view function) const override;
  [[nodiscard]] std::optional<Reclaimed> reclaimed(Address slot,
                                                   const MemoryReader& memory) const override;
  [[nodiscard]] std::optional<BlindSpot> blind_spot(Address reference,
                                                    const MemoryReader& memory) const override;
  [[nodiscard]] const Registrar& registrar() const override { return registrar_; }

  Layout layout_;
  Registrar registrar_;
};

}  // namespace culprit::runtimes::ocaml
