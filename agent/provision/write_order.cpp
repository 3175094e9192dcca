#include "agent/provision/write_order.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/job/root_device_hints.hpp"
#include "agent/text/yaml_document.hpp"
#include "agent/text/yaml_writer.hpp"

namespace ingot::agent {
namespace {

// Meta data with what the request says elsewhere, unless it says so itself. What is no map is left
// to whoever reads it, and its words about that.
std::string meta_data_of(const DeployRequest& request) {
  YamlNode meta = make_map();
  if (!request.meta_data.empty()) {
    auto parsed = parse_yaml(request.meta_data);
    if (!parsed || parsed->kind != YamlNode::Kind::map) return request.meta_data;
    meta = *std::move(parsed);
  }
  const auto says = [&meta](std::string_view name) { return meta.find(name) != nullptr; };
  if (!request.machine.empty() && !says("hostname") && !says("local-hostname"))
    put_text(meta, "hostname", request.machine);
  if (!request.ssh_keys.empty() && !says("public_keys") && !says("public-keys")) {
    YamlNode keys = make_map();
    for (std::size_t i = 0; i < request.ssh_keys.size(); ++i)
      put_text(keys, fmt::format("key-{}", i), request.ssh_keys[i]);
    put(meta, "public_keys", std::move(keys));
  }
  return meta.members.empty() ? std::string() : write_json(meta, JsonForm::one_line);
}

ConfigDriveOptions config_drive_of(const DeployRequest& request, const ProvisionOptions& options) {
  ConfigDriveOptions drive;
  drive.anonymous = true;
  drive.config_drive = options.config_drive_url;
  drive.user_data = options.user_data_url;
  if (drive.wanted()) return drive;
  const bool any = !request.user_data.empty() || !request.meta_data.empty() ||
                   !request.network_data.empty() || !request.ssh_keys.empty();
  if (any)
    drive.texts = ConfigDriveTexts{request.user_data, meta_data_of(request), request.network_data};
  return drive;
}

// An order from afar names disks: a regular file of that name would be overwritten as well.
Result<void> check_named_device(const std::string& device) {
  struct stat status {};
  if (::stat(device.c_str(), &status) != 0 || S_ISBLK(status.st_mode)) return {};
  return fail(Errc::device_unsuitable,
              fmt::format("the request names {}, which is no block device", device),
              "name a whole disk, or give root device hints");
}

Result<void> add_target(const DeployRequest& request, const ProvisionOptions& options,
                        TargetOptions& target) {
  std::string hints = options.root_device_hints;
  target.device = options.device;
  if (hints.empty() && target.device.empty()) {
    hints = request.root_device_hints;
    target.device = request.device;
  }
  if (!target.device.empty() && !hints.empty())
    return fail(Errc::usage_manifest, "the request has a device and root device hints",
                "give one of them: spec.target.device or spec.target.rootDeviceHints");
  if (target.device.empty() && hints.empty())
    return fail(Errc::usage_manifest, "the request says neither by name nor by hints which disk",
                "give spec.target.rootDeviceHints (property ingot.io/root-device-hints), or "
                "ingot.root-device-hints= on the kernel command line; {} takes the smallest disk "
                "of at least 4 GiB");
  if (!target.device.empty() && !options.device_named_here)
    INGOT_TRY(check_named_device(target.device));
  if (!hints.empty()) {
    INGOT_TRY_ASSIGN(target.hints, parse_root_device_hints(hints));
    target.only = options.only_devices;
  } else if (!options.only_devices.empty() &&
             std::ranges::count(options.only_devices, target.device) == 0) {
    return fail(Errc::device_missing,
                fmt::format("the request names {}, which is none of the disks of --only-device",
                            target.device));
  }
  target.yes = options.yes || options.ram_disk;
  target.force = options.ram_disk;
  target.dry_run = options.dry_run;
  return {};
}

}  // namespace

Result<WriteRequest> write_request(const DeployRequest& request, const ProvisionOptions& options,
                                   bool local) {
  WriteRequest write;
  write.image.urls = request.urls;
  write.image.checksum = request.checksum;
  write.image.no_checksum_accepted = options.no_checksum_accepted;
  if (!request.format.empty()) {
    write.image.format = imaging::image_format_from(request.format);
    if (!write.image.format)
      return fail(Errc::usage_manifest,
                  fmt::format("the request's image format {} is not known", request.format),
                  "raw, qcow2, vmdk, vhd, vhdx and vdi are");
  }
  INGOT_TRY_ASSIGN(write.transfer, transfer_options(options.network));
  write.transfer.allow_file = local;
  write.resources = options.resources;
  INGOT_TRY(add_target(request, options, write.target));
  write.config_drive = config_drive_of(request, options);
  return write;
}

std::string fingerprint(const DeployRequest& request, const ProvisionOptions& options) {
  DeployRequest what = request;
  what.report_url.clear();
  what.report_token.clear();
  what.on_success.reset();
  const std::string text = to_json(what) + '\0' + options.user_data_url + '\0' +
                           options.config_drive_url + '\0' + options.device + '\0' +
                           options.root_device_hints;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  std::size_t size = 0;
  ::EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(), digest.data(), &size);
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + size, ""));
}

}  // namespace ingot::agent
