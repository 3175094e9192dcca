#include "agent/ironic/inspection_body.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "agent/text/base64.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kJournalLines = 10'000;
constexpr std::size_t kMostLogs = 8UL << 20;  // bytes

// Who reads this has typed fields: null is fine everywhere, another type breaks all of it.
json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::value number_or_null(const std::optional<std::uint64_t>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

const std::string& first_of(const std::string& a, const std::string& b) {
  return a.empty() ? b : a;
}

json::array of_neighbor(const std::vector<LldpTlv>& tlvs) {
  json::array list;
  for (const auto& tlv : tlvs) {
    std::string hex;
    for (const char c : tlv.value)
      fmt::format_to(std::back_inserter(hex), "{:02x}", static_cast<unsigned char>(c));
    list.push_back(json::array{tlv.type, hex});
  }
  return list;
}

json::array of_interfaces(const std::vector<NetworkInterface>& interfaces,
                          const LldpNeighbors& neighbors) {
  json::array list;
  for (const auto& nic : interfaces) {
    const auto heard = neighbors.find(nic.name);
    list.push_back(
        json::object{{"name", nic.name},
                     {"mac_address", nic.mac_address},
                     {"ipv4_address", text_or_null(nic.ipv4_address)},
                     {"ipv6_address", text_or_null(nic.ipv6_address)},
                     {"has_carrier", nic.has_carrier},
                     {"lldp", heard == neighbors.end() ? json::value(nullptr)
                                                       : json::value(of_neighbor(heard->second))},
                     {"vendor", text_or_null(nic.vendor)},
                     {"product", text_or_null(nic.product)},
                     {"client_id", text_or_null(nic.client_id)},
                     {"biosdevname", nullptr},  // a name that udev gives as well
                     {"speed_mbps", number_or_null(nic.speed_mbps)},
                     {"pci_address", text_or_null(nic.pci_address)},
                     {"driver", text_or_null(nic.driver)}});
  }
  return list;
}

json::object of_cpu(const Cpu& cpu) {
  return {{"model_name", text_or_null(cpu.model_name)},
          {"frequency", cpu.frequency},
          {"count", cpu.count},
          {"architecture", cpu.architecture},
          {"flags", json::value_from(cpu.flags)},
          {"socket_count", number_or_null(cpu.socket_count)}};
}

template <class Disk>
json::object of_disk(const Disk& disk) {
  return {{"name", disk.name},
          {"model", text_or_null(disk.model)},
          {"size", disk.size},
          {"rotational", disk.rotational},
          {"wwn", text_or_null(first_of(disk.wwn, disk.udev_wwn))},
          {"serial",
           text_or_null(first_of(disk.serial, first_of(disk.udev_serial_short, disk.udev_serial)))},
          {"vendor", text_or_null(disk.vendor)},
          {"wwn_with_extension", text_or_null(disk.wwn_with_extension)},
          {"wwn_vendor_extension", text_or_null(disk.wwn_vendor_extension)},
          {"hctl", text_or_null(disk.hctl)},
          {"by_path", text_or_null(disk.by_path)},
          {"logical_sectors", disk.logical_sector},
          {"physical_sectors", disk.physical_sector},
          {"tran", text_or_null(disk.transport)}};
}

json::object of_vendor(const SystemVendor& vendor) {
  return {{"product_name", vendor.product_name},
          {"serial_number", vendor.serial_number},
          {"manufacturer", vendor.manufacturer},
          {"firmware",
           {{"vendor", vendor.firmware_vendor},
            {"version", vendor.firmware_version},
            {"build_date", vendor.firmware_build_date}}}};
}

json::object of_node(const NodeInventory& node, const LldpNeighbors& neighbors) {
  json::array disks;
  for (const auto& disk : node.disks.disks) disks.push_back(of_disk(disk));
  json::object all{
      {"interfaces", of_interfaces(node.interfaces, neighbors)},
      {"cpu", of_cpu(node.cpu)},
      {"disks", std::move(disks)},
      {"memory",
       {{"total", node.memory.total}, {"physical_mb", number_or_null(node.memory.physical_mb)}}},
      {"bmc_address", node.bmc ? json::value(node.bmc->ipv4) : json::value(nullptr)},
      {"bmc_v6address", node.bmc ? json::value(node.bmc->ipv6) : json::value(nullptr)},
      {"system_vendor", of_vendor(node.system_vendor)},
      {"boot",
       {{"current_boot_mode", node.boot_mode},
        {"pxe_interface", text_or_null(node.boot_interface)}}},
      {"hostname", node.hostname}};
  if (node.bmc && !node.bmc->mac.empty()) all["bmc_mac"] = node.bmc->mac;
  return all;
}

void add_node(json::object& body, const NodeInventory& node, const LldpNeighbors& neighbors) {
  body["inventory"] = of_node(node, neighbors);
  if (node.disks.choice)
    for (const auto& disk : node.disks.disks)
      if (disk.name == node.disks.choice->chosen) body["root_disk"] = of_disk(disk);
  body["boot_interface"] = text_or_null(node.boot_interface);
}

std::vector<std::string> with_carrier(const NodeInventory& node) {
  std::vector<std::string> names;
  for (const auto& nic : node.interfaces)
    if (nic.has_carrier) names.push_back(nic.name);
  return names;
}

struct Wanted {
  bool inventory = false, logs = false, lldp = false;
  json::array names;
};

Wanted wanted_of(const std::vector<std::string>& collectors, std::vector<std::string>& notes) {
  Wanted wanted;
  for (const auto& name : collectors) {
    bool* const one = name == "default" ? &wanted.inventory
                      : name == "logs"  ? &wanted.logs
                      : name == "lldp"  ? &wanted.lldp
                                        : nullptr;
    if (one == nullptr)
      notes.push_back("the collector \"" + name + "\" is not known");
    else if (!*one)
      wanted.names.emplace_back(name);
    if (one != nullptr) *one = true;
  }
  return wanted;
}

}  // namespace

std::string inventory_json(const NodeInventory& node, const LldpNeighbors& neighbors) {
  return json::serialize(of_node(node, neighbors));
}

Result<InspectionBody> inspection_body(const std::vector<std::string>& collectors,
                                       const InspectionOptions& options,
                                       const std::stop_token& stop) {
  InspectionBody result;
  Wanted wanted = wanted_of(collectors, result.notes);
  INGOT_TRY_ASSIGN(const NodeInventory node, collect_node_inventory(options.inventory, stop));
  result.notes.insert(result.notes.end(), node.notes.begin(), node.notes.end());

  // Mostly waiting: beside the logs.
  Result<LldpNeighbors> heard;
  std::jthread listener;
  if (wanted.lldp || options.collect_lldp)
    listener = std::jthread([&heard, &options, &stop, interfaces = with_carrier(node)] {
      heard = listen_for_lldp(interfaces, options.lldp_timeout, stop);
    });
  std::optional<std::string> logs;
  if (wanted.logs) {
    SystemLogOptions log_options = options.logs;
    log_options.journal_lines = kJournalLines;
    log_options.whole_limit = std::min(log_options.whole_limit, kMostLogs);
    if (auto packed = collect_system_logs(log_options, stop))
      logs = to_base64(*packed);
    else
      result.notes.push_back("no logs: " + packed.error().message());
  }
  if (listener.joinable()) listener.join();
  if (stop.stop_requested()) return fail(Errc::cancelled, "inspecting the node: cancelled");
  if (!heard) result.notes.push_back("no LLDP: " + heard.error().message());
  const LldpNeighbors neighbors = heard ? *std::move(heard) : LldpNeighbors();

  json::object body;
  if (wanted.inventory) add_node(body, node, neighbors);
  body["configuration"] = {
      {"collectors", std::move(wanted.names)},
      {"managers",
       json::array{json::object{{"name", options.manager}, {"version", options.manager_version}}}}};
  body["error"] = nullptr;
  if (logs) body["logs"] = *std::move(logs);
  if (wanted.lldp) {
    json::object raw;
    for (const auto& [interface, tlvs] : neighbors) raw[interface] = of_neighbor(tlvs);
    body["lldp_raw"] = std::move(raw);
  }
  result.json = json::serialize(body);
  return result;
}

}  // namespace ingot::agent
