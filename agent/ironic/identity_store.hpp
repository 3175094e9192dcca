/// IdentityStore: what a restarted agent needs to be the same one for the conductor, which gives
/// the token out once and takes no other certificate in the same boot.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "agent/http/tls_identity.hpp"
#include "agent/ironic/command_table.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// Secret.
struct SavedToken {
  std::string node_uuid, token;
};

/// A certificate and key that somebody else made. Errors: usage.option (one of them is missing,
/// cannot be read, or is empty).
Result<TlsIdentity> read_tls_identity(const std::string& certificate_file,
                                      const std::string& key_file);

/// Files of mode 0600 in a directory of mode 0700 that is gone after a reboot (/run/ingot). What
/// cannot be read counts as absent.
class IdentityStore {
 public:
  explicit IdentityStore(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::optional<SavedToken> token() const;
  [[nodiscard]] std::optional<TlsIdentity> tls() const;
  /// The last asynchronous command; one that ran when the agent ended has failed, which the
  /// conductor would otherwise take for one that was never begun, and go on with the next.
  [[nodiscard]] std::optional<CommandRecord> command() const;
  /// Errors: usage.option (the directory or a file cannot be written).
  Result<void> save(const SavedToken& token) const;
  Result<void> save(const TlsIdentity& identity) const;
  Result<void> save(const CommandRecord& command) const;
  /// There was none in this boot.
  void forget_command() const;

 private:
  Result<void> write(const std::string& name, const std::string& content) const;

  const std::string directory_;
};

}  // namespace ingot::agent
