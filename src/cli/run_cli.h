// The whole command line, as a function.
#pragma once

namespace culprit::cli {

/// Parses the arguments, runs the subcommand and returns the exit code. No exception leaves it.
int run_cli(int argc, char** argv);

}  // namespace culprit::cli
