/// Files that other programs can open and that are on no disk (memfd).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"
#include "imaging/config_drive/secret_bytes.hpp"

namespace ingot::imaging {

/// A file with `content`. A program that inherits it opens it as /proc/self/fd/N, whoever it runs
/// as. Its time is 1980-01-01, so that what is made of it does not depend on the clock. Errors:
/// internal.bug (no memory).
Result<UniqueFd> make_memory_file(std::span<const std::byte> content);

/// An empty one that has `size` bytes, all zeros. Errors: as above.
Result<UniqueFd> make_memory_file(std::uint64_t size);

/// All of `fd`, wherever its position is. Errors: internal.bug.
Result<SecretBytes> read_memory_file(int fd);

}  // namespace ingot::imaging
