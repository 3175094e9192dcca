#include "agent/job/image_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "agent/job/memory_budget.hpp"
#include "disk/core/url_text.hpp"
#include "imaging/checksum_list.hpp"
#include "imaging/registry/reference.hpp"
#include "imaging/registry/resolve_reference.hpp"
#include "imaging/source.hpp"

namespace ingot::agent {
namespace {

constexpr std::size_t kMaxChecksumList = 1024 * 1024;

/// What a known digest makes harmless on the way of the image's bytes. `untouched`: nobody between
/// the checksum's origin and here can have changed it.
void trust_digest(imaging::TransferOptions& transfer, bool untouched) {
  transfer.take_encoded = true;
  transfer.leave_https = untouched;
}

Result<void> check_md5(const ImageJob& job) {
  if (job.md5_allowed || job.request.expected->type != DigestType::md5) return {};
  return fail(Errc::usage_checksum, "the image's checksum is md5, which is not allowed here",
              "name a sha256 or sha512 checksum");
}

// Where a digest that nobody vouches for comes from, for a warning; "": there is none.
std::string_view unvouched(const ImageJob& job) {
  if (job.request.expected) return "";
  if (job.request.transfer.tls_insecure && !job.checksum.value_or_url.empty())
    return "--tls-insecure: the checksum";
  for (const auto& url : job.request.urls) {
    const auto reference = imaging::parse_image_reference(url);
    if (!reference || reference->digest) continue;
    if (job.request.transfer.tls_insecure) return "--tls-insecure: the image's digest";
    if (reference->base.starts_with("http:")) return "the image's digest";
  }
  return "";
}

}  // namespace

StreamedImage streamed_image(const imaging::ImageOutcome& outcome) {
  return {outcome.digest, std::string(imaging::name(outcome.format)), outcome.compression,
          outcome.virtual_size};
}

Result<ImageJob> image_job(const ImageOptions& image, const ResourceOptions& resources,
                           const imaging::TransferOptions& transfer) {
  ImageJob job;
  job.request.urls = image.urls;
  const ChecksumRequest& checksum = image.checksum;
  job.md5_allowed = image.md5_allowed || checksum.type == DigestType::md5;
  job.by_reference = any_image_reference(image.urls);
  if (checksum.value_or_url.empty() && !image.no_checksum_accepted && !job.by_reference)
    return fail(Errc::usage_checksum, "no checksum: nothing would tell whether the image is right",
                "name the image's checksum, or the URL of a list that has it");
  job.request.transfer = transfer;
  if (is_checksum_url(checksum.value_or_url)) {
    job.checksum = checksum;
  } else if (!checksum.value_or_url.empty()) {
    INGOT_TRY_ASSIGN(job.request.expected, parse_checksum(checksum.value_or_url, checksum.type));
    INGOT_TRY(check_md5(job));
    trust_digest(job.request.transfer, true);
  }
  job.request.declared = image.format;
  job.request.permitted = image.permitted;
  job.request.allow_unrecognized = image.allow_unrecognized;
  INGOT_TRY_ASSIGN(const MemoryBudget budget, split_memory(resources.memory_limit));
  job.request.ring_blocks = budget.ring_blocks;
  job.request.hold_limit = budget.hold_limit;
  job.writer_buffers = budget.writer_buffers;
  job.request.threads = resources.threads > 0 ? resources.threads
                                              : std::min(std::thread::hardware_concurrency() + 1,
                                                         kMostDefaultThreads);
  return job;
}

void warn_of_unverified(const ImageJob& job, JobOwner& owner) {
  if (!job.checked() && job.request.transfer.tls_insecure)
    owner.on_remark(
        "WARNING: neither the server nor the image is verified (--tls-insecure, "
        "--insecure-no-checksum): anybody on the way can put anything on this disk");
  else if (!job.checked())
    owner.on_remark("warning: no checksum: nothing tells whether the image is right");
  else if (const auto what = unvouched(job); !what.empty())
    owner.on_remark(
        fmt::format("warning: {} comes over a connection that nothing verifies, so it protects "
                    "against accidents only",
                    what));
}

namespace {

Result<void> ask_registry(ImageJob& job, std::string& url, JobListener& listener,
                          const std::stop_token& stop) {
  INGOT_TRY_ASSIGN(const auto image,
                   imaging::resolve_reference(url, job.request.transfer, stop, &listener));
  auto& expected = job.request.expected;
  if (expected && expected->type == image.digest.type && *expected != image.digest)
    return fail(Errc::checksum_mismatch,
                fmt::format("{}: the registry's image has the {} checksum {}, not {}",
                            redacted(url), name(expected->type), image.digest.hex, expected->hex),
                "the tag was moved, or a mirror has another image; nothing was written");
  if (!expected) {
    expected = image.digest;
    trust_digest(job.request.transfer, image.untouched);
  }
  listener.on_note(fmt::format("{} is the image {}:{} ({} bytes) of the manifest {}:{}",
                               redacted(url), name(image.digest.type), image.digest.hex, image.size,
                               name(image.manifest.type), image.manifest.hex));
  url = image.url;
  return {};
}

Result<void> ask_registries(ImageJob& job, JobListener& listener, const std::stop_token& stop) {
  for (std::string& url : job.request.urls)
    if (is_image_reference(url)) INGOT_TRY(ask_registry(job, url, listener, stop));
  return {};
}

Result<void> ask_checksum_file(ImageJob& job, JobListener& listener, std::stop_token stop) {
  if (job.checksum.value_or_url.empty()) return {};
  const std::string& url = job.checksum.value_or_url;
  auto list =
      imaging::fetch_text(url, job.request.transfer, kMaxChecksumList, std::move(stop), &listener);
  if (!list) return tl::unexpected(list.error().with_context("fetching the checksum file"));
  // Mirrors hold the same file, but may name it differently; the first is the original.
  const auto image = imaging::ListedImage::at_urls(job.request.urls.front(), url);
  auto digest = imaging::find_checksum(*list, image, job.checksum.type);
  if (!digest) return tl::unexpected(digest.error().with_context("in " + redacted(url)));
  job.request.expected = *std::move(digest);
  INGOT_TRY(check_md5(job));
  // A list that starts at an https URL came by https all the way: its redirects do not leave that.
  const bool over_https = imaging::is_https(url) && !job.request.transfer.tls_insecure;
  trust_digest(job.request.transfer, over_https);
  return {};
}

}  // namespace

Result<void> locate_image(ImageJob& job, JobListener& listener, std::stop_token stop) {
  INGOT_TRY(ask_checksum_file(job, listener, stop));
  return ask_registries(job, listener, stop);
}

}  // namespace ingot::agent
