#include <fcntl.h>
#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>
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

class PwriteEngine final : public IoEngine {
 public:
  explicit PwriteEngine(Config config) : config_(std::move(config)), queue_(config_.queue_depth) {
    // Each write is synchronous, so the threads are the queue depth that the device sees.
    const unsigned threads = std::min(config_.queue_depth, kMaxThreads);
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~PwriteEngine() override { queue_.close(); }
  PwriteEngine(const PwriteEngine&) = delete;
  PwriteEngine& operator=(const PwriteEngine&) = delete;

  Result<void> submit(std::uint64_t offset, Slice data) override {
    {
      const std::lock_guard lock(mutex_);
      ++pending_;
    }
    if (queue_.push({offset, std::move(data)}, config_.stop)) return {};
    done();
    return fail(Errc::cancelled, fmt::format("writing {}: cancelled", config_.path));
  }

  void drain() override {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return pending_ == 0; });
  }

 private:
  static constexpr unsigned kMaxThreads = 8;
  struct Request {
    std::uint64_t offset;
    Slice data;
  };

  void run() {
    // Not ended by the stop token: whatever was taken is finished, so that drain() can end.
    while (auto request = queue_.pop({})) {
      write(*request);
      *request = {};
      done();
    }
  }

  void write(const Request& request) {
    {
      const std::lock_guard lock(mutex_);
      if (failed_) return;
    }
    auto bytes = request.data.bytes();
    std::uint64_t offset = request.offset;
    while (!bytes.empty()) {
      const ssize_t n =
          ::pwrite(config_.fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        const int error = n == 0 ? EIO : errno;
        {
          const std::lock_guard lock(mutex_);
          if (std::exchange(failed_, true)) return;
        }
        config_.failed(write_error(config_.path, offset, error));
        return;
      }
      offset += static_cast<std::uint64_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    config_.written(request.data.size());
  }

  void done() {
    {
      const std::lock_guard lock(mutex_);
      --pending_;
    }
    idle_.notify_all();
  }

  const Config config_;
  BoundedQueue<Request> queue_;
  std::mutex mutex_;  // pending_, failed_
  std::condition_variable idle_;
  std::size_t pending_ = 0;
  bool failed_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::unique_ptr<IoEngine> make_pwrite_engine(IoEngine::Config config) {
  return std::make_unique<PwriteEngine>(std::move(config));
}

}  // namespace ingot::disk
