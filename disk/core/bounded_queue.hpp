/// A bounded queue between two stages: a full queue makes the producer wait, an empty one the
/// consumer, and closing it wakes both.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>

namespace ingot {

/// Any number of producers and consumers. Never holds more than `capacity` items.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  /// Waits for room. False when the queue was closed or `stop` requested; the item is then gone.
  bool push(T item, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, std::move(stop),
                       [this] { return closed_ || items_.size() < capacity_; }) ||
        closed_)
      return false;
    items_.push_back(std::move(item));
    lock.unlock();
    changed_.notify_all();
    return true;
  }

  /// Waits for an item. Nothing when the queue is closed and drained, or `stop` was requested.
  std::optional<T> pop(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, std::move(stop), [this] { return closed_ || !items_.empty(); }) ||
        items_.empty())
      return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return item;
  }

  /// No more items will come; those inside may still be popped.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace ingot
