#include "cli/batch_command.h"
#include "cli/bundle_command.h"
#include "cli/ci_command.h"
#include "cli/cluster_command.h"
#include "cli/command.h"
#include "cli/completion_command.h"
#include "cli/doctor_command.h"
#include "cli/history_command.h"
#include "cli/open_command.h"
#include "cli/record_command.h"
#include "cli/report_command.h"
#include "cli/run_command.h"
#include "cli/triage_command.h"

namespace culprit::cli {

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> out;
  out.push_back(make_run_command());
  out.push_back(make_record_command());
  out.push_back(make_triage_command());
  out.push_back(make_history_command());
  out.push_back(make_ci_command());
  out.push_back(make_batch_command());
  out.push_back(make_report_command());
  out.push_back(make_cluster_command());
  out.push_back(make_open_command());
  out.push_back(make_bundle_command());
  out.push_back(make_doctor_command());
  out.push_back(make_completion_command());
  return out;
}

}  // namespace culprit::cli
