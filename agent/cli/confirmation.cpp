#include "agent/cli/confirmation.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

#include "agent/cli/target_summary.hpp"
#include "agent/text/text.hpp"
#include "agent/text/write_all.hpp"

namespace ingot::agent {
namespace {

constexpr std::size_t kLongestAnswer = 4096;

// A line from the terminal; nothing at its end.
Result<std::optional<std::string>> read_line(int in, const std::stop_token& stop) {
  constexpr int kLookMs = 100;  // for `stop`: a signal does not end poll() on this thread
  std::string line;
  for (;;) {
    if (stop.stop_requested()) return fail(Errc::cancelled, "cancelled at the question");
    pollfd ready{in, POLLIN, 0};
    const int got = ::poll(&ready, 1, kLookMs);
    if (got == 0 || (got < 0 && errno == EINTR)) continue;
    char c = 0;
    const ssize_t size = got < 0 ? -1 : ::read(in, &c, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return std::nullopt;
    if (c == '\n') return line;
    if (line.size() < kLongestAnswer) line += c;
  }
}

}  // namespace

Result<void> ask_for_confirmation(const std::string& device, int in, int out,
                                  std::stop_token stop) {
  if (::isatty(in) != 1)
    return fail(Errc::usage_confirmation,
                fmt::format("{} would be overwritten, and there is no terminal to ask on", device),
                "give --yes if that is what you want");
  struct stat now {};
  std::string question;
  if (::stat(device.c_str(), &now) == 0 && S_ISBLK(now.st_mode))
    question = describe(device, summarise_block_device(now.st_rdev));
  question +=
      fmt::format("Everything on it will be overwritten. Type the path of the device to go on: ");
  constexpr std::chrono::seconds kPatience{10};
  write_all(out, question, kPatience);
  const auto line = read_line(in, stop);
  if (!line || !*line) write_all(out, "\n", kPatience);  // no line end was typed
  INGOT_TRY_ASSIGN(const auto& answer, line);
  std::string_view text = answer ? std::string_view(*answer) : std::string_view();
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text == device) return {};
  return fail(Errc::usage_confirmation,
              fmt::format("the answer was not {}, so that is left as it is", device),
              "type the path exactly as given to --device, or use --yes");
}

}  // namespace ingot::agent
