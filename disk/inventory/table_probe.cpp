#include "disk/inventory/table_probe.hpp"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "disk/core/unique_fd.hpp"
#include "disk/inventory/attribute.hpp"
#include "disk/inventory/blkid_probe.hpp"

namespace ingot::disk {
namespace {

constexpr std::size_t kAtOnce = 64;  // threads

// The table comes first and alone: an ISO 9660 image that boots from disks has both, and what
// makes it a disk is the table.
TableProbe probe_fd(int fd) {
  constexpr int kFound = 0, kSeveral = -2;
  TableProbe found;
  const BlkidProbe probe = probe_of(fd);
  if (!probe) return found;
  blkid_probe_enable_superblocks(probe.get(), 0);
  blkid_probe_enable_partitions(probe.get(), 1);
  if (blkid_do_safeprobe(probe.get()) == kFound) {
    found.table = clean_text(value_of(probe, "PTTYPE"));
    found.id = clean_text(value_of(probe, "PTUUID"));
  }
  if (!found.table.empty()) return found;
  blkid_probe_enable_partitions(probe.get(), 0);
  blkid_probe_enable_superblocks(probe.get(), 1);
  blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE);
  const int superblock = blkid_do_safeprobe(probe.get());
  if (superblock == kFound) found.table = clean_text(value_of(probe, "TYPE"));
  if (superblock == kSeveral) found.table = "ambiguous";
  return found;
}

TableProbe probe_one(const ProbeTarget& target) {
  const UniqueFd fd(::open(target.node.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISBLK(info.st_mode) ||
      info.st_rdev != target.number)
    return {};
  return probe_fd(fd.get());
}

// Outlives whoever gives up waiting.
struct Board {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<TableProbe> results;
  std::size_t open = 0;  // not yet answered
};

void start(const std::shared_ptr<Board>& board, std::size_t place, const ProbeTarget& target) {
  std::thread([board, place, target] {
    TableProbe found;
    try {
      found = probe_one(target);
    } catch (const std::exception&) {  // no memory: as if it could not be read
    }
    const std::lock_guard lock(board->mutex);
    board->results[place] = std::move(found);
    --board->open;
    board->changed.notify_all();
  }).detach();
}

}  // namespace

std::vector<TableProbe> probe_tables(const std::vector<ProbeTarget>& targets,
                                     std::chrono::milliseconds patience) {
  std::vector<TableProbe> all;
  for (std::size_t first = 0; first < targets.size(); first += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, targets.size() - first);
    const auto board = std::make_shared<Board>();
    board->results.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      {
        const std::lock_guard lock(board->mutex);
        ++board->open;
      }
      try {
        start(board, i, targets[first + i]);
      } catch (const std::system_error&) {  // no thread to be had: not read
        const std::lock_guard lock(board->mutex);
        --board->open;
      }
    }
    std::unique_lock lock(board->mutex);
    board->changed.wait_for(lock, patience, [&board] { return board->open == 0; });
    // What comes later finds its own board, not ours.
    all.insert(all.end(), board->results.begin(), board->results.end());
  }
  return all;
}

}  // namespace ingot::disk
