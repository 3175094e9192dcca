#include "disk/erase/ata.hpp"

#include <endian.h>
#include <fmt/format.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace ingot::disk {
namespace {

constexpr unsigned kTimeoutMs = 15'000;
constexpr std::uint16_t kWordSecuritySupported = 82, kWordSecurityEnabled = 85;
constexpr std::uint16_t kWordNormalTime = 89, kWordEnhancedTime = 90, kWordStatus = 128;

bool bit(std::uint16_t word, unsigned number) {
  return (word >> number & 1) != 0;
}

// In steps of two minutes, in seven bits or, with bit 15 set, in fifteen.
std::chrono::minutes time_of(std::uint16_t word) {
  return std::chrono::minutes(2 * (bit(word, 15) ? word & 0x7fff : word & 0xff));
}

std::string minutes(std::chrono::minutes time) {
  return time.count() > 0 ? fmt::format(" (about {} minutes)", time.count()) : "";
}

}  // namespace

AtaSecurity ata_security(std::span<const std::uint16_t> identify) {
  AtaSecurity security;
  if (identify.size() < kAtaIdentifyWords) return security;
  const std::uint16_t status = identify[kWordStatus];
  security.supported = bit(identify[kWordSecuritySupported], 1) && bit(status, 0);
  if (!security.supported) return security;
  security.enabled = bit(identify[kWordSecurityEnabled], 1) || bit(status, 1);
  security.locked = bit(status, 2);
  security.frozen = bit(status, 3);
  security.expired = bit(status, 4);
  security.enhanced = bit(status, 5);
  security.normal_time = time_of(identify[kWordNormalTime]);
  security.enhanced_time = time_of(identify[kWordEnhancedTime]);
  return security;
}

Result<SecureErase> choose_ata_erase(const AtaSecurity& security, const std::string& path) {
  if (!security.supported)
    return fail(Errc::device_unsupported,
                fmt::format("{}: this disk has no secure erase: it is an ATA disk without the "
                            "Security feature set",
                            path),
                "--method zero, or discard");
  if (security.frozen)
    return fail(
        Errc::device_unsupported,
        fmt::format("{}: the disk's secure erase is frozen: the firmware locked its security "
                    "settings at power-on",
                    path),
        "suspend the machine to RAM and wake it up, or pull the disk's power and plug it in "
        "again, or turn the firmware's freeze lock off; then try again");
  if (security.expired)
    return fail(
        Errc::device_unsupported,
        fmt::format("{}: the disk takes no password any more after too many wrong ones", path),
        "turn the disk's power off and on, and try again");
  SecureErase erase;
  erase.way = SecureErase::Way::ata_security;
  erase.enhanced = security.enhanced;
  erase.locked = security.locked;
  erase.expected = security.enhanced ? security.enhanced_time : security.normal_time;
  erase.how = fmt::format("ATA {}security erase{}", security.enhanced ? "enhanced " : "",
                          minutes(erase.expected));
  return erase;
}

std::optional<AtaSecurity> ask_ata(int fd) {
  // ATA PASS-THROUGH (16): PIO data in, one block, IDENTIFY DEVICE.
  std::array<unsigned char, 16> command{};
  command[0] = 0x85;
  command[1] = 4 << 1;
  command[2] = 0x0e;  // the length is in the count field, in blocks, from the device
  command[6] = 1;
  command[14] = 0xec;
  std::array<std::uint16_t, kAtaIdentifyWords> words{};
  std::array<unsigned char, 32> sense{};
  sg_io_hdr_t header{};
  header.interface_id = 'S';
  header.cmd_len = command.size();
  header.cmdp = command.data();
  header.mx_sb_len = sense.size();
  header.sbp = sense.data();
  header.dxfer_direction = SG_DXFER_FROM_DEV;
  header.dxfer_len = sizeof words;
  header.dxferp = words.data();
  header.timeout = kTimeoutMs;
  if (::ioctl(fd, SG_IO, &header) != 0) return std::nullopt;
  // A SCSI disk refuses the command (check condition); a bridge may answer with nothing.
  if (header.status != 0 || header.host_status != 0 ||
      header.resid >= static_cast<int>(sizeof words) ||
      std::ranges::all_of(words, [](std::uint16_t word) { return word == 0; }))
    return std::nullopt;
  std::ranges::transform(words, words.begin(), [](std::uint16_t word) { return le16toh(word); });
  return ata_security(words);
}

}  // namespace ingot::disk
