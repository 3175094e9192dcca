#include "disk/inventory/blkid_probe.hpp"

#include <blkid/blkid.h>

namespace ingot::disk {

void FreeBlkidProbe::operator()(blkid_struct_probe* probe) const noexcept {
  blkid_free_probe(probe);
}

BlkidProbe probe_of(int fd) {
  BlkidProbe probe(blkid_new_probe());
  if (probe && blkid_probe_set_device(probe.get(), fd, 0, 0) != 0) probe.reset();
  return probe;
}

Result<BlkidProbe> probe_partitions_of(int fd, const std::string& device) {
  BlkidProbe probe = probe_of(fd);
  if (!probe)
    return fail(Errc::device_unsuitable, device + ": its partition table cannot be read",
                "check the disk's health (dmesg)");
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  return probe;
}

std::string value_of(const BlkidProbe& probe, const char* name) {
  const char* value = nullptr;
  if (blkid_probe_lookup_value(probe.get(), name, &value, nullptr) != 0 || value == nullptr)
    return {};
  return value;
}

}  // namespace ingot::disk
