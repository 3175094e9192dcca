#include "disk/head_gate.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ingot::disk {

Result<bool> HeadGate::pass(std::uint64_t from, std::uint64_t to, const std::byte* data) {
  if (opened()) return true;
  std::unique_lock lock(mutex_);
  if (!opened_ && !failure_) {
    if (hold(from, to, data)) return false;
    changed_.wait_for(lock, stop_, patience_, [this] { return opened_ || failure_; });
  }
  if (opened_) return true;
  if (!failure_ && stop_.stop_requested()) return fail(Errc::cancelled, "writing: cancelled");
  INGOT_TRY(open());
  return true;
}

bool HeadGate::hold(std::uint64_t from, std::uint64_t to, const std::byte* data) {
  if (data == nullptr) {
    if (!holes_.empty() && holes_.back().to == from) {
      holes_.back().to = to;
      return true;
    }
    if (holes_.size() == kMostHoles) return false;
    holes_.push_back({from, to});
    return true;
  }
  if (pieces_.size() == kMostPieces || to - from > kMostData - used_) return false;
  if (!buffer_) buffer_ = pool_.try_acquire();
  const auto place = buffer_.bytes().subspan(used_, to - from);
  std::memcpy(place.data(), data, place.size());
  pieces_.push_back({from, Slice(buffer_, place)});
  used_ = std::min<std::size_t>(align_up(used_ + place.size(), kBufferAlignment), kMostData);
  return true;
}

Result<void> HeadGate::head_came(std::uint64_t length, std::uint64_t whole) {
  if (opened()) return {};
  const std::lock_guard lock(mutex_);
  head_seen_ += length;
  return opened_ || head_seen_ < whole ? Result<void>{} : open();
}

Result<void> HeadGate::open_now() {
  const std::lock_guard lock(mutex_);
  return opened_ ? Result<void>{} : open();
}

Result<void> HeadGate::open() {
  if (failure_) return tl::unexpected(*failure_);
  auto done = actions_.open();
  for (std::size_t i = 0; done && i < holes_.size(); ++i)
    done = actions_.zero(holes_[i].from, holes_[i].to);
  for (std::size_t i = 0; done && i < pieces_.size(); ++i)
    done = actions_.write(pieces_[i].from, std::move(pieces_[i].data));
  holes_ = {};
  pieces_ = {};
  buffer_ = BufferRef();
  if (done)
    opened_.store(true, std::memory_order_release);
  else
    failure_ = done.error();
  changed_.notify_all();
  return done;
}

}  // namespace ingot::disk
