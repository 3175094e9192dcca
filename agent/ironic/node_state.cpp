#include "agent/ironic/node_state.hpp"

#include <openssl/crypto.h>

#include <string_view>
#include <utility>

namespace ingot::agent {

void NodeState::adopt(const LookupAnswer& answer) {
  const std::lock_guard lock(mutex_);
  uuid_ = answer.uuid;
  node_ = answer.node;
  if (!answer.token.empty()) token_ = answer.token;
  if (answer.md5_allowed) policy_.md5_allowed = *answer.md5_allowed;
  if (answer.permitted_formats) policy_.permitted_formats = *answer.permitted_formats;
}

void NodeState::set_token(std::string token) {
  const std::lock_guard lock(mutex_);
  token_ = std::move(token);
}

std::string NodeState::token() const {
  const std::lock_guard lock(mutex_);
  return token_;
}

bool NodeState::is_token(std::string_view given) const {
  const std::lock_guard lock(mutex_);
  return !token_.empty() && given.size() == token_.size() &&
         ::CRYPTO_memcmp(given.data(), token_.data(), token_.size()) == 0;
}

std::string NodeState::uuid() const {
  const std::lock_guard lock(mutex_);
  return uuid_;
}

ImagePolicy NodeState::policy() const {
  const std::lock_guard lock(mutex_);
  return policy_;
}

void NodeState::set_node(std::string record) {
  const std::lock_guard lock(mutex_);
  node_ = std::move(record);
}

std::string NodeState::node() const {
  const std::lock_guard lock(mutex_);
  return node_;
}

void NodeState::set_job(std::shared_ptr<const JobWatch> job) {
  const std::lock_guard lock(mutex_);
  job_ = std::move(job);
}

std::shared_ptr<const JobWatch> NodeState::job() const {
  const std::lock_guard lock(mutex_);
  return job_;
}

void NodeState::set_written(WrittenDisk disk) {
  const std::lock_guard lock(mutex_);
  written_ = std::move(disk);
}

std::optional<NodeState::WrittenDisk> NodeState::written() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

}  // namespace ingot::agent
