#include "agent/ironic/parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/property_tree/ini_parser.hpp>
#include <boost/property_tree/ptree.hpp>
#include <charconv>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>

#include "agent/machine/kernel_command_line.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";
constexpr std::size_t kMostConfig = 1UL << 20;

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string> list(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (const auto item = trimmed(text.substr(0, comma)); !item.empty()) items.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

// Each takes a value into a member, or says what it should be.
using Problem = const char*;  // nullptr: taken
using Setter = Problem (*)(AgentOptions&, const std::string&);

template <auto member>
Problem text(AgentOptions& options, const std::string& value) {
  options.*member = value;
  return nullptr;
}

template <auto member>
Problem flag(AgentOptions& options, const std::string& value) {
  const std::string word = lower_case(value);
  for (const auto* yes : {"1", "true", "yes", "on", "t", "y"})
    if (word == yes) return options.*member = true, nullptr;
  for (const auto* no : {"0", "false", "no", "off", "f", "n"})
    if (word == no) return options.*member = false, nullptr;
  return "is neither true nor false";
}

template <class Number>
bool whole(const std::string& value, Number& into) {
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), into);
  return error == std::errc() && end == value.data() + value.size();
}

template <auto member>
Problem seconds(AgentOptions& options, const std::string& value) {
  constexpr unsigned kDay = 86'400;
  unsigned number = 0;
  const auto dot = std::min(value.find('.'), value.size());
  // "30.0" is what some write.
  const bool fraction =
      value.find_first_not_of("0123456789", std::min(dot + 1, value.size())) == std::string::npos;
  if (!whole(value.substr(0, dot), number) || !fraction || number > kDay)
    return "is no time of at most a day, in seconds";
  options.*member = std::chrono::seconds(number);
  return nullptr;
}

template <auto member>
Problem port(AgentOptions& options, const std::string& value) {
  std::uint16_t number = 0;
  if (!whole(value, number)) return "is no port";
  options.*member = number;
  return nullptr;
}

Problem attempts(AgentOptions& options, const std::string& value) {
  unsigned number = 0;
  if (!whole(value, number) || number > 1000) return "is no number of attempts";
  options.disk_wait_attempts = number;
  return nullptr;
}

template <auto urls, auto by_mdns>
Problem url_list(AgentOptions& options, const std::string& value) {
  if (lower_case(value) == "mdns") {
    (options.*urls).clear();
    options.*by_mdns = true;
    return nullptr;
  }
  auto parsed = parse_api_urls(value);
  if (!parsed) return "is no list of http or https URLs";
  options.*urls = *std::move(parsed);
  options.*by_mdns = false;
  return nullptr;
}

Problem collectors(AgentOptions& options, const std::string& value) {
  options.inspection_collectors = list(value);
  return nullptr;
}

Problem protocol(AgentOptions& options, const std::string& value) {
  if (value != "http" && value != "https") return "is neither http nor https";
  options.advertise_protocol = value;
  return nullptr;
}

Problem tls_version(AgentOptions& options, const std::string& value) {
  if (value != "1.2" && value != "1.3") return "is neither 1.2 nor 1.3";
  options.tls_min_version = value;
  return nullptr;
}

Problem token(AgentOptions& options, const std::string& value) {
  constexpr std::size_t kShortest = 32, kLongest = 4096;
  if (value.size() < kShortest || value.size() > kLongest) return "has no length of a token";
  options.agent_token = value;
  return nullptr;
}

struct Parameter {
  std::string_view name;  // with underscores
  Setter set;
};

using O = AgentOptions;
constexpr std::array kParameters{
    Parameter{"api_url", &url_list<&O::api_urls, &O::api_by_mdns>},
    Parameter{"inspection_callback_url",
              &url_list<&O::inspection_callback_urls, &O::inspection_by_mdns>},
    Parameter{"inspection_collectors", &collectors},
    Parameter{"inspection_dhcp_wait_timeout", &seconds<&O::dhcp_wait>},
    Parameter{"inspection_dhcp_all_interfaces", &flag<&O::dhcp_wait_all>},
    Parameter{"collect_lldp", &flag<&O::collect_lldp>},
    Parameter{"lldp_timeout", &seconds<&O::lldp_timeout>},
    Parameter{"agent_token", &token},
    Parameter{"insecure", &flag<&O::tls_insecure>},
    Parameter{"cafile", &text<&O::ca_file>},
    Parameter{"certfile", &text<&O::client_cert_file>},
    Parameter{"keyfile", &text<&O::client_key_file>},
    Parameter{"listen_tls", &flag<&O::listen_tls>},
    Parameter{"tls_cert_file", &text<&O::listen_cert_file>},
    Parameter{"tls_key_file", &text<&O::listen_key_file>},
    Parameter{"enable_auto_tls", &flag<&O::auto_tls>},
    Parameter{"tls_min_version", &tls_version},
    Parameter{"tls_cipher_suites", &text<&O::tls_cipher_suites>},
    Parameter{"listen_host", &text<&O::listen_address>},
    Parameter{"listen_port", &port<&O::listen_port>},
    Parameter{"advertise_host", &text<&O::advertise_host>},
    Parameter{"advertise_port", &port<&O::advertise_port>},
    Parameter{"advertise_protocol", &protocol},
    Parameter{"network_interface", &text<&O::network_interface>},
    Parameter{"lookup_timeout", &seconds<&O::lookup_timeout>},
    Parameter{"lookup_interval", &seconds<&O::lookup_interval>},
    Parameter{"http_request_timeout", &seconds<&O::http_request_timeout>},
    Parameter{"hardware_initialization_delay", &seconds<&O::hardware_delay>},
    Parameter{"disk_wait_attempts", &attempts},
    Parameter{"disk_wait_delay", &seconds<&O::disk_wait_delay>},
    Parameter{"global_request_id", &text<&O::global_request_id>},
    Parameter{"ironic_api_version", &text<&O::api_version>},
    Parameter{"guard_special_filesystems", &flag<&O::guard_special_filesystems>},
    Parameter{"ignore_bootloader_failure", &flag<&O::ignore_boot_loader_failure>},
    Parameter{"use_mdns", &flag<&O::api_by_mdns>},
    Parameter{"debug", &flag<&O::debug>},
};

// Nothing for an unknown name; its parameter may be for another agent, or of another release.
void set(AgentOptions& options, std::string name, std::string_view shown, const std::string& value,
         std::vector<std::string>& problems) {
  std::ranges::replace(name, '-', '_');
  const auto* known = std::ranges::find(kParameters, std::string_view(name), &Parameter::name);
  if (known == kParameters.end()) return;
  if (const Problem problem = known->set(options, value))
    problems.push_back(fmt::format("{} {}: it is ignored", shown, problem));
}

}  // namespace

std::vector<std::string> apply_kernel_command_line(AgentOptions& options, std::string_view line) {
  std::map<std::string, std::string, std::less<>> words;
  for (auto& word : split_kernel_command_line(line, KernelQuotes::kept))
    if (word.value) words.insert_or_assign(std::move(word.name), *std::move(word.value));
  std::vector<std::string> problems;
  for (const auto& [name, value] : words) {
    if (name.starts_with("ipa-"))
      set(options, name.substr(4), name, value, problems);
    else if (name == "BOOTIF")
      options.boot_interface = value;
    else if (name == "boot_method")
      options.virtual_media = value == "vmedia";
    else if (name == "ingot.allow-power")
      options.allow_power = value == "1";
  }
  return problems;
}

Result<std::vector<std::string>> apply_config_file(AgentOptions& options, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string content(kMostConfig + 1, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (file.bad() || (!file && file.gcount() == 0 && !file.eof()))
    return fail(Errc::usage_option,
                fmt::format("reading the configuration {}: cannot be read", path),
                "name a file that exists and may be read");
  content.resize(static_cast<std::size_t>(file.gcount()));
  if (content.size() > kMostConfig)
    return fail(Errc::usage_option,
                fmt::format("reading the configuration {}: it is larger than 1 MiB", path),
                "name an INI file as ironic-python-agent has it");
  boost::property_tree::ptree tree;
  try {
    std::istringstream stream(content);
    boost::property_tree::read_ini(stream, tree);
  } catch (const boost::property_tree::ini_parser_error& error) {
    return fail(Errc::usage_option,
                fmt::format("reading the configuration {}: line {} is not of the form NAME = VALUE",
                            path, error.line()),
                "write it as ironic-python-agent has it: [DEFAULT], then NAME = VALUE");
  }
  std::vector<std::string> problems;
  for (const auto& [section, values] : tree)
    if (section == "DEFAULT")
      for (const auto& [name, value] : values)
        set(options, name, fmt::format("{} in {}", name, path), value.data(), problems);
  return problems;
}

Result<std::vector<std::string>> parse_api_urls(std::string_view text) {
  std::vector<std::string> urls;
  for (std::string url : list(text)) {
    const std::string start = lower_case(std::string_view(url).substr(0, 8));
    const bool plain = start.starts_with("http://");
    while (url.ends_with('/')) url.pop_back();
    if ((!plain && start != "https://") || url.size() < (plain ? 8U : 9U))
      return fail(Errc::usage_option, fmt::format("'{}' is no URL of an API", redacted(url)),
                  "give http://HOST[:PORT][/PATH] or https://…, several with commas between");
    urls.push_back(std::move(url));
  }
  if (urls.empty())
    return fail(Errc::usage_option, "no URL of an API",
                "give http://HOST[:PORT][/PATH] or https://…, several with commas between");
  return urls;
}

}  // namespace ingot::agent
