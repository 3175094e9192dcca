#include "agent/ironic/identity_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

#include "agent/text/json_object.hpp"
#include "agent/text/private_file.hpp"
#include "agent/text/text.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostContent = 4UL << 20;
constexpr const char* kAdvice = "make the directory writable for root, or give another --run-dir";

std::string content_of(const std::string& path) {
  return read_private_file(path, kMostContent);
}

Result<std::string> named_content(const std::string& path, const char* option) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(1UL << 20, '\0');
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (got < 0)
    return tl::unexpected(system_error(Errc::usage_option, fmt::format("{} {}", option, path),
                                       errno, "name a PEM file that can be read"));
  if (got == 0)
    return fail(Errc::usage_option, fmt::format("{} {}: it is empty", option, path),
                "name a PEM file that can be read");
  text.resize(static_cast<std::size_t>(got));
  return text;
}

}  // namespace

Result<TlsIdentity> read_tls_identity(const std::string& certificate_file,
                                      const std::string& key_file) {
  TlsIdentity identity;
  INGOT_TRY_ASSIGN(identity.certificate, named_content(certificate_file, "tls_cert_file"));
  INGOT_TRY_ASSIGN(identity.private_key, named_content(key_file, "tls_key_file"));
  return identity;
}

std::optional<SavedToken> IdentityStore::token() const {
  const auto parsed = parse_json_object(content_of(directory_ + "/agent.json"));
  if (!parsed) return std::nullopt;
  SavedToken saved{string_in(*parsed, "node_uuid"), string_in(*parsed, "token")};
  if (saved.node_uuid.empty() || saved.token.empty()) return std::nullopt;
  return saved;
}

std::optional<TlsIdentity> IdentityStore::tls() const {
  TlsIdentity identity{content_of(directory_ + "/agent.key"),
                       content_of(directory_ + "/agent.crt")};
  if (identity.private_key.empty() || identity.certificate.empty()) return std::nullopt;
  return identity;
}

std::optional<CommandRecord> IdentityStore::command() const {
  const auto parsed = parse_json_object(content_of(directory_ + "/command.json"));
  if (!parsed) return std::nullopt;
  CommandRecord record;
  record.id = string_in(*parsed, "id");
  record.name = string_in(*parsed, "name");
  if (record.id.empty() || record.name.empty()) return std::nullopt;
  record.status = static_cast<CommandStatus>(integer_in(*parsed, "status").value_or(-1));
  if (const json::object* error = object_in(*parsed, "error"))
    record.error = AgentError{string_in(*error, "type"),
                              static_cast<int>(integer_in(*error, "code").value_or(500)),
                              string_in(*error, "message"), string_in(*error, "details")};
  if (const json::value* result = parsed->if_contains("result"))
    record.result = json::serialize(*result);
  switch (record.status) {
    case CommandStatus::succeeded:
      return record;
    case CommandStatus::failed:
    case CommandStatus::version_mismatch:
      if (record.error) return record;
      break;
    case CommandStatus::running:
      break;
  }
  record.status = CommandStatus::failed;
  record.error = failure("CommandExecutionError",
                         record.name +
                             ": the agent ended while it ran, and was started again. See "
                             "the RAM disk's journal for why; then do it once more");
  record.result = "null";
  return record;
}

Result<void> IdentityStore::save(const CommandRecord& command) const {
  json::object saved{{"id", command.id},
                     {"name", command.name},
                     {"status", static_cast<int>(command.status)},
                     {"result", json::parse(command.result)}};
  if (command.error)
    saved["error"] = json::object{{"type", command.error->type},
                                  {"code", command.error->code},
                                  {"message", utf8(command.error->message)},
                                  {"details", utf8(command.error->details)}};
  return write("command.json", json::serialize(saved));
}

void IdentityStore::forget_command() const {
  ::unlink((directory_ + "/command.json").c_str());
}

Result<void> IdentityStore::save(const SavedToken& token) const {
  return write("agent.json", json::serialize(json::object{{"node_uuid", token.node_uuid},
                                                          {"token", token.token}}));
}

Result<void> IdentityStore::save(const TlsIdentity& identity) const {
  INGOT_TRY(write("agent.key", identity.private_key));
  return write("agent.crt", identity.certificate);
}

Result<void> IdentityStore::write(const std::string& name, const std::string& content) const {
  return write_private_file(directory_, name, content, kAdvice);
}

}  // namespace ingot::agent
