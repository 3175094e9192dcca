#include "agent/machine/kernel_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPage = 4096;  // no attribute of sysfs is longer
constexpr std::size_t kMostNames = 65536;

// The code point at the start of `text` and the length of its encoding; length 0 if malformed.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;
};

CodePoint code_point(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  char32_t value = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80U) return {};
    value = value << 6 | (next & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kLeast[length] || surrogate || value > 0x10FFFF) return {};
  return {value, length};
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto [value, length] = code_point(text);
    const bool control = value < 0x20 || (value >= 0x7F && value < 0xA0);
    if (length != 0 && !control) out += text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  const auto first = out.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return out.substr(first, out.find_last_not_of(' ') - first + 1);
}

std::string read_bytes(const fs::path& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return {};
  std::string out;
  std::array<char, 16384> chunk;
  while (out.size() < limit) {
    const ssize_t got = ::read(fd.get(), chunk.data(), std::min(chunk.size(), limit - out.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    out.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return out;
}

std::string read_text(const fs::path& path) {
  return clean_text(read_bytes(path, kPage));
}

std::optional<std::uint64_t> read_number(const fs::path& path) {
  const std::string text = read_text(path);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end;
       !error && it != end && names.size() < kMostNames; it.increment(error))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string link_name(const fs::path& path) {
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  return error ? std::string() : clean_text(target.filename().string());
}

}  // namespace ingot::agent
