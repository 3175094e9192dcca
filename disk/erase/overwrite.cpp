#include "disk/erase/overwrite.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "disk/core/buffer.hpp"
#include "disk/core/units.hpp"
#include "disk/erase/wipe.hpp"
#include "disk/sysfs.hpp"
#include "disk/target_scan.hpp"
#include "disk/zeroing.hpp"

namespace ingot::disk {
namespace {

// One request: what a cancel waits for. Slow cards discard some hundred MiB a second.
constexpr std::uint64_t kDiscardStep = 256 * MiB;
constexpr std::size_t kSampleBytes = 1 * MiB;
constexpr std::uint64_t kSamples = 64;  // between the ends, evenly

Error no_discard(const Claim& target) {
  return Error(Errc::device_unsupported, fmt::format("{} has no discard", target.path),
               "--method zero writes zeros everywhere; --method secure, if the disk has it");
}

int discard(const Claim& target, std::uint64_t offset, std::uint64_t length) {
  if (!target.block_device)
    return ::fallocate(target.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset), static_cast<off_t>(length));
  std::uint64_t range[2] = {offset, length};
  return ::ioctl(target.fd.get(), BLKDISCARD, range);
}

bool not_supported(int error) {
  return error == EOPNOTSUPP || error == ENOTTY || error == ENOSYS;
}

std::string far(const Claim& target, std::uint64_t done) {
  return fmt::format("{} of {} of {}", format_bytes(done), format_bytes(target.size), target.path);
}

}  // namespace

Result<void> check_discard(const Claim& target) {
  struct stat now {};
  if (!target.block_device || ::fstat(target.fd.get(), &now) != 0) return {};
  const std::string most =
      sysfs::first_line(sysfs::folder_of(now.st_rdev) / "queue/discard_max_bytes");
  if (most == "0") return tl::unexpected(no_discard(target));
  return {};
}

Result<void> discard_all(const Claim& target, Watch& watch) {
  for (std::uint64_t done = 0; done < target.size;) {
    if (watch.stop().stop_requested())
      return fail(Errc::cancelled, "cancelled after discarding " + far(target, done));
    const std::uint64_t part = std::min(kDiscardStep, target.size - done);
    int error = 0;
    {
      const auto request = watch.request(done);
      while ((error = discard(target, done, part) == 0 ? 0 : errno) == EINTR) {
      }
    }
    if (not_supported(error) && done == 0) return tl::unexpected(no_discard(target));
    if (error != 0)
      return tl::unexpected(system_error(
          Errc::write_erase,
          fmt::format("discarding {} at byte {}, after {}", target.path, done, far(target, done)),
          error, "--method zero, or --method secure if the disk has it"));
    done += part;
    watch.erased(part);
  }
  return {};
}

Result<void> zero_all(const Claim& target, Watch& watch) {
  // From here on nothing boots, however far it comes.
  INGOT_TRY(wipe_ends(target, watch));
  Zeroing zeroing(target);
  for (std::uint64_t done = 0; done < target.size;) {
    if (watch.stop().stop_requested())
      return fail(Errc::cancelled, "cancelled after zeroing " + far(target, done));
    const std::uint64_t part = std::min(zeroing.step_bytes(), target.size - done);
    const auto request = watch.request(done);
    if (auto zeroed = zeroing.run(done, part, {}); !zeroed)
      return tl::unexpected(zeroed.error().with_context("after zeroing " + far(target, done)));
    done += part;
    watch.erased(part);
  }
  watch.phase(Phase::flush);
  const auto request = watch.request(0);
  return flush(target);
}

Result<void> check_zeros(const Claim& target, Watch& watch, std::chrono::milliseconds stall_limit) {
  BufferPool pool(kSampleBytes, 1);
  ReadOptions options;
  options.buffers = {pool.try_acquire()};
  options.stop = watch.stop();
  options.stall_limit = stall_limit;
  const auto take = [&target](std::uint64_t offset, std::uint64_t,
                              std::span<const std::byte> data) -> Result<void> {
    const auto* const odd = std::find_if(data.data(), data.data() + data.size(),
                                         [](std::byte b) { return b != std::byte{0}; });
    if (odd == data.data() + data.size()) return {};
    return fail(Errc::write_readback,
                fmt::format("reading {} back: byte {} is not zero, and zeros were written there",
                            target.path, offset + static_cast<std::uint64_t>(odd - data.data())),
                "the disk does not keep what is written; replace it");
  };
  const auto sample = [&](std::uint64_t from, std::uint64_t to) {
    return scan_target(target, from, std::min(to, target.size), options, take);
  };
  const std::uint64_t last = target.size > kSampleBytes ? target.size - kSampleBytes : 0;
  INGOT_TRY(sample(0, kSampleBytes));
  INGOT_TRY(sample(align_down(last, kBufferAlignment), target.size));
  if (target.size < 4 * kSampleBytes) return sample(0, target.size);
  for (std::uint64_t i = 1; i < kSamples; ++i) {
    const std::uint64_t at = align_down(target.size / kSamples * i, kBufferAlignment);
    INGOT_TRY(sample(at, at + 64 * KiB));
  }
  return {};
}

}  // namespace ingot::disk
