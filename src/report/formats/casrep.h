// CASR's crash report, for the tools around it (casr-cli, casr-cluster, DefectDojo upload).
#pragma once

#include <string>

#include "report/model.h"

namespace culprit::report {

/// The JSON keys of libcasr's CrashReport (ispras/casr, libcasr/src/report.rs); what culprit does
/// not know (environment, maps, registers but one) is empty. The stack is in gdb's form, which CASR
/// parses for native programs ("#0  0x… in f () at file:line"). The severity's Type is "UNDEFINED":
/// culprit does not judge exploitability. A key of culprit's own, "Culprit", holds the cause keys
/// and the chain; CASR ignores it. `report` is presentable().
[[nodiscard]] std::string to_casrep(const Report& report);

}  // namespace culprit::report
