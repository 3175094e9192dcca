#include "imaging/digest_tap.hpp"

#include <utility>

namespace ingot::imaging {

DigestTap::DigestTap(DigestType type, std::stop_token stop)
    : stop_(std::move(stop)), hasher_(type), thread_([this] { run(stop_); }) {}

DigestTap::~DigestTap() {
  queue_.close();
}

Result<Slice> DigestTap::next() {
  INGOT_TRY_ASSIGN(Slice slice, in_->next());
  if (slice.empty()) return slice;
  taken_ += slice.size();
  if (!queue_.push(slice, stop_)) return fail(Errc::cancelled, "hashing the image: cancelled");
  return slice;
}

void DigestTap::run(std::stop_token stop) {
  while (auto slice = queue_.pop(stop)) {
    {
      const std::lock_guard lock(mutex_);
      hasher_.update(slice->bytes());
      hashed_ += slice->size();
    }
    advanced_.notify_all();
  }
}

Result<Digest> DigestTap::prefix(std::uint64_t n) {
  std::unique_lock lock(mutex_);
  if (!advanced_.wait(lock, stop_, [&] { return hashed_ >= n; }))
    return fail(Errc::cancelled, "hashing the image: cancelled");
  if (hashed_ > n) return fail(Errc::internal_bug, "digest of a prefix that was passed already");
  return hasher_.snapshot();
}

}  // namespace ingot::imaging
