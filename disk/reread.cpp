// After the write: the kernel and udev learn of the new partitions.
#include <fmt/format.h>
#include <libudev.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

#include "disk/claim.hpp"
#include "disk/device_lock.hpp"

namespace ingot::disk {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 10s;
constexpr auto kStep = 100ms;

// Waits until udev has worked off its events; where no udev runs there is nothing to wait for.
bool settle() {
  if (::access("/run/udev/control", F_OK) != 0) return true;
  const std::unique_ptr<udev, udev* (*)(udev*)> context(udev_new(), udev_unref);
  if (!context) return true;
  const std::unique_ptr<udev_queue, udev_queue* (*)(udev_queue*)> queue(
      udev_queue_new(context.get()), udev_queue_unref);
  if (!queue) return true;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  // The kernel's news takes a moment to reach udev: its queue has to be empty twice.
  for (int quiet = 0; quiet < 2;) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kStep);
    quiet = udev_queue_get_queue_is_empty(queue.get()) != 0 ? quiet + 1 : 0;
  }
  return true;
}

}  // namespace

Result<void> reread_partitions(const Claim& target) {
  if (!target.block_device) return {};
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (::ioctl(target.fd.get(), BLKRRPART) != 0) {
    // A device without partition scanning (a plain loop device) has no partitions to show.
    if (errno == EINVAL || errno == ENOTTY || errno == EOPNOTSUPP) return {};
    if (errno != EBUSY || std::chrono::steady_clock::now() > end)
      return tl::unexpected(system_error(
          Errc::device_in_use, "reading the partition table of " + target.path + " again", errno,
          "the image is written and complete; run partprobe, or restart the machine"));
    std::this_thread::sleep_for(kStep);
  }
  // udev puts off its work on a disk as long as we have it locked.
  unlock_device(target.fd.get());
  if (!settle())
    return fail(Errc::device_in_use,
                fmt::format("{}: udev did not settle within {} s", target.path,
                            std::chrono::seconds(kPatience).count()),
                "the image is written and complete; its partitions may show up later");
  return {};
}

}  // namespace ingot::disk
