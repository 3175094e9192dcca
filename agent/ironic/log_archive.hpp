/// LogArchive: a tar.gz in memory that takes texts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// Memory   what has been compressed so far.
class LogArchive {
 public:
  LogArchive();
  ~LogArchive();
  LogArchive(const LogArchive&) = delete;
  LogArchive& operator=(const LogArchive&) = delete;

  /// Adds a file. `name` is relative, with '/' between folders. Errors: internal.bug.
  Result<void> add(const std::string& name, std::string_view content);
  /// Ends it; to be called once, as the last. Errors: internal.bug.
  Result<std::string> finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ingot::agent
