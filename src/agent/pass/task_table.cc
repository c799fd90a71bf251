#include "agent/pass/task_table.h"

namespace culprit::agent {

void TaskTable::set_names(std::int32_t first, const std::vector<wire::Clones::Entry>& clones) {
  first_ = first;
  clones_.clear();
  for (const auto& entry : clones) clones_[entry.parent].push_back(entry);
}

Task* TaskTable::find(pid_t real) {
  if (last_ != nullptr && last_->real == real && !last_->ended) return last_;
  const auto found = by_real_.find(real);
  if (found == by_real_.end()) return nullptr;
  return last_ = found->second;
}

Task& TaskTable::add_first(pid_t real) {
  Task& task = *tasks_.emplace_back(std::make_unique<Task>());
  task.real = real;
  task.thread = first_;
  task.process = first_;
  task.space = std::make_shared<Space>();
  by_real_[real] = &task;
  return task;
}

Task* TaskTable::add_child(Task& parent, pid_t real) {
  const auto names = clones_.find(parent.thread);
  if (names == clones_.end() || parent.clones >= names->second.size()) return nullptr;
  const wire::Clones::Entry& name = names->second[parent.clones++];
  Task& task = *tasks_.emplace_back(std::make_unique<Task>());
  task.real = real;
  task.thread = name.child;
  task.process = name.same_process ? parent.process : name.child;
  task.space =
      name.same_memory || name.same_process ? parent.space : std::make_shared<Space>(*parent.space);
  by_real_[real] = &task;
  return &task;
}

Task* TaskTable::find_thread(std::int32_t thread) {
  // From the newest: tids can be used again.
  for (auto task = tasks_.rbegin(); task != tasks_.rend(); ++task) {
    if ((*task)->thread == thread && !(*task)->ended) return task->get();
  }
  return nullptr;
}

void TaskTable::end(Task& task) {
  task.ended = true;
  by_real_.erase(task.real);
  if (last_ == &task) last_ = nullptr;
}

void TaskTable::after_exec(Task& task) {
  auto space = std::make_shared<Space>();
  space->values = task.space->values;
  space->looked = task.space->looked;
  task.space = std::move(space);
}

}  // namespace culprit::agent
