/// ClusterWorkers: turns located clusters into extents, on as many threads as there is work for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "disk/core/bounded_queue.hpp"
#include "disk/core/buffer.hpp"
#include "disk/core/extent_sink.hpp"
#include "disk/core/first_error.hpp"
#include "imaging/qcow2/header.hpp"

namespace ingot::imaging::qcow2 {

/// One stretch of the file with its place in the guest.
struct Piece {
  std::uint64_t guest = 0;           ///< guest bytes
  std::uint64_t host = 0;            ///< file bytes, for messages
  std::span<const std::byte> bytes;  ///< inside the batch's slice or one of its `own` buffers
  bool compressed = false;
  bool in_slice = true;
};

/// The pieces of one stretch of the stream, and what keeps their bytes alive.
struct Batch {
  Slice slice;
  std::vector<std::vector<std::byte>> own;  ///< pieces that straddled slices, or came from the hold
  std::vector<Piece> pieces;
};

/// Shape    batches in, extents out through the sink, in no particular order. Within a batch,
///          pieces that are neighbours in the guest are joined into writes of up to one sink
///          buffer.
/// Threads  `threads` of its own; submit() and finish() by one caller. The first failure goes to
///          `job`, which ends everything; the destructor stops and joins.
/// Memory   a queue of one batch a thread, one decompressor and at most one cluster a thread.
/// Errors   image.corrupt when a cluster does not inflate to exactly one cluster; the sink's.
class ClusterWorkers {
 public:
  /// All references outlive the workers.
  ClusterWorkers(const Header& header, ExtentSink& sink, FirstError& job, unsigned threads);
  ~ClusterWorkers();
  ClusterWorkers(const ClusterWorkers&) = delete;
  ClusterWorkers& operator=(const ClusterWorkers&) = delete;

  /// Hands a batch over; waits while all threads are busy. Errors: the job's.
  Result<void> submit(Batch batch);
  /// Waits until all is done. Errors: the job's first.
  Result<void> finish();

  /// A stretch of the file.
  struct Stretch {
    std::uint64_t host;
    std::uint64_t length;
  };
  /// What compressed clusters turned out to take, exactly, since the last call: an L2 table gives
  /// their length in sectors only.
  [[nodiscard]] std::vector<Stretch> take_inflated();

 private:
  void run();

  const Header& header_;
  ExtentSink& sink_;
  FirstError& job_;
  BoundedQueue<Batch> queue_;
  std::mutex mutex_;
  std::vector<Stretch> inflated_;  // guarded by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace ingot::imaging::qcow2
