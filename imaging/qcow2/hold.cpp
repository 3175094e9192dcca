#include "imaging/qcow2/hold.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "disk/core/units.hpp"
#include "imaging/zero_scan.hpp"

namespace ingot::imaging::qcow2 {
namespace {

// What a map node costs besides its content; counted, so that a file made of crumbs is bounded too.
constexpr std::uint64_t kPieceOverhead = 128;
// Content is kept in pieces of at most this, so that a claimed part can be given back.
constexpr std::size_t kPieceBytes = 64 * KiB;
constexpr std::uint64_t kMaxScratchPiece = 1ULL << 40;

}  // namespace

template <class Visit>
bool HoldStore::cover(std::uint64_t offset, std::uint64_t length, Visit visit) const {
  auto it = pieces_.upper_bound(offset);
  if (it == pieces_.begin()) return length == 0;
  --it;
  while (length > 0) {
    if (it == pieces_.end() || it->first > offset || it->first + it->second.length <= offset)
      return false;
    const std::uint64_t skip = offset - it->first;
    const std::uint64_t part = std::min(length, it->second.length - skip);
    if (!visit(it->second, skip, part)) return false;
    offset += part;
    length -= part;
    ++it;
  }
  return true;
}

std::uint64_t HoldStore::available(std::uint64_t offset, std::uint64_t length) const {
  std::uint64_t found = 0;
  cover(offset, length, [&found](const Piece&, std::uint64_t, std::uint64_t part) {
    found += part;
    return true;
  });
  return found;
}

bool HoldStore::is_zero(std::uint64_t offset, std::uint64_t length) const {
  return cover(offset, length, [](const Piece& piece, std::uint64_t, std::uint64_t) {
    return piece.where == Where::zeros;
  });
}

void HoldStore::forget(const Piece& piece) {
  memory_ -= kPieceOverhead + (piece.where == Where::memory ? piece.length : 0);
}

void HoldStore::add(std::uint64_t offset, Piece piece) {
  memory_ += kPieceOverhead + (piece.where == Where::memory ? piece.length : 0);
  pieces_.emplace(offset, std::move(piece));
}

Result<void> HoldStore::put(std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    // Cut at multiples of the piece size, so that pieces fit clusters.
    const std::size_t room = kPieceBytes - static_cast<std::size_t>(offset % kPieceBytes);
    const auto part = data.first(std::min(room, data.size()));
    Piece piece;
    piece.length = part.size();
    if (all_zero(part)) {
      piece.where = Where::zeros;
    } else if (scratch_ == nullptr) {
      piece.where = Where::memory;
      piece.bytes.assign(part.begin(), part.end());
    } else {
      if (part.size() > scratch_->capacity() - scratch_end_)
        return fail(Errc::image_not_streamable,
                    fmt::format("qcow2: more than {} of the file comes before the tables that say "
                                "where it belongs, and {} has no more room",
                                format_bytes(scratch_end_), scratch_->describe()),
                    "serve the image from a server that answers Range requests, rewrite it with "
                    "qemu-img convert, or name a larger --scratch-dir");
      INGOT_TRY(scratch_->write(scratch_end_, part));
      piece.where = Where::scratch;
      piece.scratch_offset = scratch_end_;
      scratch_end_ += part.size();
    }
    // Neighbours of one kind that need no buffer of their own become one piece.
    bool joined = false;
    if (!pieces_.empty() && piece.where != Where::memory) {
      auto it = pieces_.lower_bound(offset);
      if (it != pieces_.begin()) {
        Piece& before = std::prev(it)->second;
        joined = std::prev(it)->first + before.length == offset && before.where == piece.where &&
                 before.length < kMaxScratchPiece &&
                 (piece.where == Where::zeros ||
                  before.scratch_offset + before.length == piece.scratch_offset);
        if (joined) before.length += piece.length;
      }
    }
    if (!joined) add(offset, std::move(piece));
    offset += part.size();
    data = data.subspan(part.size());
  }
  return {};
}

Result<void> HoldStore::read(std::uint64_t offset, std::span<std::byte> out) {
  Result<void> outcome;
  std::size_t done = 0;
  const bool complete =
      cover(offset, out.size(), [&](const Piece& piece, std::uint64_t skip, std::uint64_t part) {
        const auto into = out.subspan(done, part);
        done += part;
        switch (piece.where) {
          case Where::zeros:
            std::fill(into.begin(), into.end(), std::byte{0});
            break;
          case Where::memory:
            std::memcpy(into.data(), piece.bytes.data() + skip, part);
            break;
          case Where::scratch:
            outcome = scratch_->read(piece.scratch_offset + skip, into);
            break;
        }
        return outcome.has_value();
      });
  if (!outcome) return outcome;
  if (!complete) return fail(Errc::internal_bug, "qcow2: read of bytes that are not held");
  return {};
}

void HoldStore::drop(std::uint64_t offset, std::uint64_t length) {
  const std::uint64_t end = offset + length;
  auto it = pieces_.upper_bound(offset);
  if (it != pieces_.begin()) --it;
  while (it != pieces_.end() && it->first < end) {
    const std::uint64_t start = it->first;
    const std::uint64_t piece_end = start + it->second.length;
    if (piece_end <= offset) {
      ++it;
      continue;
    }
    Piece piece = std::move(it->second);
    it = pieces_.erase(it);
    forget(piece);
    // What sticks out on either side stays.
    const auto keep = [&](std::uint64_t from, std::uint64_t to) {
      Piece part;
      part.length = to - from;
      part.where = piece.where;
      part.scratch_offset = piece.scratch_offset + (from - start);
      if (piece.where == Where::memory)
        part.bytes.assign(piece.bytes.begin() + static_cast<std::ptrdiff_t>(from - start),
                          piece.bytes.begin() + static_cast<std::ptrdiff_t>(to - start));
      add(from, std::move(part));
    };
    if (start < offset) keep(start, offset);
    if (piece_end > end) keep(end, piece_end);
  }
}

void HoldStore::clear() {
  pieces_.clear();
  memory_ = 0;
}

}  // namespace ingot::imaging::qcow2
