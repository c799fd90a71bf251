#include "verdict/judge.h"

#include <array>
#include <string>
#include <vector>

#include "report/bug_class.h"
#include "report/fingerprint.h"
#include "verdict/rules.h"

namespace culprit::verdict {

void judge(report::Report& report) {
  // The first that applies: whose memory it was says more than what the value is.
  constexpr std::array kRules = {shared_go_map,
                                 collected_in_use,
                                 uninitialised_stack,
                                 uninitialised_heap,
                                 dangling_stack_pointer,
                                 outlived_scope,
                                 released_before,
                                 unmapped,
                                 stack_exhausted,
                                 out_of_bounds,
                                 smashed_stack,
                                 vtable_overwritten,
                                 freed_what_is_no_block,
                                 from_signal_handler,
                                 stale_page,
                                 unexplained,
                                 mismatched_argument,
                                 from_kernel,
                                 from_other_process,
                                 from_command_line,
                                 replaced,
                                 refused_by_check,
                                 unpacked_with_other_constant,
                                 lost_upper_bits,
                                 used_with_tag,
                                 bad_index,
                                 raced,
                                 read_block_header,
                                 null_dereference,
                                 unsafe_pointer_in_go,
                                 confused_pointer,
                                 confused_types,
                                 constant,
                                 ran_out_of_sort,
                                 composed,
                                 stated,
                                 open_end};
  for (const auto rule : kRules) {
    if (rule(report)) break;
  }
  refine_stale_use(report);
  refine_overflow(report);
  // Some rules speak of the crash even where the chain could not be begun: no hop is there to cite.
  std::erase_if(report.verdict.evidence, [&](std::uint32_t i) { return i >= report.hops.size(); });
  const report::BugClassInfo& info = report::info(report.verdict.bug_class);
  if (report.verdict.title.empty()) report.verdict.title = std::string(info.title);
  if (report.verdict.suggested_fix.empty()) report.verdict.suggested_fix = std::string(info.fix);
  report.fingerprint = report::fingerprint(report);
}

}  // namespace culprit::verdict
