#include "disk/core/digest_names.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace ingot {
namespace {

// In a pattern '?' stands for one or no separator, '/' for exactly one. Longer ones come first
// where one begins with another.
struct Spelling {
  std::string_view pattern;
  std::string_view name;
  std::size_t digits;
  bool any_length = false;
};
constexpr std::array kSpellings{
    Spelling{"md?5", "md5", 32},
    Spelling{"md?4", "md4", 32},
    Spelling{"sha?2/512/256", "sha512/256", 64},
    Spelling{"sha?2/512/224", "sha512/224", 56},
    Spelling{"sha?512/256", "sha512/256", 64},
    Spelling{"sha?512/224", "sha512/224", 56},
    Spelling{"sha?2/224", "sha224", 56},
    Spelling{"sha?2/256", "sha256", 64},
    Spelling{"sha?2/384", "sha384", 96},
    Spelling{"sha?2/512", "sha512", 128},
    Spelling{"sha?3/224", "sha3-224", 56},
    Spelling{"sha?3/256", "sha3-256", 64},
    Spelling{"sha?3/384", "sha3-384", 96},
    Spelling{"sha?3/512", "sha3-512", 128},
    Spelling{"sha?1", "sha1", 40},
    Spelling{"sha?224", "sha224", 56},
    Spelling{"sha?256", "sha256", 64},
    Spelling{"sha?384", "sha384", 96},
    Spelling{"sha?512", "sha512", 128},
    Spelling{"sha?3", "sha3", 0, true},
    Spelling{"blake?2b/256", "blake2b-256", 64},
    Spelling{"blake?2b/384", "blake2b-384", 96},
    Spelling{"blake?2b/512", "blake2b", 128},
    Spelling{"blake?2b", "blake2b", 128, true},
    Spelling{"blake?2s", "blake2s", 64, true},
    Spelling{"blake?2", "blake2", 128, true},
    Spelling{"blake?3", "blake3", 64, true},
    Spelling{"b2sum", "blake2b", 128, true},
    Spelling{"b3sum", "blake3", 64, true},
    Spelling{"whirlpool", "whirlpool", 128},
    Spelling{"sm3", "sm3", 64},
    Spelling{"streebog?256", "streebog256", 64},
    Spelling{"streebog?512", "streebog512", 128},
    Spelling{"streebog", "streebog", 0, true},
    Spelling{"keccak?256", "keccak256", 64},
    Spelling{"keccak?512", "keccak512", 128},
    Spelling{"skein", "skein", 0, true},
    Spelling{"ripemd?160", "ripemd160", 40},
    Spelling{"rmd?160", "ripemd160", 40},
};

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_word(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
}
bool is_separator(char c) noexcept {
  return c == '-' || c == '_' || c == '/' || c == ' ';
}

// How much of `text`'s beginning the pattern takes.
std::optional<std::size_t> taken(std::string_view text, std::string_view pattern) noexcept {
  std::size_t at = 0;
  for (const char want : pattern) {
    const bool there = at < text.size();
    if (want == '?' || want == '/') {
      if (there && is_separator(text[at]))
        ++at;
      else if (want == '/')
        return std::nullopt;
    } else if (there && lower(text[at]) == want) {
      ++at;
    } else {
      return std::nullopt;
    }
  }
  return at;
}

// "SHA256SUMS", "md5checksum" and "sha256" are names; "md5deep" and "sha2567" are not.
bool may_follow(std::string_view rest) noexcept {
  if (rest.empty() || !is_word(rest.front())) return true;
  constexpr std::array<std::string_view, 4> kNouns{"sum", "hash", "checksum", "digest"};
  return std::any_of(kNouns.begin(), kNouns.end(),
                     [&](std::string_view noun) { return taken(rest, noun).has_value(); }) ||
         (lower(rest.front()) == 's' && (rest.size() == 1 || !is_word(rest[1])));
}

// "b2" between dots or at an end; "Foo-43_b2.txt" is more likely a second beta.
std::optional<NamedAlgorithm> extension_at(std::string_view name, std::size_t at) {
  constexpr std::array kExtensions{Spelling{"b2", "blake2b", 128}, Spelling{"b3", "blake3", 64}};
  if (at > 0 && name[at - 1] != '.') return std::nullopt;
  for (const Spelling& extension : kExtensions) {
    const auto length = taken(name.substr(at), extension.pattern);
    if (length && (at + *length == name.size() || name[at + *length] == '.'))
      return NamedAlgorithm{extension.name, extension.digits, false, at, at + *length};
  }
  return std::nullopt;
}

std::optional<NamedAlgorithm> algorithm_at(std::string_view text, std::size_t at) {
  for (const Spelling& spelling : kSpellings) {
    const auto length = taken(text.substr(at), spelling.pattern);
    if (length && may_follow(text.substr(at + *length)))
      return NamedAlgorithm{spelling.name, spelling.digits, spelling.any_length, at, at + *length};
  }
  return std::nullopt;
}

std::vector<NamedAlgorithm> all_in(std::string_view text, bool file_name) {
  std::vector<NamedAlgorithm> found;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (at > 0 && is_word(text[at - 1])) continue;
    auto named = algorithm_at(text, at);
    if (!named && file_name) named = extension_at(text, at);
    if (named) {
      at = named->end - 1;
      found.push_back(*named);
    }
  }
  return found;
}

}  // namespace

std::vector<NamedAlgorithm> algorithms_in(std::string_view text) {
  return all_in(text, false);
}

std::vector<NamedAlgorithm> algorithms_in_file_name(std::string_view name) {
  return all_in(name, true);
}

std::string_view usual_algorithm(std::size_t digits) noexcept {
  switch (digits) {
    case 32:
      return "md5";
    case 40:
      return "sha1";
    case 56:
      return "sha224";
    case 64:
      return "sha256";
    case 96:
      return "sha384";
    case 128:
      return "sha512";
    default:
      return {};
  }
}

}  // namespace ingot
