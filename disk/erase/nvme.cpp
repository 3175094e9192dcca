#include "disk/erase/nvme.hpp"

#include <fmt/format.h>
#include <linux/nvme_ioctl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace ingot::disk {
namespace {

constexpr std::uint8_t kGetLogPage = 0x02, kIdentify = 0x06;
// Controller or Namespace Structure of an identify command.
constexpr std::uint32_t kNamespace = 0x00, kController = 0x01, kActive = 0x02, kAllocated = 0x10;
constexpr std::uint32_t kAllNamespaces = 0xffffffff;
constexpr std::uint32_t kTimeoutMs = 10'000;
constexpr std::size_t kSanitizeLogBytes = 512;

std::uint32_t little_endian(std::span<const std::byte> data, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint32_t>(data[at + i]);
  return value;
}

// errno, the controller's status (positive), or 0.
int admin(int fd, std::uint8_t opcode, std::uint32_t name_space, std::uint32_t word10,
          std::span<std::byte> into) {
  nvme_admin_cmd command{};
  command.opcode = opcode;
  command.nsid = name_space;
  command.addr = reinterpret_cast<std::uintptr_t>(into.data());
  command.data_len = static_cast<std::uint32_t>(into.size());
  command.cdw10 = word10;
  command.timeout_ms = kTimeoutMs;
  const int status = ::ioctl(fd, NVME_IOCTL_ADMIN_CMD, &command);
  return status < 0 ? errno : status;
}

struct Page {
  alignas(8) std::array<std::byte, kIdentifyBytes> bytes{};
};

Result<Page> identify(int fd, std::uint32_t structure, std::uint32_t name_space,
                      const std::string& path) {
  Page page;
  if (const int status = admin(fd, kIdentify, name_space, structure, page.bytes); status != 0)
    return fail(Errc::device_unsupported,
                fmt::format("{} does not say what it has: NVMe identify {:#x} failed ({:#x})", path,
                            structure, status),
                "run this as root; check the disk's health (dmesg, nvme smart-log)");
  return page;
}

bool alone(const NvmeFacts& facts) {
  return std::ranges::all_of(facts.namespaces,
                             [&](std::uint32_t id) { return id == facts.namespace_id; });
}

std::string others_of(const NvmeFacts& facts) {
  std::string text;
  for (const std::uint32_t id : facts.namespaces)
    if (id != facts.namespace_id) text += fmt::format("{}{}", text.empty() ? "" : ", ", id);
  return text;
}

}  // namespace

NvmeFacts nvme_facts(std::span<const std::byte> controller, std::span<const std::byte> name_space) {
  NvmeFacts facts;
  const std::uint32_t optional_commands = little_endian(controller, 256, 2);
  const std::uint32_t sanitize = little_endian(controller, 328, 4);
  const std::uint32_t format = little_endian(controller, 524, 1);
  facts.format = (optional_commands >> 1 & 1) != 0;
  facts.format_all = (format & 1) != 0;
  facts.erase_all = (format >> 1 & 1) != 0;
  facts.crypto_format = (format >> 2 & 1) != 0;
  facts.crypto_sanitize = (sanitize & 1) != 0;
  facts.block_sanitize = (sanitize >> 1 & 1) != 0;
  const std::uint32_t formatted = little_endian(name_space, 26, 1);
  const std::uint32_t protection = little_endian(name_space, 29, 1);
  facts.lba_format = (formatted & 0xf) | (formatted >> 5 & 3) << 4;
  facts.extended_metadata = (formatted >> 4 & 1) != 0;
  facts.protection_type = protection & 7;
  facts.protection_first = (protection >> 3 & 1) != 0;
  return facts;
}

std::vector<std::uint32_t> nvme_namespace_list(std::span<const std::byte> list) {
  std::vector<std::uint32_t> found;
  for (std::size_t at = 0; at + 4 <= list.size(); at += 4) {
    const std::uint32_t id = little_endian(list, at, 4);
    if (id == 0) break;
    found.push_back(id);
  }
  return found;
}

SanitizeStatus sanitize_status(std::span<const std::byte> log) {
  SanitizeStatus status;
  status.done = little_endian(log, 0, 2) / 65536.0;
  switch (little_endian(log, 2, 2) & 7) {
    case 0:
      status.state = SanitizeStatus::State::never;
      break;
    case 1:
    case 4:  // and what was not asked to be deallocated is
      status.state = SanitizeStatus::State::completed;
      break;
    case 2:
      status.state = SanitizeStatus::State::running;
      break;
    default:
      status.state = SanitizeStatus::State::failed;
  }
  status.block_seconds = little_endian(log, 12, 4);
  status.crypto_seconds = little_endian(log, 16, 4);
  return status;
}

Result<SecureErase> choose_nvme_erase(const NvmeFacts& facts, const std::string& path) {
  const std::string others = others_of(facts);
  const auto shared = [&](std::string_view what) {
    return fail(Errc::device_unsupported,
                fmt::format("{} (namespace {}) cannot be erased alone: on this controller {} also "
                            "erases the namespaces {}",
                            path, facts.namespace_id, what, others),
                "--method zero or discard erases this namespace only; or delete the others first "
                "(nvme delete-ns)");
  };
  SecureErase erase;
  // nvme-cli 2.3 cannot name more than 16 formats, and would choose another one.
  if (facts.format && facts.lba_format < 16) {
    if (!alone(facts) && (facts.format_all || facts.erase_all)) return shared("a format");
    erase.way = SecureErase::Way::nvme_format;
    erase.how = facts.crypto_format ? "NVMe format, cryptographic erase"
                                    : "NVMe format, erase of user data";
    // Everything that is not the erase stays as it is.
    erase.program = {"format",
                     fmt::format("--namespace-id={}", facts.namespace_id),
                     fmt::format("--ses={}", facts.crypto_format ? 2 : 1),
                     fmt::format("--lbaf={}", facts.lba_format),
                     fmt::format("--ms={}", facts.extended_metadata ? 1 : 0),
                     fmt::format("--pi={}", facts.protection_type),
                     fmt::format("--pil={}", facts.protection_first ? 1 : 0),
                     "--force"};
    return erase;
  }
  if (facts.crypto_sanitize || facts.block_sanitize) {
    if (!alone(facts)) return shared("a sanitize");
    erase.way = SecureErase::Way::nvme_sanitize;
    erase.how =
        facts.crypto_sanitize ? "NVMe sanitize, cryptographic erase" : "NVMe sanitize, block erase";
    erase.program = {"sanitize", fmt::format("--sanact={}", facts.crypto_sanitize ? 4 : 2)};
    return erase;
  }
  return fail(Errc::device_unsupported,
              fmt::format("{}: this disk has no secure erase: its NVMe controller knows neither "
                          "format nor a cryptographic or block sanitize",
                          path),
              "--method zero, or discard");
}

Result<std::optional<NvmeFacts>> ask_nvme(int fd, const std::string& path) {
  const int id = ::ioctl(fd, NVME_IOCTL_ID);
  if (id <= 0) return std::nullopt;
  const auto own = static_cast<std::uint32_t>(id);
  INGOT_TRY_ASSIGN(const Page controller, identify(fd, kController, 0, path));
  INGOT_TRY_ASSIGN(const Page name_space, identify(fd, kNamespace, own, path));
  NvmeFacts facts = nvme_facts(controller.bytes, name_space.bytes);
  facts.namespace_id = own;
  // Of the allocated ones some may belong to no controller: only who manages namespaces lists
  // those.
  const bool manages = (little_endian(controller.bytes, 256, 2) >> 3 & 1) != 0;
  auto list = identify(fd, manages ? kAllocated : kActive, 0, path);
  if (!list && manages) list = identify(fd, kActive, 0, path);
  // Version 1.0 has no list: the number of namespaces tells whether there are others.
  if (list)
    facts.namespaces = nvme_namespace_list(list->bytes);
  else
    for (std::uint32_t n = 1; n <= std::min(little_endian(controller.bytes, 516, 4), 1024U); ++n)
      facts.namespaces.push_back(n);
  return facts;
}

Result<SanitizeStatus> ask_sanitize_status(int fd, const std::string& path) {
  alignas(8) std::array<std::byte, kSanitizeLogBytes> log{};
  constexpr std::uint32_t kSanitizeLog = 0x81;
  const std::uint32_t word10 = kSanitizeLog | (kSanitizeLogBytes / 4 - 1) << 16;
  if (const int status = admin(fd, kGetLogPage, kAllNamespaces, word10, log); status != 0)
    return fail(Errc::write_erase,
                fmt::format("{}: asking how far it is sanitized failed ({:#x})", path, status),
                "nvme sanitize-log says what became of it");
  return sanitize_status(log);
}

}  // namespace ingot::disk
