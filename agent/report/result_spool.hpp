/// ResultSpool: results that nobody has been told of yet, in files that survive the process.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "disk/core/error.hpp"

namespace ingot::agent {

/// The end of one run. Holds a token: never log one whole.
struct KeptResult {
  std::string deploy_id;
  std::string request;  ///< which request it is the end of: any text that tells two apart
  std::string device;   ///< that was written
  bool succeeded = false;
  std::string on_success;  ///< what is to be done then, in its owner's words
  std::string report_url, report_token;
  std::string cloud_event;  ///< what the controller has yet to be told; "": nothing
};

/// A directory with one file a run, for this user alone. One process at a time.
///
/// The file is there before anybody is told of the result, so that a process that is killed has
/// either no result, or one that the next process finds.
class ResultSpool {
 public:
  /// Files are made in `directory` ("/run/ingot"), which need not exist yet.
  explicit ResultSpool(std::string directory) : directory_(std::move(directory)) {}

  /// Keeps `result`, in place of what there is of the same run. Of more than kMostKept runs the
  /// oldest is forgotten. Errors: usage.option (the directory cannot be written).
  Result<void> keep(const KeptResult& result) const;
  void forget(const std::string& deploy_id) const;
  /// Everything that is kept, oldest first. What is no file of ours is passed over.
  [[nodiscard]] std::vector<KeptResult> kept() const;

  static constexpr std::size_t kMostKept = 64;

 private:
  [[nodiscard]] std::vector<std::string> files(std::string_view suffix) const;

  const std::string directory_;
};

}  // namespace ingot::agent
