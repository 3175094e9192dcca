/// Root device hints: which of a machine's disks is meant.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "disk/core/error.hpp"
#include "disk/inventory/disk.hpp"
#include "disk/inventory/hint_expression.hpp"

namespace ingot::disk {

/// A hint's value as JSON has it.
using HintValue = std::variant<std::string, std::int64_t, bool>;

/// Hints that Ironic and Metal3 define, all of which a disk must satisfy; the same disk is chosen
/// as by Ironic's agent on the same list. hint_expression.hpp says what an expression is.
/// docs/root-device-hints.md is for users. Immutable.
class RootDeviceHints {
 public:
  /// No hints: the default choice.
  RootDeviceHints() = default;

  /// From names and values, in their order.
  /// Errors: usage.hints for an unknown name, a value of the wrong type or malformed.
  static Result<RootDeviceHints> parse(const std::vector<std::pair<std::string, HintValue>>& hints);

  [[nodiscard]] bool empty() const noexcept { return hints_.empty(); }

  /// The first disk that satisfies all hints; without hints the smallest of at least 4 GiB, of
  /// equally large ones the first by name. A disk in use is chosen like any other: whoever claims
  /// it is refused. Errors: device.no-match: a line for each disk (of many, the first), with the
  /// hint that excluded it and one that would choose it.
  [[nodiscard]] Result<Disk> choose(const std::vector<Disk>& disks) const;

  /// The hint that excludes a disk and the disk's value ("size is 10 GiB, not >= 100"), or "" if
  /// none does. Without hints: a size under 4 GiB.
  [[nodiscard]] std::string why_not(const Disk& disk) const;

 private:
  struct Hint {
    std::string name;
    std::string text;   // as it was given, for messages
    HintTokens tokens;  // of rotational: nothing
    bool rotational = false;
  };
  struct Verdict {
    Comparison comparison;
    std::string reason;  // "" if it is satisfied
  };

  [[nodiscard]] static std::string only_for(const Disk& disk, const std::vector<Disk>& disks);
  [[nodiscard]] static Verdict judge(const Hint& hint, const Disk& disk);
  [[nodiscard]] Verdict judge(const Disk& disk) const;
  [[nodiscard]] tl::unexpected<Error> no_match(const std::vector<Disk>& disks) const;

  std::vector<Hint> hints_;
};

}  // namespace ingot::disk
