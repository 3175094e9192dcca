#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "disk/core/buffer.hpp"
#include "disk/core/units.hpp"
#include "disk/scratch.hpp"
#include "disk/zeroing.hpp"

namespace ingot::disk {
namespace {

constexpr std::uint64_t kBlock = 1 * MiB;
// What the withheld head and tail of the target take (device_writer.hpp).
constexpr std::uint64_t kWithheld = 1 * MiB;
// What is left free of the file system that is spooled to.
constexpr std::uint64_t kSpoolMargin = 64 * MiB;

Error scratch_error(const std::string& what, const std::string& where, int error) {
  return system_error(Errc::write_scratch, what + " " + where, error,
                      "check that disk's health (dmesg) and free space");
}

// A region of the target, read and written in aligned blocks of which one is kept in memory.
class ParkingRoom final : public Scratch {
 public:
  ParkingRoom(const Claim& target, std::uint64_t begin, std::uint64_t end,
              const std::function<Result<void>()>& touch)
      : target_(target),
        begin_(begin),
        end_(end),
        touch_(touch),
        pool_(kBlock, 1),
        block_(pool_.try_acquire()) {}

  [[nodiscard]] std::uint64_t capacity() const override { return end_ - begin_; }

  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (offset > capacity() || data.size() > capacity() - offset)
      return fail(Errc::write_scratch, "parking past the end of " + describe());
    while (!data.empty()) {
      INGOT_TRY(load(offset / kBlock));
      const std::uint64_t at = offset % kBlock;
      const auto part = data.first(std::min<std::uint64_t>(data.size(), kBlock - at));
      std::memcpy(block_.bytes().data() + at, part.data(), part.size());
      dirty_ = true;
      offset += part.size();
      used_ = std::max(used_, offset);
      data = data.subspan(part.size());
    }
    return {};
  }

  Result<void> read(std::uint64_t offset, std::span<std::byte> data) override {
    if (offset > used_ || data.size() > used_ - offset)
      return fail(Errc::internal_bug, "reading what was not parked");
    while (!data.empty()) {
      INGOT_TRY(load(offset / kBlock));
      const std::uint64_t at = offset % kBlock;
      const auto part = data.first(std::min<std::uint64_t>(data.size(), kBlock - at));
      std::memcpy(part.data(), block_.bytes().data() + at, part.size());
      offset += part.size();
      data = data.subspan(part.size());
    }
    return {};
  }

  Result<Window> window() override {
    INGOT_TRY(store());
    INGOT_TRY(flush(target_));
    return Window{target_.fd.get(), target_.block_device, begin_};
  }

  [[nodiscard]] std::string describe() const override {
    return fmt::format("the end of {} (from byte {})", target_.path, begin_);
  }

  Result<void> clear(std::stop_token stop) {
    dirty_ = loaded_ = false;
    return Zeroing(target_).run(begin_, align_up(used_, kBlock), std::move(stop));
  }

 private:
  Result<void> load(std::uint64_t number) {
    if (loaded_ && number_ == number) return {};
    INGOT_TRY(store());
    loaded_ = false;
    // A block beyond what was used has nothing to be read.
    if (number * kBlock < used_) {
      auto rest = block_.bytes();
      std::uint64_t at = begin_ + number * kBlock;
      while (!rest.empty()) {
        const ssize_t n =
            ::pread(target_.fd.get(), rest.data(), rest.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
          return tl::unexpected(
              scratch_error("reading back from", describe(), n == 0 ? EIO : errno));
        at += static_cast<std::uint64_t>(n);
        rest = rest.subspan(static_cast<std::size_t>(n));
      }
    } else {
      std::memset(block_.bytes().data(), 0, kBlock);
    }
    number_ = number;
    loaded_ = true;
    return {};
  }

  Result<void> store() {
    if (!std::exchange(dirty_, false)) return {};
    if (touch_) INGOT_TRY(touch_());
    return write_all(target_, begin_ + number_ * kBlock, block_.bytes());
  }

  const Claim& target_;
  const std::uint64_t begin_, end_;  // target bytes, multiples of kBlock
  const std::function<Result<void>()>& touch_;
  BufferPool pool_;
  BufferRef block_;
  std::uint64_t number_ = 0;
  bool loaded_ = false;
  bool dirty_ = false;
  std::uint64_t used_ = 0;
};

// A file without a name.
class SpoolFile final : public Scratch {
 public:
  SpoolFile(UniqueFd fd, std::string directory, std::uint64_t capacity)
      : fd_(std::move(fd)), directory_(std::move(directory)), capacity_(capacity) {}

  [[nodiscard]] std::uint64_t capacity() const override { return capacity_; }

  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    while (!data.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        return tl::unexpected(scratch_error("spooling to", directory_, n == 0 ? EIO : errno));
      offset += static_cast<std::uint64_t>(n);
      data = data.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<void> read(std::uint64_t offset, std::span<std::byte> data) override {
    while (!data.empty()) {
      const ssize_t n = ::pread(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        return tl::unexpected(scratch_error("reading back from", directory_, n == 0 ? EIO : errno));
      offset += static_cast<std::uint64_t>(n);
      data = data.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<Window> window() override { return Window{fd_.get(), false, 0}; }
  [[nodiscard]] std::string describe() const override { return directory_; }

 private:
  UniqueFd fd_;
  const std::string directory_;
  const std::uint64_t capacity_;
};

}  // namespace

struct TargetScratch::Impl {
  const Claim& target;
  const std::string scratch_dir;
  const bool dry_run;
  const std::function<Result<void>()> touch;
  std::unique_ptr<ParkingRoom> parking;
  std::unique_ptr<SpoolFile> spool;
};

TargetScratch::TargetScratch(const Claim& target, std::string scratch_dir, bool dry_run,
                             std::function<Result<void>()> touch)
    : impl_(new Impl{target, std::move(scratch_dir), dry_run, std::move(touch), nullptr, nullptr}) {
}
TargetScratch::~TargetScratch() = default;

Result<Scratch*> TargetScratch::open(std::uint64_t keep, std::uint64_t needed) {
  const Claim& target = impl_->target;
  const std::uint64_t begin = align_up(std::max(std::min(keep, target.size), kWithheld), kBlock);
  const std::uint64_t end =
      target.size > kWithheld ? align_down(target.size - kWithheld, kBlock) : 0;
  const std::uint64_t room = !impl_->dry_run && end > begin ? end - begin : 0;
  if (room > 0 && needed <= room) {
    // At the far end, so that a disk whose size is not known yet has the most room before it.
    const std::uint64_t from = needed > 0 ? end - align_up(needed, kBlock) : begin;
    impl_->parking = std::make_unique<ParkingRoom>(target, from, end, impl_->touch);
    return impl_->parking.get();
  }
  std::uint64_t free = 0;
  if (!impl_->scratch_dir.empty()) {
    struct statvfs facts {};
    if (::statvfs(impl_->scratch_dir.c_str(), &facts) != 0)
      return tl::unexpected(scratch_error("looking at", impl_->scratch_dir, errno));
    free = std::uint64_t{facts.f_bavail} * facts.f_frsize;
    free -= std::min(free, kSpoolMargin);
    if (free > 0 && needed <= free) {
      UniqueFd fd(::open(impl_->scratch_dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
      if (!fd) {
        std::string name = impl_->scratch_dir + "/ingot-XXXXXX";
        fd = UniqueFd(::mkostemp(name.data(), O_CLOEXEC));
        if (fd) ::unlink(name.c_str());
      }
      if (!fd) return tl::unexpected(scratch_error("making a file in", impl_->scratch_dir, errno));
      impl_->spool = std::make_unique<SpoolFile>(std::move(fd), impl_->scratch_dir, free);
      return impl_->spool.get();
    }
  }
  return fail(
      Errc::image_not_streamable,
      fmt::format("this image cannot be written as it arrives and has to be kept meanwhile{}: "
                  "beyond the disk's own {} there are {} left on {}{}",
                  needed > 0 ? " (" + format_bytes(needed) + ")" : "", format_bytes(keep),
                  format_bytes(room), target.path,
                  impl_->scratch_dir.empty()
                      ? ""
                      : fmt::format(", and {} in {}", format_bytes(free), impl_->scratch_dir)),
      "serve it from a server that answers Range requests, rewrite it with qemu-img convert -O "
      "qcow2, use a larger disk, or name a --scratch-dir with that much room");
}

Result<void> TargetScratch::clear(std::stop_token stop) {
  return impl_->parking ? impl_->parking->clear(std::move(stop)) : Result<void>{};
}

}  // namespace ingot::disk
