// `ingot erase`.
#include <CLI/CLI.hpp>
#include <array>

#include "agent/cli_grammar.hpp"
#include "agent/cli_help.hpp"

namespace ingot::agent {
namespace {

using disk::EraseMethod;

class EraseGrammar final : public CommandGrammar {
 public:
  explicit EraseGrammar(CLI::App& app)
      : CommandGrammar(app),
        target_(app, TargetGrammar::Size::as_it_is),
        reporting_(app),
        network_(app) {
    app.add_option("--method", method_,
                   "metadata, discard, zero or secure: what each does is\n"
                   "said below (required)")
        ->type_name("METHOD")
        ->group("Erasing");
  }

  Result<Command> understand() override {
    EraseCommandOptions options;
    INGOT_TRY_ASSIGN(options.target, target_.understand());
    if (method_.empty())
      return wrong("no method: give --method metadata, discard, zero or secure", "erase");
    bool known = false;
    for (const auto method :
         {EraseMethod::metadata, EraseMethod::discard, EraseMethod::zero, EraseMethod::secure})
      if (disk::name(method) == method_) {
        options.method = method;
        known = true;
      }
    if (!known)
      return wrong("--method: '" + method_ + "' is none of metadata, discard, zero, secure",
                   "erase");
    INGOT_TRY_ASSIGN(options.reporting, reporting_.understand());
    INGOT_TRY_ASSIGN(options.network, network_.understand());
    return options;
  }

 private:
  TargetGrammar target_;
  ReportingGrammar reporting_;
  NetworkGrammar network_;
  std::string method_;
};

}  // namespace

std::unique_ptr<CommandGrammar> erase_grammar(CLI::App& ingot) {
  CLI::App& app = *ingot.add_subcommand("erase", "take everything off a disk");
  app.description(std::string(kEraseAbout));
  app.footer(std::string(kEraseFooter));
  return std::make_unique<EraseGrammar>(app);
}

}  // namespace ingot::agent
