/// Virtual media: parameters and configuration that Ironic gives a machine on a medium of its BMC,
/// where the machine boots from that and not from the network (boot_method=vmedia).
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/ironic/parameters.hpp"

namespace ingot::agent {

/// Where to look; tests have their own.
struct VirtualMediaPlaces {
  std::string sysfs = "/sys", dev = "/dev";
  /// The kernel's file systems that a medium may have; only these are mounted.
  std::vector<std::string> file_systems{"iso9660", "vfat", "udf"};
  /// How long a medium may take to appear: USB does when its bus has been searched.
  std::chrono::milliseconds patience{10'000};
};

/// A block device that Ironic may have put its files on.
struct Medium {
  std::string kname;        ///< "sr0"
  std::string file_system;  ///< "iso9660"
  std::string label;        ///< as it is written there; may hold any bytes
};

/// Media in the order in which they count: labelled ir-vfd-dev, config-2, vmedia_boot_iso (small
/// or capital letters), then those whose SCSI model contains "virtual media". Only whole optical
/// drives, and USB disks under 4 GiB: the config drive of a tenant, which may have the same label,
/// is a partition of a disk that stays in the machine.
[[nodiscard]] std::vector<Medium> find_virtual_media(const VirtualMediaPlaces& places);

/// A file for the agent's configuration, taken from a medium.
struct MediumFile {
  std::string place;  ///< where the medium wants it: "/etc/ironic-python-agent/ironic.crt"
  std::string copy;   ///< where it is: a path of mode 0600 under the run directory
};

/// What the media held. May hold a token: never log `parameters`.
struct VirtualMedia {
  std::string parameters;         ///< parameters.txt; "": there was none
  std::vector<MediumFile> files;  ///< none of the same place twice
  std::vector<std::string> problems;
};

/// Reads parameters.txt (64 KiB at most) and the plain files of /etc/ironic-python-agent and
/// /etc/ironic-python-agent.d (64 of at most 1 MiB) of every medium; what the first one has counts.
/// Each is mounted read-only, without devices, set-user-ID and programs, at no path at all, so that
/// it is unmounted whatever happens to this process. The copies go to `run_dir`/virtual-media,
/// instead of those of an earlier start. No medium is no problem; what could not be read is one.
/// Source: ironic-python-agent's utils.py; the conductor's image_utils.py writes the media.
[[nodiscard]] VirtualMedia read_virtual_media(const VirtualMediaPlaces& places,
                                              const std::string& run_dir,
                                              const std::stop_token& stop);

/// The configuration files to apply, in this order, where `own` are the host's: a file of the
/// medium stands for the host's of the same path, ironic-python-agent.conf comes first, then the
/// others by name. Files of the medium that are no configuration (*.conf) are left out.
[[nodiscard]] std::vector<std::string> config_files(const std::vector<std::string>& own,
                                                    const VirtualMedia& media);

/// Certificates and keys that `options` name by the place where the medium wants them are the
/// copies from now on.
void use_files_of_medium(AgentOptions& options, const VirtualMedia& media);

}  // namespace ingot::agent
