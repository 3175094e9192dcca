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
#include "agent/process/secrets.hpp"
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
                                           const imaging::TransferOptions& transfer,
                                           const std::stop_token& stop) {
  const std::string& value = options.config_drive;
  if (is_url(value)) {
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

// The parts of a drive of our own come from files or URLs, or are there already.
class Parts {
 public:
  Parts(const ConfigDriveOptions& options, const imaging::TransferOptions& transfer,
        const std::stop_token& stop)
      : options_(options), transfer_(transfer), stop_(stop) {}

  Result<imaging::ConfigDrive> build() const {
    imaging::ConfigDriveFiles files;
    INGOT_TRY_ASSIGN(const auto meta_data,
                     part(&ConfigDriveOptions::meta_data, &ConfigDriveTexts::meta_data, "meta data",
                          "--meta-data"));
    INGOT_TRY_ASSIGN(files.meta_data,
                     made_of(meta_data, [](const auto& text) { return make_meta_data(text); }));
    INGOT_TRY_ASSIGN(const auto network_data,
                     part(&ConfigDriveOptions::network_data, &ConfigDriveTexts::network_data,
                          "network data", "--network-data"));
    if (network_data.bytes) {
      INGOT_TRY_ASSIGN(files.network_data, made_of(network_data, [](const auto& text) {
                         return make_network_data(*text);
                       }));
    }
    INGOT_TRY_ASSIGN(auto user_data,
                     part(&ConfigDriveOptions::user_data, &ConfigDriveTexts::user_data, "user data",
                          "--user-data"));
    files.user_data = std::move(user_data.bytes);
    return imaging::build_config_drive(std::move(files), stop_);
  }

 private:
  struct Part {
    std::optional<SecretBytes> bytes;  // nothing: not given
    std::string name;                  // for messages
  };

  Result<Part> part(std::string ConfigDriveOptions::*option, std::string ConfigDriveTexts::*text,
                    std::string_view what, std::string_view option_name) const {
    if (options_.texts) {
      const std::string& given = (*options_.texts).*text;
      const auto bytes = std::as_bytes(std::span(given));
      Part part{std::nullopt, fmt::format("the request's {}", what)};
      if (!given.empty()) part.bytes.emplace(bytes.begin(), bytes.end());
      return part;
    }
    const std::string& value = options_.*option;
    if (value.empty()) return Part{std::nullopt, std::string(option_name)};
    Part part{std::nullopt, fmt::format("{} {}", option_name,
                                        value == "-" ? "(standard input)" : redacted(value))};
    if (is_url(value)) {
      auto fetched = imaging::fetch_secret(value, transfer_, imaging::kMaxConfigDrive, stop_);
      if (!fetched) return tl::unexpected(fetched.error().with_context(std::string(option_name)));
      part.bytes = *std::move(fetched);
    } else {
      INGOT_TRY_ASSIGN(part.bytes, read_file(value, option_name, imaging::kMaxConfigDrive));
    }
    return part;
  }

  // What `make` makes of it, with errors that name it.
  template <class Make>
  static Result<SecretBytes> made_of(const Part& part, Make make) {
    std::optional<std::string_view> text;
    if (part.bytes) text = text_of(*part.bytes);
    auto made = make(text);
    if (!made) return tl::unexpected(made.error().with_context(part.name));
    return *std::move(made);
  }

  const ConfigDriveOptions& options_;
  const imaging::TransferOptions& transfer_;
  const std::stop_token& stop_;
};

}  // namespace

Result<std::optional<imaging::ConfigDrive>> load_config_drive(
    const ConfigDriveOptions& options, const imaging::TransferOptions& network,
    std::stop_token stop) {
  if (!options.wanted()) return std::nullopt;
  imaging::TransferOptions transfer = network;
  if (options.anonymous) {
    transfer.user.clear();
    transfer.password.clear();
    transfer.authorization.clear();
  }
  const std::array files = {&options.user_data, &options.meta_data, &options.network_data};
  const bool any_file =
      !std::ranges::all_of(files, &std::string::empty, [](auto* file) { return *file; });
  if (options.texts && (any_file || !options.config_drive.empty()))
    return fail(Errc::usage_option, "a config drive of the request and another one",
                "give one of them");
  if (!options.config_drive.empty()) {
    if (any_file)
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
  INGOT_TRY_ASSIGN(imaging::ConfigDrive drive, Parts(options, transfer, stop).build());
  return drive;
}

}  // namespace ingot::agent
