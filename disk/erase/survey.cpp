#include "disk/erase/survey.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include "disk/core/unique_fd.hpp"
#include "disk/core/units.hpp"
#include "disk/erase/signatures.hpp"
#include "disk/erase/table_sectors.hpp"
#include "disk/erase/watch.hpp"
#include "disk/sysfs.hpp"

namespace ingot::disk {
namespace {

constexpr std::size_t kMostRegions = 1024;
constexpr unsigned kDeepest = 3;
constexpr std::size_t kMostSignatures = 512;
constexpr std::uint64_t kKernelUnit = 512;  // sysfs counts in these whatever the sectors
// Every superblock that is known lies inside one such block.
constexpr std::uint64_t kBlock = 4096;
// btrfs: the copies of the superblock (its first is libblkid's) and the magic in them. Source:
// btrfs documentation, "On-disk format", superblock.
constexpr std::array<std::uint64_t, 2> kBtrfsMirrors = {64 * MiB, 256 * GiB};
constexpr std::uint64_t kBtrfsMagicAt = 64;
constexpr const char* kBtrfsMagic = "_BHRfS_M";

// The target without O_DIRECT, which libblkid's buffers are not made for; and without what the page
// cache may have kept from before an erase.
Result<UniqueFd> open_for_reading(const Claim& target) {
  UniqueFd fd;
  if (target.block_device) {
    const std::string again = fmt::format("/proc/self/fd/{}", target.fd.get());
    fd = UniqueFd(::open(again.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd) (void)::ioctl(fd.get(), BLKFLSBUF, 0);
  } else {
    fd = UniqueFd(::fcntl(target.buffered_fd.get(), F_DUPFD_CLOEXEC, 0));
  }
  if (!fd)
    return tl::unexpected(system_error(Errc::write_erase, "opening " + target.path + " for reading",
                                       errno, "check the disk's health (dmesg)"));
  return fd;
}

std::optional<std::uint64_t> number_in(const std::filesystem::path& attribute) {
  const std::string text = sysfs::first_line(attribute);
  std::uint64_t number = 0;
  if (text.empty() ||
      std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

class Surveyor {
 public:
  Surveyor(const Claim& target, int fd, Watch& watch) : target_(target), fd_(fd), watch_(watch) {}

  Result<Survey> all() {
    survey_.regions.push_back({0, target_.size, "the disk", "", 0, false});
    INGOT_TRY(look_for_partitions(0, target_.logical_sector));
    add_what_the_kernel_knows();
    // Grows while it is walked: what is in a partition comes behind it.
    for (std::size_t i = 1; i < survey_.regions.size(); ++i)
      if (survey_.regions[i].depth < kDeepest && !survey_.regions[i].extended)
        INGOT_TRY(look_for_partitions(i, target_.logical_sector));
    return signatures();
  }

  Result<Survey> of(const std::vector<Region>& regions) {
    survey_.regions = regions;
    return signatures();
  }

 private:
  Result<Survey> signatures() {
    for (std::size_t i = 0; i < survey_.regions.size(); ++i) {
      INGOT_TRY(watch_.not_stopped(target_.path));
      const Region region = survey_.regions[i];
      auto found =
          find_signatures(stretch(region, target_.logical_sector), kMostSignatures, watch_);
      if (!found && found.error().code() == Errc::cancelled)
        return tl::unexpected(found.error().with_context("erasing " + target_.path));
      if (!found) {
        problem(fmt::format("{}: {}", region.name, found.error().message()));
        continue;
      }
      for (auto& magic : *found) add(i, magic.offset, std::move(magic.type), kBlock);
      add_mirrors(i);
      if (region.extended) continue;  // its records are of its container's chain
      const auto request = watch_.request(region.offset);
      for (const auto& [offset, what] :
           table_sectors(fd_, region.offset, region.length, target_.logical_sector))
        add(i, offset, what, target_.logical_sector);
    }
    return std::move(survey_);
  }

  // The whole block that holds the magic, as far as it is the region's.
  void add(std::size_t number, std::uint64_t offset, std::string type, std::uint64_t block) {
    const Region& region = survey_.regions[number];
    const std::uint64_t from = align_down(offset - region.offset, block);
    survey_.signatures.push_back({offset, std::move(type), number, region.offset + from,
                                  std::min(block, region.length - from)});
  }

  void add_mirrors(std::size_t number) {
    const Region region = survey_.regions[number];
    for (const std::uint64_t mirror : kBtrfsMirrors) {
      if (region.length < mirror + kBlock) continue;
      const std::uint64_t at = region.offset + mirror + kBtrfsMagicAt;
      std::array<char, 8> magic{};
      const auto request = watch_.request(at);
      if (::pread(fd_, magic.data(), magic.size(), static_cast<off_t>(at)) != 8 ||
          std::memcmp(magic.data(), kBtrfsMagic, magic.size()) != 0)
        continue;
      const Region& owner = survey_.regions[number];
      survey_.signatures.push_back({at, "btrfs (mirror)", number, owner.offset + mirror, kBlock});
    }
  }

  Result<void> look_for_partitions(std::size_t number, std::uint32_t sector) {
    INGOT_TRY(watch_.not_stopped(target_.path));
    const Region region = survey_.regions[number];
    std::string kind;
    INGOT_TRY_ASSIGN(auto entries, find_partitions(stretch(region, sector), false, kind, watch_));
    // The partitions of a table that counts from the disk's start, whatever it lies in (BSD,
    // Solaris), were found with the disk's own.
    if (region.depth == 0 || kind == "gpt" || kind == "dos") add(number, entries);
    // A GPT behind another table, or made for the other kind of disk.
    for (const std::uint32_t size : {sector, sector == 512 ? 4096U : 512U}) {
      if (kind == "gpt") break;
      INGOT_TRY_ASSIGN(entries, find_partitions(stretch(region, size), true, kind, watch_));
      add(number, entries);
    }
    return {};
  }

  void add(std::size_t parent, const std::vector<TableEntry>& entries) {
    for (const auto& entry : entries) {
      const Region container = survey_.regions[parent];
      const std::string name = parent == 0 ? fmt::format("partition {}", entry.number)
                                           : fmt::format("{}.{}", container.name, entry.number);
      if (entry.offset >= container.length) {
        problem(
            fmt::format("{} lies outside {}, as the table has it: left out", name, container.name));
        continue;
      }
      add({container.offset + entry.offset, std::min(entry.length, container.length - entry.offset),
           name, entry.type, container.depth + 1, entry.extended});
    }
  }

  // What the kernel shows may be of a table that is not on the disk any more.
  void add_what_the_kernel_knows() {
    struct stat now {};
    if (!target_.block_device || ::fstat(target_.fd.get(), &now) != 0) return;
    for (const auto& folder : sysfs::partitions(sysfs::folder_of(now.st_rdev))) {
      const auto start = number_in(folder / "start"), size = number_in(folder / "size");
      const auto offset = start ? checked_mul(*start, kKernelUnit) : std::nullopt;
      const auto length = size ? checked_mul(*size, kKernelUnit) : std::nullopt;
      if (!offset || !length || *offset >= target_.size) continue;
      add({*offset, std::min(*length, target_.size - *offset), folder.filename().string(), "", 1,
           false});
    }
  }

  void add(Region region) {
    if (region.length == 0) return;
    const bool known = std::ranges::any_of(survey_.regions, [&](const Region& other) {
      return other.offset == region.offset && other.length == region.length;
    });
    // The kernel shows of an extended partition its first sectors only.
    const bool stub = std::ranges::any_of(survey_.regions, [&](const Region& other) {
      return &other != &survey_.regions.front() && other.offset == region.offset &&
             region.length <= 1 * KiB && other.length > region.length;
    });
    if (known || stub) return;
    if (survey_.regions.size() >= kMostRegions) {
      problem(fmt::format("more than {} partitions: {} is left out", kMostRegions, region.name));
      return;
    }
    survey_.regions.push_back(std::move(region));
  }

  void problem(std::string text) {
    constexpr std::size_t kMostProblems = 16;
    if (survey_.problems.size() < kMostProblems) survey_.problems.push_back(std::move(text));
  }

  [[nodiscard]] Stretch stretch(const Region& region, std::uint32_t sector) const {
    return {fd_, region.offset, region.length, sector};
  }

  const Claim& target_;
  const int fd_;
  Watch& watch_;
  Survey survey_;
};

}  // namespace

Result<Survey> survey(const Claim& target, Watch& watch) {
  INGOT_TRY_ASSIGN(const UniqueFd fd, open_for_reading(target));
  return Surveyor(target, fd.get(), watch).all();
}

Result<Survey> survey_again(const Claim& target, const std::vector<Region>& regions, Watch& watch) {
  INGOT_TRY_ASSIGN(const UniqueFd fd, open_for_reading(target));
  return Surveyor(target, fd.get(), watch).of(regions);
}

}  // namespace ingot::disk
