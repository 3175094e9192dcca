/// GRUB's script language, read but not run: grub.cfg becomes commands and blocks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::disk {

/// A stretch of a word: text as it stands, or a variable to be put in.
struct GrubPart {
  std::string value;  ///< the text, or the variable's name
  bool variable = false;
  bool quoted = false;  ///< no blank in it ends the word
};

/// The parts of one word, joined. Empty only by quoting: ''.
using GrubWord = std::vector<GrubPart>;

struct GrubStatement;
using GrubBlock = std::vector<GrubStatement>;

struct GrubStatement {
  enum class Kind {
    command,    ///< `words`; in `blocks` what stands in braces behind them, as of a menuentry
    condition,  ///< `if`; `blocks`: condition, body, condition, body, …, and the body of `else`
    loop,      ///< `for`, `while`, `until`; `blocks`: what may run; `words`: of `for` its variable,
               ///< `in`, values
    function,  ///< `words`: its name; `blocks`: its body
  };
  Kind kind = Kind::command;
  unsigned line = 0;  ///< in the file, from 1
  std::vector<GrubWord> words;
  std::vector<GrubBlock> blocks;
};

inline constexpr std::size_t kMostGrubWords = 50'000;  ///< of one file
inline constexpr int kDeepestGrubBlock = 32;           ///< blocks in blocks

/// NAME of a word NAME=…; nothing if the word is no assignment.
[[nodiscard]] std::optional<std::string> assigned_name(const GrubWord& word);
/// The text of a word without variables.
[[nodiscard]] std::optional<std::string> literal_text(const GrubWord& word);

/// The whole file. Errors: image.unsupported: it is no such script, or has more words or deeper
/// blocks than the limits. `name` is for messages.
/// Source: GNU GRUB manual 2.06, 6.1 "Writing full configuration files directly".
Result<GrubBlock> parse_grub_script(std::string_view text, const std::string& name);

}  // namespace ingot::disk
