#include "agent/process/secrets.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "disk/core/unique_fd.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

constexpr std::size_t kMaxSecret = 4096;

// Longer words than this are no paths and no checksums of ours (sha512: 128 characters).
constexpr std::size_t kLongestShown = 255;

bool looks_like_path(std::string_view word) noexcept {
  // No image, and no gzip data, starts with what base64 writes as '/', and none of its characters
  // is '.' or '~'.
  return word.size() <= kLongestShown && (word.starts_with('/') || word.starts_with('~') ||
                                          word.find('.') != std::string_view::npos);
}

bool is_base64(std::string_view word) noexcept {
  for (const char c : word)
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
          c == '/' || c == '='))
      return false;
  return true;
}

// A word that nobody but base64 writes.
bool is_long_base64(std::string_view word) noexcept {
  return word.size() > kLongestShown && is_base64(word);
}

// The value of --config-drive, unless it is a path or URL, and any other word of that kind.
void scrub_base64(char* argument, bool of_config_drive) noexcept {
  constexpr std::string_view kOption = "--config-drive=";
  std::string_view word(argument);
  if (word.starts_with(kOption)) {
    of_config_drive = true;
    argument += kOption.size();
    word.remove_prefix(kOption.size());
  }
  const bool secret =
      of_config_drive ? may_be_base64(word) && word.find("://") == word.npos : is_long_base64(word);
  if (secret && ::access(argument, F_OK) != 0) std::memset(argument, '*', word.size());
}

// One argument, NUL-terminated. No library here: this must not fail.
void scrub(char* argument) noexcept {
  for (char* scheme = std::strstr(argument, "://"); scheme != nullptr;
       scheme = std::strstr(scheme + 3, "://")) {
    char* const authority = scheme + 3;
    char* const path = authority + std::strcspn(authority, "/?#");
    // The last '@' ends the userinfo: a password with an unescaped one is scrubbed whole.
    char* at = nullptr;
    for (char* c = authority; c != path; ++c)
      if (*c == '@') at = c;
    // The password may hold an unescaped '/', '?' or '#' as well; such a URL is wrong, but no
    // reason to show it.
    if (at == nullptr && std::strchr(path, '@') != nullptr &&
        std::strchr(authority, ':') != nullptr && std::strchr(authority, ':') < path)
      at = std::strrchr(path, '@');
    for (char* c = authority; at != nullptr && c != at; ++c) *c = '*';

    bool value = false;
    char* const query = std::strchr(at != nullptr ? at : path, '?');
    for (char* c = query; c != nullptr && *c != '\0' && *c != '#'; ++c) {
      if (*c == '&' || *c == '?' || *c == ';')
        value = false;
      else if (value)
        *c = '*';
      else if (*c == '=')
        value = true;
    }
  }
}

}  // namespace

void scrub_arguments(int argc, char** argv) noexcept {
  for (int i = 1; i < argc; ++i) {
    scrub(argv[i]);
    scrub_base64(argv[i], i > 1 && std::strcmp(argv[i - 1], "--config-drive") == 0);
  }
}

bool may_be_base64(std::string_view word) noexcept {
  return !word.empty() && word != "-" && !looks_like_path(word);
}

std::string redact_text(std::string_view text) {
  static constexpr std::string_view kSeparators = " \t\n\"'<>,=";
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    // "--option=https://…": the URL starts behind the first separator before its scheme and goes
    // on, '=' and ',' included, to white space.
    const std::size_t end = std::min(text.find_first_of(" \t\n\"'<>", at), text.size());
    const std::string_view word = text.substr(at, end - at);
    const std::size_t scheme = word.find("://");
    if (scheme == std::string_view::npos) {
      // "--option=" in front of it belongs to the text.
      const std::size_t value = word.starts_with("--") ? word.find('=') + 1 : 0;
      out += is_long_base64(word.substr(value)) ? std::string(word.substr(0, value)) + "***"
                                                : std::string(word);
    } else {
      const std::size_t before = word.find_last_of(kSeparators, scheme);
      const std::size_t start = before == std::string_view::npos ? 0 : before + 1;
      out += word.substr(0, start);
      out += redacted(word.substr(start));
    }
    if (end < text.size()) out += text[end];
    at = end + 1;
  }
  return out;
}

Result<std::string> read_secret(const std::string& path, std::string_view option) {
  const auto what = fmt::format("{}: reading {}", option, path);
  // A FIFO is welcome (process substitution), so this may wait for its writer.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return tl::unexpected(system_error(Errc::usage_option, what, errno,
                                       "name a readable file whose first line is the secret"));
  std::array<char, kMaxSecret + 2> buffer;
  std::size_t size = 0;
  while (size < buffer.size()) {
    const ssize_t got = ::read(fd.get(), buffer.data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(system_error(Errc::usage_option, what, errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  std::string_view line(buffer.data(), size);
  line = line.substr(0, line.find('\n'));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  std::string secret(line);
  ::explicit_bzero(buffer.data(), buffer.size());
  const char* problem = nullptr;
  if (secret.empty()) problem = "its first line is empty";
  if (secret.size() > kMaxSecret) problem = "its first line is longer than 4 KiB";
  for (const char c : secret)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      problem = "its first line holds control characters";
  if (problem != nullptr)
    return fail(Errc::usage_option, fmt::format("{}: {}", what, problem),
                "put the secret alone on the first line");
  return secret;
}

}  // namespace ingot::agent
