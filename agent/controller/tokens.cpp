#include "agent/controller/tokens.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "agent/process/secrets.hpp"

namespace ingot::agent {
namespace {

constexpr std::size_t kShortest = 16;  // characters: 64 bits in hexadecimal
constexpr std::size_t kLargestFile = 4UL << 20;
constexpr const char* kMakeOne = "`openssl rand -hex 32` makes a good one";

bool is_token(std::string_view text) {
  return text.size() >= kShortest && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  std::string_view("-._~+/=").find(c) != std::string_view::npos;
         });
}

Result<void> check_mode(const std::string& path, std::string_view option) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return tl::unexpected(system_error(Errc::usage_option, fmt::format("{}: {}", option, path),
                                       errno, "name a file that holds the tokens"));
  if (S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return fail(
        Errc::usage_option,
        fmt::format("{}: {}: others can read it (mode {:o})", option, path, status.st_mode & 07777),
        fmt::format("chmod 600 {}", path));
  return {};
}

}  // namespace

Tokens::Digest Tokens::digest_of(std::string_view token) {
  Digest digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), digest.data());
  return digest;
}

bool Tokens::equal(std::string_view authorization, const Digest& expected) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return false;
  for (std::size_t i = 0; i < kScheme.size(); ++i)
    if ((authorization[i] | 0x20) != kScheme[i]) return false;
  std::string_view token = authorization.substr(kScheme.size());
  token.remove_prefix(std::min(token.find_first_not_of(' '), token.size()));
  const Digest digest = digest_of(token);
  return ::CRYPTO_memcmp(digest.data(), expected.data(), digest.size()) == 0;
}

Result<Tokens> Tokens::load(const std::string& machine_file, const std::string& page_file) {
  Tokens tokens;
  if (!machine_file.empty()) {
    constexpr std::string_view kOption = "--machine-tokens";
    INGOT_TRY(check_mode(machine_file, kOption));
    std::ifstream file(machine_file);
    auto& machines = tokens.machines_.emplace();
    std::map<Digest, std::string> owners;
    std::string line;
    std::size_t number = 0, size = 0;
    const auto refuse = [&](std::string_view why, std::string_view advice) {
      return fail(Errc::usage_option,
                  fmt::format("{}: {}:{}: {}", kOption, machine_file, number, why),
                  std::string(advice));
    };
    while (std::getline(file, line)) {
      ++number;
      if ((size += line.size()) > kLargestFile) return refuse("the file is too large", "");
      constexpr std::string_view kBlank = " \t\r";
      const auto begin = line.find_first_not_of(kBlank);
      if (begin == std::string::npos || line[begin] == '#') continue;
      const auto name_end = line.find_first_of(kBlank, begin);
      const auto token_begin = line.find_first_not_of(kBlank, name_end);
      const auto token_end = std::min(line.find_first_of(kBlank, token_begin), line.size());
      if (token_begin == std::string::npos ||
          line.find_first_not_of(kBlank, token_end) != std::string::npos)
        return refuse("it is not a machine's name and its token", "write: NAME TOKEN");
      const std::string name = line.substr(begin, name_end - begin);
      const std::string text = line.substr(token_begin, token_end - token_begin);
      if (!is_token(text))
        return refuse(
            "the token has less than 16 characters, or others than letters, digits and "
            "-._~+/=",
            kMakeOne);
      const auto [owner, alone] = owners.try_emplace(digest_of(text), name);
      if (!alone && owner->second != name)
        return refuse(fmt::format("the machine {} has this token as well: each could pass for the "
                                  "other",
                                  owner->second),
                      kMakeOne);
      if (!machines.try_emplace(name, Token{text, digest_of(text)}).second)
        return refuse(fmt::format("the machine {} has a token already", name), "give one a line");
    }
    ::explicit_bzero(line.data(), line.size());
    if (file.bad() || (!file.eof() && file.fail()) || number == 0)
      return fail(Errc::usage_option,
                  fmt::format("{}: {}: it cannot be read, or is empty", kOption, machine_file),
                  "write a line NAME TOKEN for each machine");
  }
  if (!page_file.empty()) {
    constexpr std::string_view kOption = "--page-token-file";
    INGOT_TRY(check_mode(page_file, kOption));
    INGOT_TRY_ASSIGN(std::string token, read_secret(page_file, kOption));
    if (!is_token(token))
      return fail(Errc::usage_option,
                  fmt::format("{}: {}: the token has less than 16 characters, or others than "
                              "letters, digits and -._~+/=",
                              kOption, page_file),
                  kMakeOne);
    if (tokens.machines_)
      for (const auto& [name, machines] : *tokens.machines_)
        if (machines.text == token)
          return fail(Errc::usage_option,
                      fmt::format("{}: {}: the machine {} has this token as well, and could have "
                                  "every machine installed again",
                                  kOption, page_file, name),
                      kMakeOne);
    tokens.page_ = digest_of(token);
    ::explicit_bzero(token.data(), token.size());
  }
  return tokens;
}

bool Tokens::is_machines(std::string_view authorization, const std::string& machine) const {
  if (!machines_) return true;
  const auto found = machines_->find(machine);
  return found != machines_->end() && equal(authorization, found->second.digest);
}

bool Tokens::is_some_machines(std::string_view authorization) const {
  if (!machines_) return true;
  bool some = false;
  for (const auto& [name, token] : *machines_) some = equal(authorization, token.digest) || some;
  return some;
}

bool Tokens::is_pages(std::string_view authorization) const {
  return !page_ || equal(authorization, *page_);
}

std::string Tokens::machine_token(const std::string& machine) const {
  if (!machines_) return {};
  const auto found = machines_->find(machine);
  return found == machines_->end() ? std::string() : found->second.text;
}

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace ingot::agent
