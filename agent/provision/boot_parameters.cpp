#include "agent/provision/boot_parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/url.hpp>
#include <utility>

#include "agent/job/request.hpp"
#include "agent/job/root_device_hints.hpp"
#include "agent/machine/kernel_command_line.hpp"
#include "agent/text/text.hpp"
#include "agent/text/yaml_writer.hpp"
#include "disk/core/checksum.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

using O = ProvisionOptions;
constexpr std::string_view kPrefix = "ingot.";
constexpr const char* kAdvice = "docs/provisioning.md lists what the kernel command line may say";

// Takes a value, or says what is wrong without showing it. `name` is the whole word's.
using Setter = Result<void> (*)(O& options, const std::string& value, const std::string& name);

tl::unexpected<Error> wrong(const std::string& name, std::string_view what) {
  return fail(Errc::usage_option, fmt::format("kernel command line: {} {}", name, what), kAdvice);
}

DeployRequest& order_of(O& options) {
  if (!options.order) options.order.emplace();
  return *options.order;
}

template <auto member>
Result<void> text(O& options, const std::string& value, const std::string& /*name*/) {
  options.*member = value;
  return {};
}

// "": the word stands alone.
Result<void> set_flag(bool& into, const std::string& value, const std::string& name) {
  const std::string word = lower_case(value);
  for (const auto* yes : {"", "1", "true", "yes", "on"})
    if (word == yes) return into = true, Result<void>();
  for (const auto* no : {"0", "false", "no", "off"})
    if (word == no) return into = false, Result<void>();
  return wrong(name, "is neither 1 nor 0");
}

template <auto member>
Result<void> flag(O& options, const std::string& value, const std::string& name) {
  return set_flag(options.*member, value, name);
}

template <auto member>
Result<void> of_network(O& options, const std::string& value, const std::string& /*name*/) {
  options.network.*member = value;
  return {};
}

Result<void> tls_insecure(O& options, const std::string& value, const std::string& name) {
  return set_flag(options.network.tls_insecure, value, name);
}

Result<void> image_url(O& options, const std::string& value, const std::string& /*name*/) {
  order_of(options).urls.push_back(value);
  return {};
}

Result<void> image_checksum(O& options, const std::string& value, const std::string& /*name*/) {
  order_of(options).checksum.value_or_url = value;
  return {};
}

Result<void> image_checksum_type(O& options, const std::string& value, const std::string& name) {
  const auto type = parse_digest_type(value);
  if (!type) return wrong(name, "is none of md5, sha256, sha512, auto");
  order_of(options).checksum.type = *type;
  return {};
}

Result<void> image_format(O& options, const std::string& value, const std::string& name) {
  if (value != "auto" && !imaging::image_format_from(value))
    return wrong(name, "is none of auto, raw, qcow2, vmdk, vhd, vhdx, vdi");
  order_of(options).format = value == "auto" ? std::string() : value;
  return {};
}

Result<void> hints(O& options, const std::string& value, const std::string& name) {
  auto json = hints_as_json(value);
  if (!json) return tl::unexpected(json.error().with_context("kernel command line: " + name));
  options.root_device_hints = *std::move(json);
  return {};
}

Result<void> on_success(O& options, const std::string& value, const std::string& name) {
  options.on_success = parse_on_success(value);
  if (!options.on_success) return wrong(name, "is none of reboot, poweroff, kexec, none");
  return {};
}

Result<void> retry(O& options, const std::string& value, const std::string& name) {
  INGOT_TRY_ASSIGN(options.retry, parse_retry(value, "kernel command line: " + name));
  return {};
}

Result<void> recheck(O& options, const std::string& value, const std::string& name) {
  INGOT_TRY_ASSIGN(options.recheck, parse_recheck(value, "kernel command line: " + name));
  return {};
}

struct Parameter {
  std::string_view name;
  Setter set;
  bool is_flag = false;
};

constexpr std::array kParameters{
    Parameter{"from", &text<&O::from>},
    Parameter{"image-url", &image_url},
    Parameter{"image-checksum", &image_checksum},
    Parameter{"image-checksum-type", &image_checksum_type},
    Parameter{"image-format", &image_format},
    Parameter{"insecure-no-checksum", &flag<&O::no_checksum_accepted>, true},
    Parameter{"device", &text<&O::device>},
    Parameter{"root-device-hints", &hints},
    Parameter{"user-data-url", &text<&O::user_data_url>},
    Parameter{"config-drive", &text<&O::config_drive_url>},
    Parameter{"report-url", &text<&O::report_url>},
    Parameter{"report-token-file", &text<&O::report_token_file>},
    Parameter{"token", &text<&O::token>},
    Parameter{"token-file", &text<&O::token_file>},
    Parameter{"on-success", &on_success},
    Parameter{"allow-power", &flag<&O::allow_power>, true},
    Parameter{"retry", &retry},
    Parameter{"recheck", &recheck},
    Parameter{"ca-cert", &of_network<&NetworkOptions::ca_file>},
    Parameter{"tls-insecure", &tls_insecure, true},
    Parameter{"proxy", &of_network<&NetworkOptions::proxy>},
    Parameter{"no-proxy", &of_network<&NetworkOptions::no_proxy>},
};

tl::unexpected<Error> unknown(const std::string& name) {
  std::string names;
  for (const auto& each : kParameters) names += fmt::format(" {}{}", kPrefix, each.name);
  return fail(Errc::usage_option,
              fmt::format("kernel command line: {} is not known", printable(name)),
              "there are" + names);
}

std::string decoded(std::string_view text) {
  const auto encoded = boost::urls::make_pct_string_view({text.data(), text.size()});
  if (!encoded) return std::string(text);  // a '%' of its own
  std::string plain;
  encoded->decode({}, boost::urls::string_token::assign_to(plain));
  return plain;
}

// "serial=S1,size=>= 100" as JSON.
Result<std::string> pairs_as_json(std::string_view text) {
  YamlNode map = make_map();
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    const auto pair = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return fail(Errc::usage_hints, "root device hints: neither JSON nor NAME=VALUE,NAME=VALUE",
                  R"(give {"serial":"S1"} or serial=S1; docs/root-device-hints.md)");
    const std::string name = decoded(pair.substr(0, equals));
    const std::string value = decoded(pair.substr(equals + 1));
    if (map.find(name) != nullptr)
      return fail(Errc::usage_hints,
                  fmt::format("root device hints: {} is there twice", printable(name)));
    put(map, name, make_string(value));
  }
  return write_json(map, JsonForm::one_line);
}

bool can_be_asked(std::string_view url) {
  const std::string small = lower_case(url);
  return small.starts_with("http://") || small.starts_with("https://") ||
         small.starts_with("file://");
}

}  // namespace

Result<void> apply_boot_parameters(ProvisionOptions& options, std::string_view cmdline) {
  for (const auto& word : split_kernel_command_line(cmdline, KernelQuotes::special)) {
    if (!word.name.starts_with(kPrefix)) continue;
    const auto* const known = std::ranges::find(
        kParameters, std::string_view(word.name).substr(kPrefix.size()), &Parameter::name);
    if (known == kParameters.end()) return unknown(word.name);
    const std::string value = word.value.value_or("");
    if (value.empty() && !(known->is_flag && !word.value)) return wrong(word.name, "has no value");
    INGOT_TRY(known->set(options, value, word.name));
  }
  return {};
}

Result<std::string> hints_as_json(std::string_view text) {
  std::string json;
  if (text.starts_with('{')) {
    json = text;
  } else if (lower_case(text.substr(0, 3)) == "%7b") {
    json = decoded(text);
  } else {
    INGOT_TRY_ASSIGN(json, pairs_as_json(text));
  }
  const auto parsed = parse_root_device_hints(json);
  if (!parsed) return tl::unexpected(parsed.error());
  return json;
}

Result<RetryPolicy> parse_retry(std::string_view text, std::string_view option) {
  if (text == "forever") return RetryPolicy{};
  if (text == "never") return RetryPolicy{std::chrono::milliseconds(0)};
  INGOT_TRY_ASSIGN(const auto limit, parse_duration(text, option));
  return RetryPolicy{limit};
}

Result<std::chrono::milliseconds> parse_recheck(std::string_view text, std::string_view option) {
  constexpr std::chrono::seconds kShortest{1};
  INGOT_TRY_ASSIGN(const auto time, parse_duration(text, option));
  if (time < kShortest)
    return fail(Errc::usage_option,
                fmt::format("{}: '{}' is less than a second: each try is a download", option, text),
                "give a second or more");
  return time;
}

Result<void> check(const ProvisionOptions& options) {
  const auto refuse = [](std::string what, const char* advice = kAdvice) {
    return fail(Errc::usage_option, std::move(what), advice);
  };
  const bool drive = !options.user_data_url.empty() || !options.config_drive_url.empty();
  if (!options.from.empty() && (options.order || drive))
    return refuse("two orders: a URL to ask, and an image",
                  "give --from (ingot.from=), or ingot.image-url= and what belongs to it");
  if (options.from.empty() && !options.order)
    return refuse("nothing says what this machine is to become",
                  "give --from URL, or ingot.from=URL or ingot.image-url=URL on the kernel command "
                  "line; docs/provisioning.md");
  if (!options.from.empty() && !can_be_asked(options.from))
    return refuse(
        fmt::format("{}: a request is asked for by http, https or file", redacted(options.from)),
        "give --from (ingot.from=) http://…, https://… or file:///…");
  if (!options.device.empty() && !options.root_device_hints.empty())
    return refuse("a device and root device hints exclude each other");
  if (!options.token.empty() && !options.token_file.empty())
    return refuse("a token and a token file exclude each other");
  if (!options.user_data_url.empty() && !options.config_drive_url.empty())
    return refuse("user data and a config drive exclude each other: the drive has its own");
  if (!options.order) return {};
  if (options.order->urls.empty()) return refuse("no image: there is no ingot.image-url=");
  if (options.device.empty() && options.root_device_hints.empty())
    return refuse("no disk: give ingot.device= or ingot.root-device-hints=");
  const ChecksumRequest& checksum = options.order->checksum;
  if (checksum.value_or_url.empty() && !options.no_checksum_accepted &&
      !any_image_reference(options.order->urls))
    return fail(Errc::usage_checksum, "no checksum: nothing would tell whether the image is right",
                "give ingot.image-checksum= (a value, or the URL of a list like SHA256SUMS), or "
                "ingot.insecure-no-checksum=1");
  if (!checksum.value_or_url.empty() && !is_checksum_url(checksum.value_or_url))
    INGOT_TRY(parse_checksum(checksum.value_or_url, checksum.type));
  return {};
}

}  // namespace ingot::agent
