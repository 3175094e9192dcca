#include "agent/cli/run.hpp"

#include "agent/cli/command_line.hpp"
#include "agent/cli/commands.hpp"
#include "agent/job/job.hpp"
#include "agent/process/exit_code.hpp"
#include "agent/process/secrets.hpp"
#include "agent/reference/write_reference.hpp"
#include "agent/report/event.hpp"
#include "agent/report/result_text.hpp"
#include "agent/text/text.hpp"
#include "agent/text/write_all.hpp"

namespace ingot::agent {
namespace {

constexpr std::chrono::seconds kReaderPatience{30};  // of standard output's

}  // namespace

int complain(const Error& error) {
  say(error);
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

int run_command(const GenerateReference& generate) {
  const auto written = write_reference(command_line_reference(), generate.directory);
  return written ? kExitDone : complain(written.error());
}

int run(int argc, char** argv) {
  try {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    scrub_arguments(argc, argv);
    const auto command = parse_command_line(words);
    if (command)
      return std::visit([](const auto& parsed) { return run_command(parsed); }, *command);
    if (asks_for_json_progress(words)) {
      const JobResult result = failed_job(command.error(), {});
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
