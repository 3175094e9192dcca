#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "disk/core/bounded_queue.hpp"
#include "disk/io_engine.hpp"

namespace ingot::disk {

Error write_error(const std::string& path, std::uint64_t offset, int errno_value) {
  return system_error(
      Errc::write_io, fmt::format("writing {} at byte {}", path, offset), errno_value,
      "the disk failed or went away; check its cabling and health (dmesg, smartctl) "
      "or replace it");
}

namespace {

struct Request {
  std::uint64_t offset;
  Slice data;
};

// What the threads work on. Shared with them, since one that the kernel does not let go of outlives
// the engine.
class Pool {
 public:
  Pool(IoEngine::Config config, unsigned threads)
      : config_(std::move(config)), queue_(config_.queue_depth), running_(threads) {}

  Result<void> submit(std::uint64_t offset, Slice data) {
    {
      const std::lock_guard lock(mutex_);
      ++pending_;
    }
    if (queue_.push({offset, std::move(data)}, config_.stop)) return {};
    done();
    return fail(Errc::cancelled, fmt::format("writing {}: cancelled", config_.target->path));
  }

  void drain() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return pending_ == 0 || given_up_; });
  }

  std::optional<PendingRequest> oldest() {
    const std::lock_guard lock(mutex_);
    std::optional<PendingRequest> first;
    for (const auto& request : running_)
      if (request && (!first || request->since < first->since)) first = request;
    return first;
  }

  void give_up() {
    {
      const std::lock_guard lock(mutex_);
      given_up_ = failed_ = true;
    }
    idle_.notify_all();
  }

  // No more work and, from when this returns, no more calls to the owner. True: given up, a thread
  // may not come back.
  bool close() {
    queue_.close();
    const std::scoped_lock lock(mutex_, owner_);
    owner_gone_ = given_up_;
    return given_up_;
  }

  void run(std::size_t thread) {
    // Not ended by the stop token: whatever was taken is finished, so that drain() can end.
    while (auto request = queue_.pop({})) {
      write(*request, thread);
      *request = {};
      done();
    }
  }

 private:
  // False: an earlier write failed, this one is not to be begun.
  bool begin(std::size_t thread, std::uint64_t offset) {
    const std::lock_guard lock(mutex_);
    if (failed_) return false;
    running_[thread] = PendingRequest{offset, std::chrono::steady_clock::now()};
    return true;
  }

  void write(const Request& request, std::size_t thread) {
    auto bytes = request.data.bytes();
    std::uint64_t offset = request.offset;
    while (!bytes.empty()) {
      if (!begin(thread, offset)) return;
      const ssize_t n = ::pwrite(config_.target->fd.get(), bytes.data(), bytes.size(),
                                 static_cast<off_t>(offset));
      const int error = n == 0 ? EIO : errno;
      const bool first = end(thread, n <= 0 && error != EINTR);
      if (n < 0 && error == EINTR) continue;
      if (n <= 0) {
        if (first) tell([&] { config_.failed(write_error(config_.target->path, offset, error)); });
        return;
      }
      offset += static_cast<std::uint64_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    tell([&] { config_.written(request.data.size()); });
  }

  // Whether this is the first failure.
  bool end(std::size_t thread, bool failed) {
    const std::lock_guard lock(mutex_);
    running_[thread].reset();
    return failed && !std::exchange(failed_, true);
  }

  template <class Call>
  void tell(Call call) {
    const std::lock_guard lock(owner_);
    if (!owner_gone_) call();
  }

  void done() {
    {
      const std::lock_guard lock(mutex_);
      --pending_;
    }
    idle_.notify_all();
  }

  const IoEngine::Config config_;
  BoundedQueue<Request> queue_;
  std::mutex mutex_;  // all below but owner_gone_
  std::condition_variable idle_;
  std::vector<std::optional<PendingRequest>> running_;  // one a thread
  std::size_t pending_ = 0;
  bool failed_ = false;
  bool given_up_ = false;
  std::mutex owner_;  // held while the owner is told
  bool owner_gone_ = false;
};

class PwriteEngine final : public IoEngine {
 public:
  explicit PwriteEngine(Config config) {
    // Each write is synchronous, so the threads are the queue depth that the device sees.
    const unsigned threads = std::min(config.queue_depth, kMaxThreads);
    pool_ = std::make_shared<Pool>(std::move(config), threads);
    for (unsigned i = 0; i < threads; ++i)
      threads_.emplace_back([pool = pool_, i] { pool->run(i); });
  }
  ~PwriteEngine() override {
    // A thread that hangs in the kernel cannot be ended; it is left alone with what it needs.
    if (pool_->close())
      for (auto& thread : threads_) thread.detach();
  }
  PwriteEngine(const PwriteEngine&) = delete;
  PwriteEngine& operator=(const PwriteEngine&) = delete;

  Result<void> submit(std::uint64_t offset, Slice data) override {
    return pool_->submit(offset, std::move(data));
  }
  void drain() override { pool_->drain(); }
  std::optional<PendingRequest> oldest() override { return pool_->oldest(); }
  void give_up() override { pool_->give_up(); }

 private:
  static constexpr unsigned kMaxThreads = 8;
  std::shared_ptr<Pool> pool_;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::unique_ptr<IoEngine> make_pwrite_engine(IoEngine::Config config) {
  return std::make_unique<PwriteEngine>(std::move(config));
}

}  // namespace ingot::disk
