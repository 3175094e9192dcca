#include "agent/machine/host_identity.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/url.hpp>
#include <charconv>
#include <utility>

#include "agent/machine/kernel_command_line.hpp"
#include "agent/machine/kernel_text.hpp"
#include "agent/machine/network_interfaces.hpp"
#include "disk/core/lower_case.hpp"
#include "disk/core/url_text.hpp"

namespace ingot::agent {
namespace {

namespace fs = std::filesystem;
namespace urls = boost::urls;

constexpr std::size_t kMostMacs = 64;  // in a URL
constexpr const char* kAdvice =
    "there are ${net0/mac}, ${mac:hexhyp}, ${uuid}, ${serial}, ${hostname}, __dmi.system-uuid__ "
    "and "
    "__dmi.system-serial-number__; without any, mac, uuid and serial are sent as query parameters";

// Small letters; what makers leave where a serial number belongs.
constexpr std::array kNoSerialNumbers = {"to be filled by o.e.m.",
                                         "not specified",
                                         "not applicable",
                                         "not available",
                                         "default string",
                                         "system serial number",
                                         "serial number",
                                         "unspecified",
                                         "unknown",
                                         "invalid",
                                         "none",
                                         "n/a",
                                         "na",
                                         "empty",
                                         "null",
                                         "oem",
                                         "o.e.m.",
                                         "0123456789",
                                         "123456789",
                                         "1234567890",
                                         "01234567890123456789",
                                         "chassis serial number",
                                         "base board serial number"};

// Of reference code, and so of every board whose maker did not set another one.
constexpr std::array kNoUuids = {"03000200-0400-0500-0006-000700080009",
                                 "12345678-1234-5678-90ab-cddeefaabbcc"};

bool is_one_character(std::string_view text) {
  return text.find_first_not_of(text.front()) == std::string_view::npos;
}

std::string serial_number_of(std::string text) {
  const std::string small = lower_case(text);
  if (text.empty() || std::ranges::count(kNoSerialNumbers, small) > 0 || is_one_character(small))
    return {};
  return text;
}

std::string uuid_of(std::string text) {
  text = lower_case(text);
  constexpr std::size_t kLength = 36;
  if (text.size() != kLength || std::ranges::count(kNoUuids, text) > 0) return {};
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    if (dash ? text[i] != '-' : !digit) return {};
    if (!dash) digits += text[i];
  }
  return is_one_character(digits) && (digits.front() == '0' || digits.front() == 'f')
             ? std::string()
             : text;
}

// "01-52-54-00-aa-00-01": the hardware type (1, Ethernet) and the address.
std::string boot_mac(std::string_view cmdline) {
  std::string mac;
  for (const auto& word : split_kernel_command_line(cmdline, KernelQuotes::special))
    if (word.name == "BOOTIF" && word.value) mac = lower_case(*word.value);
  constexpr std::size_t kLength = 17;
  std::ranges::replace(mac, '-', ':');
  return mac.size() == kLength + 3 ? mac.substr(3) : mac;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  const std::string text = clean_text(name.data());
  return text == "(none)" || text == "localhost" ? std::string() : text;
}

std::string encoded(std::string_view value) {
  // A colon needs no encoding in a path or a query, and MACs are looked for as they are written.
  constexpr auto kPlain = urls::unreserved_chars + urls::grammar::lut_chars(":");
  return urls::encode(urls::string_view(value.data(), value.size()), kPlain);
}

tl::unexpected<Error> refused(std::string_view url, std::string what) {
  return fail(Errc::usage_option, fmt::format("{}: {}", redacted(url), std::move(what)), kAdvice);
}

// A MAC by iPXE's number of its NIC ("net0", "netX"); "" if there is none.
std::string mac_called(std::string_view nic, const HostIdentity& identity) {
  std::size_t number = 0;
  if (nic != "netX") {
    nic.remove_prefix(3);
    std::from_chars(nic.data(), nic.data() + nic.size(), number);
  }
  return number < identity.macs.size() ? identity.macs[number] : std::string();
}

bool is_nic(std::string_view name) {
  if (name == "netX") return true;
  return name.starts_with("net") && name.size() > 3 && name.size() <= 6 &&
         name.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

// What `${…}` stands for: nothing if there is no such placeholder, "" if this machine has no value.
std::optional<std::string> ipxe_value(std::string_view name, const HostIdentity& identity) {
  std::string_view form;
  if (const auto colon = name.find(':'); colon != std::string_view::npos) {
    form = name.substr(colon + 1);
    name = name.substr(0, colon);
  }
  const auto slash = name.find('/');
  const bool of_nic = slash != std::string_view::npos;
  if (name == "mac" || (of_nic && is_nic(name.substr(0, slash)) && name.substr(slash) == "/mac")) {
    std::string mac = mac_called(of_nic ? name.substr(0, slash) : "netX", identity);
    if (form == "hexhyp")
      std::ranges::replace(mac, ':', '-');
    else if (form == "hexraw")
      std::erase(mac, ':');
    else if (!form.empty() && form != "hex")
      return std::nullopt;
    return mac;
  }
  // Values are percent-encoded in any case.
  if (!form.empty() && form != "uristring") return std::nullopt;
  if (name == "uuid") return identity.system_uuid;
  if (name == "serial") return identity.serial_number;
  if (name == "hostname") return identity.host_name;
  return std::nullopt;
}

std::optional<std::string> cloud_init_value(std::string_view name, const HostIdentity& identity) {
  if (name == "system-uuid") return identity.system_uuid;
  if (name == "system-serial-number") return identity.serial_number;
  return std::nullopt;
}

struct PlaceholderForm {
  std::string_view begin, end;
  std::optional<std::string> (*value)(std::string_view, const HostIdentity&);
};
constexpr std::array kForms = {PlaceholderForm{"${", "}", &ipxe_value},
                               PlaceholderForm{"__dmi.", "__", &cloud_init_value}};

}  // namespace

std::string HostIdentity::describe() const {
  std::vector<std::string> parts;
  if (!macs.empty()) parts.push_back(fmt::format("mac {}", fmt::join(macs, " ")));
  if (!system_uuid.empty()) parts.push_back("uuid " + system_uuid);
  if (!serial_number.empty()) parts.push_back("serial " + serial_number);
  return parts.empty() ? "nothing known of it" : fmt::format("{}", fmt::join(parts, ", "));
}

HostIdentity read_host_identity(const fs::path& sysfs, std::string_view cmdline) {
  HostIdentity identity;
  auto interfaces = list_network_interfaces(sysfs);
  std::ranges::stable_partition(interfaces, &NetworkInterface::has_carrier);
  const std::string boot = boot_mac(cmdline);
  std::ranges::stable_partition(interfaces, [&boot](const NetworkInterface& interface) {
    return interface.mac_address == boot;
  });
  for (const auto& interface : interfaces)
    if (interface.mac_address != "00:00:00:00:00:00" && identity.macs.size() < kMostMacs &&
        std::ranges::count(identity.macs, interface.mac_address) == 0)
      identity.macs.push_back(interface.mac_address);
  const fs::path firmware = sysfs / "class/dmi/id";
  identity.system_uuid = uuid_of(read_text(firmware / "product_uuid"));
  identity.serial_number = serial_number_of(read_text(firmware / "product_serial"));
  identity.host_name = host_name();
  return identity;
}

Result<std::string> fill_in(std::string_view url, const HostIdentity& identity) {
  std::string filled;
  bool any = false;
  for (std::string_view rest = url; !rest.empty();) {
    const auto* const form = std::ranges::min_element(
        kForms, {}, [rest](const PlaceholderForm& each) { return rest.find(each.begin); });
    const auto begin = rest.find(form->begin);
    const auto end =
        begin == std::string_view::npos ? begin : rest.find(form->end, begin + form->begin.size());
    filled += rest.substr(0, end == std::string_view::npos ? end : begin);
    if (end == std::string_view::npos) break;
    const auto name = rest.substr(begin + form->begin.size(), end - begin - form->begin.size());
    const auto value = form->value(name, identity);
    const std::string shown = fmt::format("{}{}{}", form->begin, name, form->end);
    if (!value) return refused(url, shown + " is no placeholder that is known");
    if (value->empty())
      return refused(
          url, fmt::format("this machine has no value for {} ({})", shown, identity.describe()));
    filled += encoded(*value);
    any = true;
    rest.remove_prefix(end + form->end.size());
  }
  auto parsed = urls::parse_uri(filled);
  if (!parsed) return refused(url, "is no URL");
  if (any ||
      (parsed->scheme_id() != urls::scheme::http && parsed->scheme_id() != urls::scheme::https))
    return filled;
  urls::url whole(*parsed);
  whole.remove_fragment();
  const auto add = [&whole](const char* name, const std::string& value) {
    if (value.empty()) return;
    // Its parameters as they are; ours encoded in the way of the placeholders.
    const std::string pair = fmt::format("{}={}", name, encoded(value));
    std::string query(whole.encoded_query());
    if (!query.empty()) query += '&';
    whole.set_encoded_query(query + pair);
  };
  for (const std::string& mac : identity.macs) add("mac", mac);
  add("uuid", identity.system_uuid);
  add("serial", identity.serial_number);
  return std::string(whole.buffer());
}

}  // namespace ingot::agent
