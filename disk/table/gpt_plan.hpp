/// GptPlan: which copy of an image's GPT counts on a disk, and what that disk needs of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "disk/table/gpt.hpp"
#include "disk/table/table_plan.hpp"

namespace ingot::disk {

/// The GPT behind a protective MBR.
class GptPlan {
 public:
  /// `head`: the image's first MiB, or less of a smaller one. All references outlive this.
  GptPlan(const ImageView& image, const TableDisk& disk, std::span<const std::byte> head)
      : image_(image), disk_(disk), head_(head), sector_(disk.sector) {}

  /// Finds the copy that counts, and judges it. False: what decides is not known yet.
  /// Errors: those of plan_table().
  Result<bool> judge();

  [[nodiscard]] std::uint32_t sector() const noexcept { return sector_; }
  /// Whether the disk needs another table than the image's.
  [[nodiscard]] bool changed() const noexcept { return changed_; }
  [[nodiscard]] bool backup_moved() const noexcept { return backup_moved_; }
  [[nodiscard]] std::optional<std::uint64_t> stale_backup() const noexcept { return stale_; }
  [[nodiscard]] std::vector<std::string>& notes() noexcept { return notes_; }
  /// Both copies, as the disk needs them.
  Result<void> put_on(ShadowDisk& shadow) const;

 private:
  enum class State { right, wrong_header, wrong_entries, unknown };
  struct Copy {
    State state = State::wrong_header;
    GptHeader header;
    std::vector<std::byte> sector, entries;
    std::string unreadable;  // why the entries of a header that is right otherwise are not read
  };

  [[nodiscard]] Result<bool> read(std::uint64_t offset, std::span<std::byte> bytes) const;
  [[nodiscard]] Result<Copy> copy_at(std::uint64_t lba, std::uint32_t sector) const;
  [[nodiscard]] std::optional<std::uint64_t> image_last(std::uint32_t sector) const;
  [[nodiscard]] Error other_sector(std::uint32_t made_for) const;
  [[nodiscard]] std::uint64_t table_end() const;
  [[nodiscard]] Error partition_behind(const GptEntry& entry) const;
  static Result<void> refuse_unreadable(const Copy& copy);
  Result<bool> choose_sector();
  Result<bool> rebuild();
  Result<void> check_entries() const;
  Result<void> compare_backup();
  Result<void> fit();

  const ImageView& image_;
  const TableDisk& disk_;
  const std::span<const std::byte> head_;
  std::uint32_t sector_;
  std::uint64_t last_ = 0;  // the disk's last sector
  Copy table_;              // the copy that counts
  std::vector<GptEntry> used_;
  bool changed_ = false, backup_moved_ = false;
  std::optional<std::uint64_t> stale_;
  std::vector<std::string> notes_;
};

}  // namespace ingot::disk
