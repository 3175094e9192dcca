/// Bytes from outside, made fit to stand in a message.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ingot {

/// Text as it may be shown on a terminal or in a log: printable ASCII stays, every other byte
/// becomes \xNN. At most `limit` bytes of it; "…" shows that there was more.
std::string printable(std::span<const std::byte> text, std::size_t limit);

/// The first bytes of a file for a person to recognise: "3c 68 74 6d 6c 3e \"<html>\"". At most 32;
/// bytes that are not printable ASCII are dots in the text.
std::string first_bytes(std::span<const std::byte> head);

}  // namespace ingot
