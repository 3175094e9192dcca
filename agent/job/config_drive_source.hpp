/// Which config drive the user wants: one that exists (--config-drive), or one made of files
/// (--user-data, --meta-data, --network-data) or of texts that a request holds.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "disk/core/error.hpp"
#include "imaging/config_drive/config_drive.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {

/// What a config drive is made of, by whoever has it in memory; "": not given. Secrets.
struct ConfigDriveTexts {
  std::string user_data{}, meta_data{}, network_data{};
};

/// The options as given; empty: not given. Holds secrets (base64 text): never log one.
struct ConfigDriveOptions {
  /// FILE, http(s) URL, base64 text, or "-" for standard input; URL or text alone where the
  /// transfer's options allow no files.
  std::string config_drive{};
  /// Files, http(s) URLs, or "-" for one of them.
  std::string user_data{}, meta_data{}, network_data{};
  std::optional<ConfigDriveTexts> texts{};  ///< instead of all of these
  bool anonymous = false;  ///< credentials are for the image's server: no other is sent them

  [[nodiscard]] bool wanted() const {
    return texts || !(config_drive.empty() && user_data.empty() && meta_data.empty() &&
                      network_data.empty());
  }
};

/// The config drive that `options` ask for, or nothing when none is asked for. To be called before
/// the target is touched: a wrong config drive must not cost a disk.
/// Waits on the network at most as long as `transfer` says; `stop` ends it.
/// Errors: usage.config-drive; usage.option (--config-drive together with files or texts); source.*
/// of fetching; cancelled. Messages name the option and a file's path or a redacted URL, never
/// content.
Result<std::optional<imaging::ConfigDrive>> load_config_drive(
    const ConfigDriveOptions& options, const imaging::TransferOptions& transfer,
    std::stop_token stop);

}  // namespace ingot::agent
