/// NodeState: what the agent knows of its node, and what the node tells others of itself.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/ironic/ironic_client.hpp"
#include "agent/ironic/job_watch.hpp"

namespace ingot::agent {

/// What lookup's configuration says of images.
struct ImagePolicy {
  bool md5_allowed = true;
  std::vector<std::string> permitted_formats{"raw", "gpt", "qcow2"};
};

/// Shared by the server's threads, the command's thread and the heartbeats: every call takes a lock
/// for a moment.
class NodeState {
 public:
  /// Takes what lookup said. A token that was withheld does not replace the one there is.
  void adopt(const LookupAnswer& answer);

  void set_token(std::string token);
  /// Secret; "" until lookup brought one.
  [[nodiscard]] std::string token() const;
  /// Whether `given` is the token, in constant time. False while there is none.
  [[nodiscard]] bool is_token(std::string_view given) const;

  [[nodiscard]] std::string uuid() const;
  [[nodiscard]] ImagePolicy policy() const;

  /// The newest record of the node (JSON): every step brings one.
  void set_node(std::string record);
  [[nodiscard]] std::string node() const;

  /// The job that is under way, for whoever asks how far it is.
  void set_job(std::shared_ptr<const JobWatch> job);
  [[nodiscard]] std::shared_ptr<const JobWatch> job() const;

  /// The disk that was written in this boot, and its MBR identifier; empty: none was.
  struct WrittenDisk {
    std::string device;
    std::string root_uuid;  ///< "0x00000000" for a GPT
  };
  void set_written(WrittenDisk disk);
  [[nodiscard]] std::optional<WrittenDisk> written() const;

 private:
  mutable std::mutex mutex_;
  std::string token_, uuid_, node_;
  ImagePolicy policy_;
  std::shared_ptr<const JobWatch> job_;
  std::optional<WrittenDisk> written_;
};

}  // namespace ingot::agent
