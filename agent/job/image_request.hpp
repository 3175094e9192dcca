/// From the options that name an image to the request that streams it.
#pragma once

#include "agent/job/job.hpp"
#include "disk/core/progress.hpp"
#include "imaging/stream_image.hpp"

namespace ingot::agent {

/// An image to be streamed, all of it decided but what a checksum file or a registry says.
struct ImageJob {
  imaging::ImageRequest request;    ///< `expected` is left open if one of those decides
  ChecksumRequest checksum;         ///< a checksum file to be asked, or nothing
  bool md5_allowed = true;          ///< where `checksum` names no type
  bool by_reference = false;        ///< a URL names an image in a registry, which knows its digest
  std::size_t writer_buffers = 24;  ///< of 1 MiB

  /// Whether anything will tell that the image is the right one.
  [[nodiscard]] bool checked() const {
    return request.expected || !checksum.value_or_url.empty() || by_reference;
  }
};

/// What was streamed, as a result has it.
StreamedImage streamed_image(const imaging::ImageOutcome& outcome);

/// Errors: usage.checksum (none, and that was not accepted; a malformed value).
Result<ImageJob> image_job(const ImageOptions& image, const ResourceOptions& resources,
                           const imaging::TransferOptions& transfer);

/// Remarks what nothing verifies.
void warn_of_unverified(const ImageJob& job, JobOwner& owner);

/// Asks those who know: a checksum file, which is searched for the image's path, and registries,
/// for where an image is that they have. Afterwards `job.request` has URLs alone, and `expected` if
/// the image is checked. `listener` is told about retries.
/// Errors: source.*, checksum.list, checksum.mismatch (the registry's digest is not the one that
/// was given, or mirrors have different images), image.unsupported.
Result<void> locate_image(ImageJob& job, JobListener& listener, std::stop_token stop);

}  // namespace ingot::agent
