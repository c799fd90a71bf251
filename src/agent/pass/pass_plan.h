// What the driver asked of this pass, received and checked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/pass/control_channel.h"
#include "agent/protocol.h"

namespace culprit::agent {

struct PassPlan {
  wire::Spec spec;
  std::vector<wire::Clones::Entry> clones;
  std::vector<wire::KernelWrites::Entry> kernel_writes;
};

/// Why a specification cannot be carried out; empty if it can.
std::string problem_with(const wire::Spec& spec);

/// The session's beginning: sends Hello, takes everything up to Start. Nothing (and Failed was
/// sent) if the driver does not speak this protocol or asks for the impossible.
std::optional<PassPlan> receive_plan(ControlChannel& channel);

}  // namespace culprit::agent
