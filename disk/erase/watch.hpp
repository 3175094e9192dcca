/// Watch: work on a device that may stop answering, done on a thread that nobody has to wait for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "disk/claim.hpp"
#include "disk/core/progress.hpp"
#include "disk/erase/erase.hpp"
#include "disk/io_engine.hpp"

namespace ingot::disk {

/// What the working thread tells, and what it is told. Shared by both threads, so that a worker
/// that the kernel does not let go of never touches anything of its caller's.
class Watch {
 public:
  explicit Watch(std::stop_token stop = {}) : stop_(std::move(stop)) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// The device has a request of ours from now until this object is gone.
  class Request {
   public:
    explicit Request(Watch& watch) : watch_(watch) {}
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    ~Request() { watch_.answered(); }

   private:
    Watch& watch_;
  };
  /// `offset`, bytes, is for the message should it not be answered.
  [[nodiscard]] Request request(std::uint64_t offset);

  void phase(Phase phase) { tell(phase); }
  void note(std::string text) { tell(std::move(text)); }
  void erased(std::uint64_t bytes) noexcept { bytes_ += bytes; }
  void state(EraseState state) noexcept { state_ = state; }
  [[nodiscard]] EraseState state() const noexcept { return state_; }
  [[nodiscard]] const std::stop_token& stop() const noexcept { return stop_; }
  /// Errors: cancelled, once stop was requested.
  [[nodiscard]] Result<void> not_stopped(const std::string& path) const;

  // The caller's side.
  using News = std::variant<Phase, std::string>;
  [[nodiscard]] std::vector<News> take_news();
  [[nodiscard]] std::uint64_t take_bytes() noexcept { return bytes_.exchange(0); }
  [[nodiscard]] std::optional<PendingRequest> pending() const;

 private:
  void tell(News news);
  void answered();

  const std::stop_token stop_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<EraseState> state_{EraseState::untouched};
  mutable std::mutex mutex_;  // all below
  std::vector<News> news_;
  std::optional<PendingRequest> pending_;
};

/// Runs `work` on a thread of its own and passes on what it tells, until it ends or a request of
/// its is not answered for `stall_limit`: then the thread is left alone with a copy of the claim,
/// which is free again when the kernel has its request back.
EraseOutcome run_watched(const Claim& target,
                         std::function<EraseOutcome(const Claim&, Watch&)> work,
                         ProgressCounters& counters, JobListener& listener, std::stop_token stop,
                         std::chrono::milliseconds stall_limit);

}  // namespace ingot::disk
