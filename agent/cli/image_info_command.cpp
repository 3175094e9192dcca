// `ingot image-info`.
#include <CLI/CLI.hpp>
#include <stop_token>

#include "agent/cli/commands.hpp"
#include "agent/cli/grammar.hpp"
#include "agent/cli/help.hpp"
#include "agent/cli/image_info_text.hpp"
#include "agent/process/signal_watch.hpp"

namespace ingot::agent {
namespace {

class ImageInfoGrammar final : public CommandGrammar {
 public:
  explicit ImageInfoGrammar(CLI::App& app) : CommandGrammar(app), network_(app) {
    app.add_option("image", options_.image, "the image (required)")->type_name("FILE|URL");
    add_output(app, output_);
  }

  Result<Command> understand() override {
    if (options_.image.empty()) return wrong("no image: give a file or a URL", "image-info");
    options_.json = output_ == "json";
    INGOT_TRY_ASSIGN(options_.network, network_.understand());
    return options_;
  }

 private:
  ImageInfoOptions options_;
  std::string output_ = "text";
  NetworkGrammar network_;
};

}  // namespace

std::unique_ptr<CommandGrammar> image_info_grammar(CLI::App& ingot) {
  return std::make_unique<ImageInfoGrammar>(
      add_command(ingot, "image-info", "say what an image is", kInfoAbout, kInfoFooter));
}

int run_command(const ImageInfoOptions& options) {
  std::stop_source stop;
  const SignalWatch signals([&stop](int, int) { stop.request_stop(); });
  const auto transfer = transfer_options(options.network);
  if (!transfer) return complain(transfer.error());
  const auto info = inspect_image(options.image, *transfer, stop.get_token());
  if (!info) return complain(info.error());
  return print(options.json ? to_json(*info) + '\n' : to_text(*info));
}

}  // namespace ingot::agent
