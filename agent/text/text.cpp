#include "agent/text/text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <mutex>

#include "agent/text/write_all.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

// A ring of lines: the process may live for months.
class Said {
 public:
  void add(const std::string& line) {
    constexpr std::size_t kMost = 256UL << 10;
    const std::lock_guard lock(mutex_);
    lines_.push_back(line);
    size_ += line.size();
    for (; size_ > kMost && lines_.size() > 1; lines_.pop_front()) size_ -= lines_.front().size();
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    std::string all;
    all.reserve(size_);
    for (const std::string& line : lines_) all += line;
    return all;
  }

 private:
  std::mutex mutex_;
  std::deque<std::string> lines_;
  std::size_t size_ = 0;
};

Said& said() {
  static Said all;
  return all;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '\n' || c == '\t' || c == '\r') c = ' ';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return out;
}

std::string utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t length = byte < 0x80       ? 1
                               : byte >> 5 == 6  ? 2
                               : byte >> 4 == 14 ? 3
                               : byte >> 3 == 30 ? 4
                                                 : 0;
    bool good = length != 0 && at + length <= text.size();
    std::uint32_t code = length < 2 ? byte : byte & (0x7FU >> length);
    for (std::size_t i = 1; good && i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[at + i]);
      good = next >> 6 == 2;
      code = code << 6 | (next & 0x3FU);
    }
    static constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
    good = good && code >= kLeast[length] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    if (good) {
      out += text.substr(at, length);
      at += length;
    } else {
      out += "\xEF\xBF\xBD";
      ++at;
    }
  }
  return out;
}

namespace {

// The journal has the line already: a console that is not there, or takes nothing (flow control),
// is not waited for. Opened each time, since whoever else has it may hang it up (vhangup(2)).
void show_on_console(const std::string& line) {
  static const char* const path = std::getenv("INGOT_CONSOLE");
  if (path == nullptr) return;
  const UniqueFd console(::open(path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (console && ::isatty(console.get()) == 1)
    write_all(console.get(), line, std::chrono::milliseconds(0));
}

}  // namespace

void say(std::string_view text, Severity severity, std::string_view error_code) {
  constexpr std::chrono::seconds kPatience{10};
  const std::string shown = printable(text);
  const std::string line = "ingot: " + shown + '\n';
  said().add(line);
  if (logs_to_journal() && send_to_journal(severity, shown, error_code)) {
    show_on_console(line);
    return;
  }
  write_all(STDERR_FILENO, line, kPatience);
}

void say(std::string_view text) {
  say(text, text.starts_with("warning: ") ? Severity::warning : Severity::info);
}

std::string said_lately() {
  return said().text();
}

}  // namespace ingot::agent
