#include "agent/cli.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <utility>

#include "agent/cli_help.hpp"
#include "agent/quantity.hpp"
#include "agent/secrets.hpp"

namespace ingot::agent {
namespace {

// Values as they were typed, before they are understood.
struct RawNetwork {
  std::string connect_timeout, stall_timeout, retry_deadline;
};
struct RawWrite {
  std::string checksum, checksum_type = "auto", format = "auto", size, memory_limit, threads;
  std::string progress = "auto";
  RawNetwork network;
};
struct RawInfo {
  std::string output = "text";
  RawNetwork network;
};

template <class T>
using Names = std::array<std::pair<std::string_view, T>, 4>;
constexpr Names<ProgressMode> kProgressModes = {{{"auto", ProgressMode::automatic},
                                                 {"bar", ProgressMode::bar},
                                                 {"json", ProgressMode::json},
                                                 {"none", ProgressMode::none}}};

tl::unexpected<Error> wrong(std::string message, std::string_view command) {
  return fail(
      Errc::usage_option, std::move(message),
      fmt::format("`ingot {}{}--help` shows what there is", command, command.empty() ? "" : " "));
}

void add_network(CLI::App& app, NetworkOptions& network, RawNetwork& raw) {
  const char* const group = "Network";
  app.add_option("--ca-cert", network.ca_file, "trust the CA certificates in this PEM file")
      ->type_name("FILE")
      ->group(group);
  app.add_flag("--tls-insecure", network.tls_insecure,
               "do not verify who the server is (dangerous)")
      ->group(group);
  app.add_option("--proxy", network.proxy, "proxy for all requests (default: the environment's)")
      ->type_name("URL")
      ->group(group);
  app.add_option("--no-proxy", network.no_proxy,
                 "hosts to reach without a proxy, separated by commas; * for all")
      ->type_name("LIST")
      ->group(group);
  app.add_option("--user", network.user, "user name for the server (basic authorization)")
      ->type_name("NAME")
      ->group(group);
  app.add_option("--password-file", network.password_file,
                 "file whose first line is that user's password")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--connect-timeout", raw.connect_timeout, "give up connecting after (15s)")
      ->type_name("TIME")
      ->group(group);
  app.add_option("--stall-timeout", raw.stall_timeout,
                 "take a transfer for dead without a byte for (30s)")
      ->type_name("TIME")
      ->group(group);
  app.add_option("--retry-deadline", raw.retry_deadline,
                 "give up retrying without a new byte for (5m)")
      ->type_name("TIME")
      ->group(group);
}

void add_image(CLI::App& app, WriteOptions& options, RawWrite& raw) {
  const char* const group = "Image";
  app.add_option("--osimage", options.os_image,
                 "manifest that names the image and its checksum (YAML or\n"
                 "JSON; - for standard input)")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--image-url", options.image_urls,
                 "the image; given again: mirrors of the same file, tried\n"
                 "in this order")
      ->type_name("URL")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--image-checksum", raw.checksum,
                 "digest of the file as served, or the URL of a checksum\n"
                 "file that lists it (SHA256SUMS and the like)")
      ->type_name("SUM|URL")
      ->group(group);
  app.add_option("--image-checksum-type", raw.checksum_type,
                 "md5, sha256, sha512, or auto: by its length (default)")
      ->type_name("TYPE")
      ->group(group);
  app.add_option("--image-format", raw.format,
                 "raw, qcow2, vmdk, vhd, vhdx, vdi, or auto: by content\n"
                 "(default). One that the content contradicts is refused")
      ->type_name("FORMAT")
      ->group(group);
  app.add_flag("--insecure-no-checksum", options.no_checksum_accepted,
               "accept an image without a checksum (one that is given is\n"
               "verified all the same)")
      ->group(group);
  app.add_flag("--allow-unrecognized", options.allow_unrecognized,
               "accept raw data with neither partition table nor file system")
      ->group(group);
}

void add_target(CLI::App& app, WriteOptions& options, RawWrite& raw) {
  const char* const group = "Target";
  app.add_option("--device", options.device, "the disk, or a regular file (required)")
      ->type_name("DEV")
      ->group(group);
  app.add_option("--size", raw.size,
                 "create the target as a sparse file of this size\n"
                 "(bytes, or with K, M, G, T)")
      ->type_name("BYTES")
      ->group(group);
  app.add_flag("--yes", options.yes, "do not ask before a disk is overwritten")->group(group);
  app.add_flag("--dry-run", options.dry_run, "do everything but write")->group(group);
}

void add_reporting(CLI::App& app, WriteOptions& options, RawWrite& raw) {
  const char* const group = "Reporting";
  app.add_option("--progress", raw.progress,
                 "bar, json (one event a line on standard output), none, or\n"
                 "auto: a bar on a terminal (default)")
      ->type_name("MODE")
      ->group(group);
  app.add_option("--report-url", options.report_url, "POST every event there (CloudEvents, JSON)")
      ->type_name("URL")
      ->group(group);
  app.add_option("--report-token-file", options.report_token_file,
                 "file whose first line is the bearer token for it")
      ->type_name("FILE")
      ->group(group);
}

void add_resources(CLI::App& app, WriteOptions& options, RawWrite& raw) {
  const char* const group = "Resources";
  app.add_option("--memory-limit", raw.memory_limit, "memory for image data (64M; at least 32M)")
      ->type_name("BYTES")
      ->group(group);
  app.add_option("--scratch-dir", options.scratch_dir,
                 "where an image may be stored that neither streams nor fits\n"
                 "on the disk behind its own contents (default: nowhere)")
      ->type_name("DIR")
      ->group(group);
  app.add_option("--threads", raw.threads,
                 "decoding threads, 1 to 16 (default: one more than the cores,\n"
                 "at most 8)")
      ->type_name("N")
      ->group(group);
}

// --- From words to meaning -----------------------------------------------------------------------

Result<void> understand(const CLI::App& app, const RawNetwork& raw, NetworkOptions& network) {
  const auto time = [](const std::string& text, std::string_view option,
                       std::chrono::milliseconds& into) -> Result<void> {
    if (text.empty()) return {};
    INGOT_TRY_ASSIGN(into, parse_duration(text, option));
    return {};
  };
  INGOT_TRY(time(raw.connect_timeout, "--connect-timeout", network.connect_timeout));
  INGOT_TRY(time(raw.stall_timeout, "--stall-timeout", network.stall_timeout));
  INGOT_TRY(time(raw.retry_deadline, "--retry-deadline", network.retry_deadline));
  if (network.user.empty() != network.password_file.empty())
    return wrong("--user and --password-file belong together", app.get_name());
  if (network.user.find(':') != std::string::npos)
    return wrong("--user: a user name with ':' cannot be sent", app.get_name());
  return {};
}

Result<void> understand(const CLI::App& app, const RawWrite& raw, WriteOptions& options) {
  const auto given = [&app](const char* option) { return app.count(option) > 0; };
  if (given("--osimage")) {
    for (const char* other : {"--image-url", "--image-checksum", "--image-checksum-type"})
      if (given(other))
        return wrong(fmt::format("{} and --osimage exclude each other: the manifest says which "
                                 "image it is",
                                 other),
                     "write");
  } else if (options.image_urls.empty()) {
    return wrong("no image: give --osimage or --image-url", "write");
  }
  if (options.device.empty()) return wrong("no target: give --device", "write");

  INGOT_TRY_ASSIGN(options.checksum.type, imaging::parse_digest_type(raw.checksum_type));
  options.checksum.value_or_url = raw.checksum;
  if (given("--image-checksum-type") && !given("--image-checksum"))
    return wrong("--image-checksum-type without --image-checksum", "write");
  if (!raw.checksum.empty() && !imaging::is_checksum_url(raw.checksum))
    INGOT_TRY(imaging::parse_checksum(raw.checksum, options.checksum.type));
  if (!given("--osimage") && raw.checksum.empty() && !options.no_checksum_accepted)
    return fail(Errc::usage_checksum, "no checksum: nothing would tell whether the image is right",
                "give --image-checksum (a value, or the URL of a list like SHA256SUMS), or "
                "--insecure-no-checksum");

  if (raw.format != "auto") {
    options.format = imaging::image_format_from(raw.format);
    if (!options.format)
      return wrong(fmt::format("--image-format: '{}' is none of auto, raw, qcow2, vmdk, vhd, vhdx, "
                               "vdi",
                               raw.format),
                   "write");
  }
  const auto* const mode = std::ranges::find(kProgressModes, raw.progress,
                                             &std::pair<std::string_view, ProgressMode>::first);
  if (mode == kProgressModes.end())
    return wrong(fmt::format("--progress: '{}' is none of auto, bar, json, none", raw.progress),
                 "write");
  options.progress = mode->second;
  if (given("--size")) {
    INGOT_TRY_ASSIGN(options.size, parse_size(raw.size, "--size"));
    if (*options.size == 0 || *options.size > INT64_MAX)
      return wrong("--size: out of range", "write");
  }
  if (given("--memory-limit")) {
    INGOT_TRY_ASSIGN(options.memory_limit, parse_size(raw.memory_limit, "--memory-limit"));
  }
  INGOT_TRY_ASSIGN(const MemoryBudget budget, split_memory(options.memory_limit));
  static_cast<void>(budget);
  if (given("--threads")) {
    const bool digits = !raw.threads.empty() && raw.threads.size() <= 2 &&
                        raw.threads.find_first_not_of("0123456789") == std::string::npos;
    options.threads = digits ? static_cast<unsigned>(std::stoul(raw.threads)) : 0;
    if (options.threads < 1 || options.threads > kMaxThreads)
      return wrong(
          fmt::format("--threads: '{}' is no number from 1 to {}", raw.threads, kMaxThreads),
          "write");
  }
  if (!options.report_token_file.empty() && options.report_url.empty())
    return wrong("--report-token-file without --report-url", "write");
  if (!options.report_url.empty() && !options.report_url.starts_with("http://") &&
      !options.report_url.starts_with("https://"))
    return wrong("--report-url: only http and https URLs can be reported to", "write");
  return understand(app, raw.network, options.network);
}

Result<Command> parse(const std::vector<std::string>& words) {
  if (words.empty()) return wrong("no command: give write or image-info", "");
  if (!words.front().starts_with('-') && words.front() != "write" && words.front() != "image-info")
    return wrong(
        fmt::format("no command '{}': there are write and image-info", redact_text(words.front())),
        "");
  CLI::App app(std::string(kAbout), "ingot");
  app.set_version_flag("--version", std::string("ingot " INGOT_VERSION));
  app.footer(std::string(kTopFooter));
  app.require_subcommand(1);
  app.get_formatter()->column_width(32);

  WriteOptions write;
  RawWrite raw_write;
  CLI::App& write_app = *app.add_subcommand("write", "write an image onto a disk");
  write_app.description(std::string(kWriteAbout));
  write_app.footer(std::string(kWriteFooter));
  add_image(write_app, write, raw_write);
  add_target(write_app, write, raw_write);
  add_reporting(write_app, write, raw_write);
  add_resources(write_app, write, raw_write);
  add_network(write_app, write.network, raw_write.network);

  ImageInfoOptions info;
  RawInfo raw_info;
  CLI::App& info_app = *app.add_subcommand("image-info", "say what an image is");
  info_app.description(std::string(kInfoAbout));
  info_app.footer(std::string(kInfoFooter));
  info_app.add_option("image", info.image, "the image (required)")->type_name("FILE|URL");
  info_app.add_option("-o,--output", raw_info.output, "text (default) or json")->type_name("FORM");
  add_network(info_app, info.network, raw_info.network);

  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());  // as CLI11 wants it
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    for (const CLI::App* sub : app.get_subcommands()) return ShowText{sub->help("ingot")};
    return ShowText{app.help()};
  } catch (const CLI::CallForVersion& version) {
    return ShowText{std::string(version.what()) + '\n'};
  } catch (const CLI::ParseError& error) {
    const auto subs = app.get_subcommands();
    return wrong(redact_text(error.what()), subs.empty() ? "" : subs.front()->get_name());
  }
  // An option that was given with nothing in it ("--proxy $UNSET") is a mistake, not a default.
  for (const CLI::App* sub : app.get_subcommands())
    for (const CLI::Option* option : sub->get_options())
      for (const std::string& value : option->results())
        if (value.empty()) return wrong(option->get_name() + ": empty", sub->get_name());

  if (write_app.parsed()) {
    INGOT_TRY(understand(write_app, raw_write, write));
    return write;
  }
  if (info.image.empty()) return wrong("no image: give a file or a URL", "image-info");
  if (raw_info.output != "text" && raw_info.output != "json")
    return wrong(fmt::format("--output: '{}' is neither text nor json", raw_info.output),
                 "image-info");
  info.json = raw_info.output == "json";
  INGOT_TRY(understand(info_app, raw_info.network, info.network));
  return info;
}

}  // namespace

Result<Command> parse_command_line(const std::vector<std::string>& words) {
  try {
    return parse(words);
  } catch (const std::exception& error) {
    return fail(Errc::internal_bug,
                std::string("reading the command line: ") + redact_text(error.what()));
  }
}

bool asks_for_json_progress(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i)
    if (words[i] == "--progress=json" ||
        (words[i] == "--progress" && i + 1 < words.size() && words[i + 1] == "json"))
      return true;
  return false;
}

}  // namespace ingot::agent
