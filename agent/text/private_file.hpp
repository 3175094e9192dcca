/// Files for this user alone: what is to survive this process, tokens included.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// The content of a file, at most `limit` bytes of it; "" if there is none, or it is not a regular
/// file that belongs to this user and that nobody else may read or write.
[[nodiscard]] std::string read_private_file(const std::string& path, std::size_t limit);

/// Of the name of a file that is not whole yet: one that stays was being written when its process
/// was killed.
inline constexpr std::string_view kDraftSuffix = ".new";

/// Writes a file with mode 0600, in a directory that is made (mode 0700) where it does not exist.
/// It is there whole and on its medium when this returns, or the old one is, whatever ends the
/// process or the machine. Errors: usage.option, with `advice`.
Result<void> write_private_file(const std::string& directory, const std::string& name,
                                const std::string& content, const std::string& advice);

}  // namespace ingot::agent
