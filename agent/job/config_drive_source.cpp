#include "agent/job/config_drive_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string_view>

#include "agent/job/config_drive_files.hpp"
#include "agent/job/secrets.hpp"
#include "disk/core/unique_fd.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

using imaging::SecretBytes;

constexpr std::string_view kOption = "--config-drive";
constexpr const char* kAdvice =
    "name a file, an http or https URL, or give base64 text; docs/config-drive.md shows each";

Error in_usage(const std::string& what, int error) {
  return system_error(Errc::usage_config_drive, what, error, kAdvice);
}

// Everything in a file, at most `limit` bytes; "-" is standard input. FIFOs are welcome (process
// substitution), so this may wait for a writer, as every program does that reads from one.
Result<SecretBytes> read_file(const std::string& path, std::string_view option,
                              std::uint64_t limit) {
  const bool standard = path == "-";
  const auto what = fmt::format("{}: reading {}", option, standard ? "standard input" : path);
  UniqueFd opened;
  if (!standard) {
    opened = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return tl::unexpected(in_usage(what, errno));
  }
  const int fd = standard ? STDIN_FILENO : opened.get();
  SecretBytes bytes;
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
    bytes.reserve(std::min<std::uint64_t>(static_cast<std::uint64_t>(status.st_size), limit) + 1);
  std::array<std::byte, 64 * 1024> part;
  for (;;) {
    const ssize_t got = ::read(fd, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    const int error = errno;
    if (got > 0) bytes.insert(bytes.end(), part.begin(), part.begin() + got);
    ::explicit_bzero(part.data(), part.size());
    if (got < 0) return tl::unexpected(in_usage(what, error));
    if (got == 0) return bytes;
    if (bytes.size() > limit)
      return fail(Errc::usage_config_drive,
                  fmt::format("{}: it is larger than {}", what, format_bytes(limit)), kAdvice);
  }
}

bool is_url(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos) return false;
  std::string lower(text.substr(0, scheme));
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower == "http" || lower == "https" || lower == "file";
}

Result<imaging::ConfigDrive> with_context(Result<imaging::ConfigDrive> drive,
                                          const std::string& what) {
  if (!drive) return tl::unexpected(drive.error().with_context(what));
  return drive;
}

Result<imaging::ConfigDrive> load_existing(const ConfigDriveOptions& options,
                                           imaging::TransferOptions transfer,
                                           const std::stop_token& stop) {
  const std::string& value = options.config_drive;
  if (is_url(value)) {
    if (options.anonymous) {
      transfer.user.clear();
      transfer.password.clear();
      transfer.authorization.clear();
    }
    const auto what = fmt::format("{} {}", kOption, redacted(value));
    const auto bytes = imaging::fetch_secret(value, transfer, imaging::kMaxConfigDriveText, stop);
    if (!bytes) return tl::unexpected(bytes.error().with_context(std::string(kOption)));
    return with_context(imaging::open_config_drive(*bytes), what);
  }
  // Who named it from elsewhere has no files here.
  if (!transfer.allow_file)
    return with_context(imaging::open_config_drive(std::as_bytes(std::span(value))),
                        "the config drive in base64");
  struct stat status {};
  if (value == "-" || ::stat(value.c_str(), &status) == 0) {
    INGOT_TRY_ASSIGN(const SecretBytes bytes,
                     read_file(value, kOption, imaging::kMaxConfigDriveText));
    return with_context(imaging::open_config_drive(bytes),
                        fmt::format("{} {}", kOption, value == "-" ? "(standard input)" : value));
  }
  const int error = errno;
  // A mistyped path is shown, what may be a secret is not.
  if (!may_be_base64(value))
    return tl::unexpected(in_usage(fmt::format("{} {}", kOption, value), error));
  return with_context(imaging::open_config_drive(std::as_bytes(std::span(value))),
                      fmt::format("{} (no file of that name: taken for base64 text)", kOption));
}

std::string_view text_of(const SecretBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// What `make` makes of a file, with errors that name option and file.
template <class Make>
Result<SecretBytes> made_of(const std::string& path, std::string_view option, Make make) {
  INGOT_TRY_ASSIGN(const SecretBytes bytes, read_file(path, option, imaging::kMaxConfigDrive));
  auto made = make(text_of(bytes));
  if (!made)
    return tl::unexpected(made.error().with_context(
        fmt::format("{} {}", option, path == "-" ? "(standard input)" : path)));
  return *std::move(made);
}

Result<imaging::ConfigDrive> build(const ConfigDriveOptions& options, std::stop_token stop) {
  imaging::ConfigDriveFiles files;
  if (options.meta_data.empty()) {
    INGOT_TRY_ASSIGN(files.meta_data, make_meta_data(std::nullopt));
  } else {
    INGOT_TRY_ASSIGN(files.meta_data,
                     made_of(options.meta_data, "--meta-data",
                             [](std::string_view text) { return make_meta_data(text); }));
  }
  if (!options.network_data.empty()) {
    INGOT_TRY_ASSIGN(files.network_data,
                     made_of(options.network_data, "--network-data", make_network_data));
  }
  if (!options.user_data.empty()) {
    INGOT_TRY_ASSIGN(files.user_data,
                     read_file(options.user_data, "--user-data", imaging::kMaxConfigDrive));
  }
  return imaging::build_config_drive(std::move(files), std::move(stop));
}

}  // namespace

Result<std::optional<imaging::ConfigDrive>> load_config_drive(
    const ConfigDriveOptions& options, const imaging::TransferOptions& transfer,
    std::stop_token stop) {
  if (!options.wanted()) return std::nullopt;
  const std::array files = {&options.user_data, &options.meta_data, &options.network_data};
  if (!options.config_drive.empty()) {
    if (!std::ranges::all_of(files, &std::string::empty, [](auto* file) { return *file; }))
      return fail(Errc::usage_option,
                  "--config-drive together with --user-data, --meta-data or --network-data",
                  "give a whole config drive, or the files to make one of");
    INGOT_TRY_ASSIGN(imaging::ConfigDrive drive, load_existing(options, transfer, stop));
    return drive;
  }
  if (std::ranges::count(files, "-", [](auto* file) { return *file; }) > 1)
    return fail(Errc::usage_option,
                "more than one of --user-data, --meta-data and --network-data "
                "is to come from standard input",
                "give the others as files");
  INGOT_TRY_ASSIGN(imaging::ConfigDrive drive, build(options, std::move(stop)));
  return drive;
}

}  // namespace ingot::agent
