#include "cli/completion_command.h"

#include <string>

#include "cli/completion_model.h"
#include "cli/completion_scripts.h"
#include "cli/exit_codes.h"
#include "report/write.h"

namespace culprit::cli {
namespace {

class CompletionCommand final : public Command {
 public:
  CLI::App* add_to(CLI::App& app) override {
    app_ = &app;
    CLI::App* command = app.add_subcommand("completion", "Print the completion script of a shell");
    command->add_option("shell", shell_, "Which shell")
        ->required()
        ->type_name("SHELL")
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->footer(
        "`cmake --install` puts the scripts where the shells look for them. Examples, without:\n"
        "  eval \"$(culprit completion bash)\"                      # in ~/.bashrc\n"
        "  eval \"$(culprit completion zsh)\"                       # in ~/.zshrc, after compinit\n"
        "  culprit completion fish > ~/.config/fish/completions/culprit.fish");
    return command;
  }

  int run(const CommonOptions&) override {
    const ProgramModel program = completion_model(*app_);
    const std::string script = shell_ == "bash"  ? bash_completion(program)
                               : shell_ == "zsh" ? zsh_completion(program)
                                                 : fish_completion(program);
    const Status written = report::write_output("-", script);
    return written.ok() ? exit_ok : report_error(written.error());
  }

 private:
  CLI::App* app_ = nullptr;  ///< the program; outlives its commands' runs
  std::string shell_;
};

}  // namespace

std::unique_ptr<Command> make_completion_command() { return std::make_unique<CompletionCommand>(); }

}  // namespace culprit::cli
