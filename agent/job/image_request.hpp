/// From the options that name an image to the request that streams it.
#pragma once

#include "agent/job/job.hpp"
#include "disk/core/progress.hpp"
#include "imaging/stream_image.hpp"

namespace ingot::agent {

/// An image to be streamed, all of it decided but what a checksum file says.
struct ImageJob {
  imaging::ImageRequest request;    ///< `expected` is left open if `checksum` is a URL
  ChecksumRequest checksum;         ///< a checksum file to be asked, or nothing
  bool md5_allowed = true;          ///< where `checksum` names no type
  std::size_t writer_buffers = 24;  ///< of 1 MiB

  /// Whether anything will tell that the image is the right one.
  [[nodiscard]] bool checked() const { return request.expected || !checksum.value_or_url.empty(); }
};

/// What was streamed, as a result has it.
StreamedImage streamed_image(const imaging::ImageOutcome& outcome);

/// Errors: usage.checksum (none, and that was not accepted; a malformed value).
Result<ImageJob> image_job(const ImageOptions& image, const ResourceOptions& resources,
                           const imaging::TransferOptions& transfer);

/// Remarks what nothing verifies.
void warn_of_unverified(const ImageJob& job, JobOwner& owner);

/// A checksum that is a URL: fetches the list and looks the image up by its path, so that
/// `job.request.expected` is known afterwards. `listener` is told about retries.
/// Errors: source.*, checksum.list.
Result<void> find_expected_digest(ImageJob& job, JobListener& listener, std::stop_token stop);

}  // namespace ingot::agent
