/// BootManager: the firmware's boot entries, read and changed by efibootmgr.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/boot/boot_entries.hpp"

namespace ingot::disk {

/// An entry that the firmware has.
struct FirmwareEntry {
  std::string number;  ///< four hexadecimal digits
  std::string label;   ///< as the firmware has it: any bytes
  std::string path;    ///< device path, in words: "HD(1,GPT,…)/File(\EFI\…)"

  bool operator==(const FirmwareEntry&) const = default;

  /// Whether it is for a file on a disk's partition, and not for the network, a whole disk, or
  /// something inside the firmware.
  [[nodiscard]] bool on_partition() const;
};

/// The entries in what `efibootmgr -v` prints (versions 15 to 18). Labels come from the firmware:
/// what is no such line is passed over, and text in UTF-16 is read as if it were ASCII.
std::vector<FirmwareEntry> parse_efibootmgr(std::string_view output);

/// Runs the program as root: it writes the firmware's variables. It may write no file larger than
/// one of them, and is never asked to write to a disk. Each run is given a minute: some firmware
/// takes seconds to store a variable. Errors of all: write.boot-entry, cancelled.
class BootManager {
 public:
  /// `program`: its path, or "", and it is looked for on $PATH. Errors: it is not there.
  static Result<BootManager> find(const std::string& program);

  [[nodiscard]] Result<std::vector<FirmwareEntry>> list(const std::stop_token& stop) const;
  /// Removes an entry, from the boot order as well.
  [[nodiscard]] Result<void> remove(const FirmwareEntry& entry, const std::stop_token& stop) const;
  /// Adds an entry for a file on `device`, in front of all others in the boot order.
  [[nodiscard]] Result<void> create(const std::string& device, const BootEntry& entry,
                                    const std::stop_token& stop) const;

 private:
  explicit BootManager(std::string program) : program_(std::move(program)) {}
  [[nodiscard]] Result<std::string> run(const std::string& what,
                                        const std::vector<std::string>& arguments,
                                        const std::stop_token& stop) const;

  std::string program_;
};

}  // namespace ingot::disk
