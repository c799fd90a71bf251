// The exit codes of the command line. They are an interface: scripts depend on them.
#pragma once

#include "base/result.h"

namespace culprit::cli {

enum ExitCode : int {
  exit_ok = 0,                ///< the chain is complete; or what was asked for was done
  exit_internal = 1,          ///< a bug of this tool, or the system refused something
  exit_usage = 2,             ///< wrong options, or an input that is not what it should be
  exit_chain_incomplete = 3,  ///< the chain stops before its origin; the report says why
  exit_did_not_fail = 4,      ///< the program under test did not fail
  exit_cannot_record = 5,     ///< this machine, or this program here, cannot be recorded
  exit_replay_failed = 6,     ///< the replay failed or diverged
  exit_interrupted = 130,     ///< Ctrl-C
};

/// The exit code of a command that ended with this error.
constexpr ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::usage:
    case ErrorCode::bad_input:
      return exit_usage;
    case ErrorCode::chain_incomplete:
      return exit_chain_incomplete;
    case ErrorCode::did_not_fail:
      return exit_did_not_fail;
    case ErrorCode::cannot_record:
      return exit_cannot_record;
    case ErrorCode::replay_failed:
    case ErrorCode::timeout:
      return exit_replay_failed;
    case ErrorCode::interrupted:
      return exit_interrupted;
    case ErrorCode::internal:
    case ErrorCode::not_found:
    case ErrorCode::io:
      return exit_internal;
  }
  return exit_internal;
}

/// Prints "culprit: <message>" on stderr and returns the code.
ExitCode report_error(const Error& error);

}  // namespace culprit::cli
