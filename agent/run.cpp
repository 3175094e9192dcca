#include "agent/run.hpp"

#include <unistd.h>

#include <cerrno>
#include <exception>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "agent/cli.hpp"
#include "agent/devices_command.hpp"
#include "agent/erase_command.hpp"
#include "agent/event.hpp"
#include "agent/exit_code.hpp"
#include "agent/image_info.hpp"
#include "agent/json_lines.hpp"
#include "agent/network.hpp"
#include "agent/process.hpp"
#include "agent/result_text.hpp"
#include "agent/secrets.hpp"
#include "agent/signal_watch.hpp"
#include "agent/text.hpp"
#include "agent/verify_command.hpp"
#include "agent/write_command.hpp"

namespace ingot::agent {
namespace {

constexpr std::chrono::seconds kReaderPatience{30};  // of standard output's

int complain(const Error& error) {
  for (const std::string& line : describe(error)) say(line);
  return exit_code(error.cls());
}

int print(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text, kReaderPatience);
  if (error == 0 || error == EPIPE) return kExitDone;  // `| head` has seen enough
  return complain(system_error(Errc::usage_option, "writing to standard output", error));
}

int run_command(const ShowText& show) {
  return print(show.text);
}

int run_command(const WriteOptions& options) {
  return run_write(options);
}

int run_command(const VerifyOptions& options) {
  return run_verify(options);
}

int run_command(const EraseCommandOptions& options) {
  return run_erase(options);
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

int run_command(const DevicesOptions& options) {
  const auto report = look_at_devices(options);
  if (!report) return complain(report.error());
  const int printed = print(options.json ? to_json(*report) + '\n' : to_text(*report));
  const bool chosen = !report->choice || !report->choice->no_match;
  return printed != kExitDone || chosen ? printed : complain(*report->choice->no_match);
}

}  // namespace

int run(int argc, char** argv) {
  try {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    scrub_arguments(argc, argv);
    const auto command = parse_command_line(words);
    if (command)
      return std::visit([](const auto& parsed) { return run_command(parsed); }, *command);
    if (asks_for_json_progress(words)) {
      JobResult result;
      result.error = command.error();
      result.peak_rss = peak_rss();
      write_all(STDOUT_FILENO, to_json(result_event(result), 0, random_uuid()) + '\n',
                kReaderPatience);
    }
    return complain(command.error());
  } catch (const std::exception& error) {
    return complain(Error(Errc::internal_bug, std::string("unexpected: ") + error.what(),
                          "report this with what you did"));
  }
}

}  // namespace ingot::agent
