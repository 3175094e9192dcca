/// LiveCatalog: where a controller's OSImages come from, which may change while it serves.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "agent/kubernetes/api_server.hpp"
#include "agent/osimage/catalog.hpp"
#include "disk/core/error.hpp"

namespace ingot::agent {

/// One thread at a time.
class LiveCatalog {
 public:
  virtual ~LiveCatalog() = default;
  /// The catalog as it is now. Errors: the source's.
  virtual Result<std::unique_ptr<Catalog>> open(const OnWarning& on_warning) = 0;
  /// Whether it changed since this was last asked. Does not wait.
  virtual bool changed() = 0;
  /// Whether somebody is writing a manifest at this moment, so far as can be told.
  virtual bool being_written() = 0;
  /// Why what open() gives may be old; "" while it is current. What is wrong with manifests is
  /// open()'s to say.
  [[nodiscard]] virtual std::string problem() const = 0;
};

/// What --catalog names: a directory, which is watched; or an API server (read_catalog_option),
/// whose images are listed before this returns, and followed from then on, while its SSHKeys are
/// asked for as they are needed. `stop` ends what is waited for.
/// Errors: usage.option; controller.*: an API server that does not list its images within half a
/// minute; cancelled.
Result<std::shared_ptr<LiveCatalog>> open_live_catalog(const std::string& option,
                                                       KubernetesOptions api,
                                                       const std::stop_token& stop);

}  // namespace ingot::agent
