// The option groups that several commands share.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <utility>

#include "agent/cli/grammar.hpp"
#include "agent/job/root_device_hints.hpp"
#include "agent/reference/allowed_values.hpp"
#include "agent/text/mac_address.hpp"
#include "agent/text/quantity.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

template <class T>
using Names = std::array<std::pair<std::string_view, T>, 4>;
constexpr Names<ProgressMode> kProgressModes = {{{"auto", ProgressMode::automatic},
                                                 {"bar", ProgressMode::bar},
                                                 {"json", ProgressMode::json},
                                                 {"none", ProgressMode::none}}};

}  // namespace

tl::unexpected<Error> wrong(std::string message, std::string_view command) {
  return fail(
      Errc::usage_option, std::move(message),
      fmt::format("`ingot {}{}--help` shows what there is", command, command.empty() ? "" : " "));
}

CLI::App& add_command(CLI::App& ingot, const std::string& name, const std::string& summary,
                      std::string_view about, std::string_view footer) {
  CLI::App& app = *ingot.add_subcommand(name, summary);
  app.description(std::string(about));
  app.footer(std::string(footer));
  return app;
}

void OptionGroup::value(const char* option, std::string& into, const char* type,
                        const char* help) const {
  app_.add_option(option, into, help)->type_name(type)->group(name_);
}

void OptionGroup::each(const char* option, std::vector<std::string>& into, const char* type,
                       const char* help) const {
  // Not greedy: what follows a value is no second one.
  app_.add_option(option, into, help)->type_name(type)->allow_extra_args(false)->group(name_);
}

void OptionGroup::choice(const char* option, std::string& into, const char* type,
                         const std::vector<std::string>& values, const char* help) const {
  allow_only(*app_.add_option(option, into, help)->type_name(type)->group(name_), values);
}

void OptionGroup::flag(const char* option, bool& into, const char* help) const {
  app_.add_flag(option, into, help)->group(name_);
}

bool CommandGrammar::given(const char* option) const {
  return app_.count(option) > 0;
}

void CommandGrammar::add_output(CLI::App& app, std::string& into) {
  allow_only(*app.add_option("-o,--output", into, "text (default) or json")->type_name("FORM"),
             {"text", "json"});
}

NetworkGrammar::NetworkGrammar(CLI::App& app) : app_(app) {
  const OptionGroup add(app, "Network");
  add.value("--ca-cert", options_.ca_file, "FILE", "trust the CA certificates in this PEM file");
  add.flag("--tls-insecure", options_.tls_insecure, "do not verify who the server is (dangerous)");
  add.value("--proxy", options_.proxy, "URL",
            "proxy for all requests (default: the environment's)");
  add.value("--no-proxy", options_.no_proxy, "LIST",
            "hosts to reach without a proxy, separated by commas; * for all");
  add.value("--user", options_.user, "NAME", "user name for the server (basic authorization)");
  add.value("--password-file", options_.password_file, "FILE",
            "file whose first line is that user's password");
  add.value("--connect-timeout", connect_timeout_, "TIME", "give up connecting after (15s)");
  add.value("--stall-timeout", stall_timeout_, "TIME",
            "take a transfer for dead without a byte for (30s)");
  add.value("--retry-deadline", retry_deadline_, "TIME",
            "give up retrying without a new byte for (5m)");
  add.value("--platform", options_.platform, "OS/ARCH",
            "which image of a registry's index (default: this\n"
            "machine's, e.g. linux/amd64)");
}

Result<NetworkOptions> NetworkGrammar::understand() {
  const auto time = [](const std::string& text, std::string_view option,
                       std::chrono::milliseconds& into) -> Result<void> {
    if (text.empty()) return {};
    INGOT_TRY_ASSIGN(into, parse_duration(text, option));
    return {};
  };
  INGOT_TRY(time(connect_timeout_, "--connect-timeout", options_.connect_timeout));
  INGOT_TRY(time(stall_timeout_, "--stall-timeout", options_.stall_timeout));
  INGOT_TRY(time(retry_deadline_, "--retry-deadline", options_.retry_deadline));
  if (options_.user.empty() != options_.password_file.empty())
    return wrong("--user and --password-file belong together", app_.get_name());
  if (options_.user.find(':') != std::string::npos)
    return wrong("--user: a user name with ':' cannot be sent", app_.get_name());
  return options_;
}

ImageGrammar::ImageGrammar(CLI::App& app) : app_(app) {
  const OptionGroup add(app, "Image");
  add.value("--osimage", os_image_, "FILE",
            "manifest that names the image and its checksum (YAML or\n"
            "JSON; - for standard input)");
  add.each("--image-url", options_.urls, "URL",
           "the image: http, https, file, or oci://HOST/NAME:TAG in a\n"
           "registry; given again: mirrors of the same file, tried in\n"
           "this order");
  add.value("--image-checksum", checksum_, "SUM|URL",
            "digest of the file as served (HEX or sha256:HEX), or the\n"
            "URL of a checksum file that lists it (SHA256SUMS and the\n"
            "like)");
  add.value("--image-checksum-type", checksum_type_, "TYPE",
            "md5, sha256, sha512, or auto: by what names it, or its\n"
            "length (default)");
  suggest(*app.get_option("--image-checksum-type"), {"auto", "md5", "sha256", "sha512"});
  add.choice("--image-format", format_, "FORMAT",
             {"auto", "raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"},
             "raw, qcow2, vmdk, vhd, vhdx, vdi, or auto: by content\n"
             "(default). One that the content contradicts is refused");
  add.flag("--insecure-no-checksum", options_.no_checksum_accepted,
           "accept an image without a checksum (one that is given is\n"
           "verified all the same)");
  add.flag("--allow-unrecognized", options_.allow_unrecognized,
           "accept raw data with neither partition table nor file system");
}

bool ImageGrammar::given(const char* option) const {
  return app_.count(option) > 0;
}

Result<ImageOptions> ImageGrammar::understand() {
  const std::string command = app_.get_name();
  if (given("--osimage")) {
    for (const char* other : {"--image-url", "--image-checksum", "--image-checksum-type"})
      if (given(other))
        return wrong(fmt::format("{} and --osimage exclude each other: the manifest says which "
                                 "image it is",
                                 other),
                     command);
  } else if (options_.urls.empty()) {
    return wrong("no image: give --osimage or --image-url", command);
  }
  INGOT_TRY_ASSIGN(options_.checksum.type, parse_digest_type(checksum_type_));
  options_.checksum.value_or_url = checksum_;
  if (given("--image-checksum-type") && !given("--image-checksum"))
    return wrong("--image-checksum-type without --image-checksum", command);
  if (!checksum_.empty() && !is_checksum_url(checksum_))
    INGOT_TRY(parse_checksum(checksum_, options_.checksum.type));
  if (!given("--osimage") && checksum_.empty() && !options_.no_checksum_accepted &&
      !any_image_reference(options_.urls))
    return fail(Errc::usage_checksum, "no checksum: nothing would tell whether the image is right",
                "give --image-checksum (a value, or the URL of a list like SHA256SUMS), or "
                "--insecure-no-checksum");
  if (format_ != "auto") {
    options_.format = imaging::image_format_from(format_);
  }
  return options_;
}

TargetGrammar::TargetGrammar(CLI::App& app, Size size, Naming naming) : app_(app), naming_(naming) {
  const OptionGroup add(app, "Target");
  const bool hints = naming == Naming::or_by_hints;
  add.value("--device", options_.device, "DEV",
            hints ? "the disk, or a regular file (this, or hints)"
                  : "the disk, or a regular file (required)");
  if (hints) {
    add.value("--root-device-hints", hints_, "JSON",
              "the disk that these choose, as Ironic's agent would:\n"
              "'{\"serial\": \"S1\"}' (docs/root-device-hints.md)");
    add.each("--only-device", options_.only, "DEV",
             "hints choose among these disks alone (given again: more)");
  }
  if (size == Size::settable)
    add.value("--size", size_, "BYTES",
              "create the target as a sparse file of this size\n"
              "(bytes, or with K, M, G, T)");
  add.flag("--yes", options_.yes, "do not ask before a disk is overwritten");
  add.flag("--force", options_.force,
           "take a disk that is mounted, swap, part of an array or open;\n"
           "never one that holds the running system");
  add.flag("--dry-run", options_.dry_run, "do everything but write");
}

Result<TargetOptions> TargetGrammar::understand() {
  if (options_.device.empty() && hints_.empty())
    return wrong(naming_ == Naming::or_by_hints ? "no target: give --device or --root-device-hints"
                                                : "no target: give --device",
                 app_.get_name());
  if (!options_.device.empty() && !hints_.empty())
    return wrong("--device and --root-device-hints exclude each other", app_.get_name());
  if (!hints_.empty()) {
    INGOT_TRY_ASSIGN(options_.hints, parse_root_device_hints(hints_));
  }
  if (!options_.only.empty() && hints_.empty())
    return wrong("--only-device without --root-device-hints", app_.get_name());
  if (!size_.empty() && !hints_.empty())
    return wrong("--size makes a regular file, and hints choose a disk", app_.get_name());
  if (!size_.empty()) {
    INGOT_TRY_ASSIGN(options_.size, parse_size(size_, "--size"));
    if (*options_.size == 0 || *options_.size > INT64_MAX)
      return wrong("--size: out of range", app_.get_name());
  }
  return options_;
}

ConfigDriveGrammar::ConfigDriveGrammar(CLI::App& app) : app_(app) {
  const OptionGroup add(app, "Config drive");
  add.value("--config-drive", options_.config_drive, "FILE|URL|BASE64",
            "put this config drive onto the disk: ISO 9660 or FAT, as\n"
            "it is, gzipped, or as base64 text (- for standard input)");
  add.value("--user-data", options_.user_data, "FILE|URL",
            "make a config drive: cloud-init's user data");
  add.value("--meta-data", options_.meta_data, "FILE|URL", "its meta data (YAML or JSON)");
  add.value("--network-data", options_.network_data, "FILE|URL",
            "its network data (OpenStack's network_data.json)");
}

Result<ConfigDriveOptions> ConfigDriveGrammar::understand() {
  for (const char* file : {"--user-data", "--meta-data", "--network-data"})
    if (!options_.config_drive.empty() && app_.count(file) > 0)
      return wrong(fmt::format("{} and --config-drive exclude each other: the drive that is given "
                               "has its own",
                               file),
                   app_.get_name());
  return options_;
}

MachineGrammar::MachineGrammar(CLI::App& app) : app_(app) {
  const OptionGroup add(app, "Machine");
  add.each("--mac", options_.macs, "MAC", "instead of the machine's own; again: one more");
  add.choice("--power", power_, "MODE", {"real", "exit"},
             "real (default), or exit: where the machine would be\n"
             "switched off, the process ends");
}

Result<MachineGrammar::Options> MachineGrammar::understand() {
  options_.power = power_ == "exit" ? PowerMode::exit : PowerMode::real;
  for (std::string& mac : options_.macs) {
    const std::string normal = normal_mac(mac);
    if (normal.empty())
      return wrong(fmt::format("--mac: '{}' is no MAC address", mac), app_.get_name());
    mac = normal;
  }
  return options_;
}

ReportingGrammar::ReportingGrammar(CLI::App& app, Url url) : app_(app), url_(url) {
  const OptionGroup add(app, "Reporting");
  add.choice("--progress", progress_, "MODE", {"auto", "bar", "json", "none"},
             "bar, json (one event a line on standard output), none, or\n"
             "auto: a bar on a terminal (default)");
  add.value("--report-url", options_.report_url, "URL",
            "POST every event there (CloudEvents, JSON)");
  add.value("--report-token-file", options_.report_token_file, "FILE",
            "file whose first line is the bearer token for it");
}

Result<ReportingOptions> ReportingGrammar::understand() {
  const std::string command = app_.get_name();
  const auto* const mode = std::ranges::find(kProgressModes, progress_,
                                             &std::pair<std::string_view, ProgressMode>::first);
  if (mode != kProgressModes.end()) options_.progress = mode->second;
  if (url_ == Url::or_elsewhere) return options_;
  if (!options_.report_token_file.empty() && options_.report_url.empty())
    return wrong("--report-token-file without --report-url", command);
  if (!options_.report_url.empty() && !options_.report_url.starts_with("http://") &&
      !options_.report_url.starts_with("https://"))
    return wrong("--report-url: only http and https URLs can be reported to", command);
  return options_;
}

ResourceGrammar::ResourceGrammar(CLI::App& app) : app_(app) {
  const OptionGroup add(app, "Resources");
  add.value("--memory-limit", memory_limit_, "BYTES", "memory for image data (48M; at least 32M)");
  add.value("--scratch-dir", options_.scratch_dir, "DIR",
            "where an image may be stored that neither streams nor fits\n"
            "on the disk behind its own contents (default: nowhere)");
  add.value("--threads", threads_, "N",
            "decoding threads, 1 to 16 (default: one more than the cores,\n"
            "at most 8)");
}

Result<ResourceOptions> ResourceGrammar::understand() {
  if (app_.count("--memory-limit") > 0) {
    INGOT_TRY_ASSIGN(options_.memory_limit, parse_size(memory_limit_, "--memory-limit"));
  }
  INGOT_TRY_ASSIGN(const MemoryBudget budget, split_memory(options_.memory_limit));
  static_cast<void>(budget);
  if (app_.count("--threads") > 0) {
    const bool digits = !threads_.empty() && threads_.size() <= 2 &&
                        threads_.find_first_not_of("0123456789") == std::string::npos;
    options_.threads = digits ? static_cast<unsigned>(std::stoul(threads_)) : 0;
    if (options_.threads < 1 || options_.threads > kMaxThreads)
      return wrong(fmt::format("--threads: '{}' is no number from 1 to {}", threads_, kMaxThreads),
                   app_.get_name());
  }
  return options_;
}

}  // namespace ingot::agent
