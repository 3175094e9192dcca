#include "agent/job/image_info.hpp"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include "agent/job/memory_budget.hpp"
#include "agent/job/qcow2_survey.hpp"
#include "disk/core/units.hpp"
#include "disk/core/url_text.hpp"
#include "disk/table/table_plan.hpp"
#include "imaging/decompressor.hpp"
#include "imaging/foreign_header.hpp"
#include "imaging/peek_stream.hpp"
#include "imaging/probe.hpp"
#include "imaging/registry/resolve_reference.hpp"

namespace ingot::agent {
namespace {

constexpr std::uint64_t kMostTables = 64 * MiB;  // read from a qcow2 image to learn its layout
// Read of a local archive to see what stands behind the image: a bomb's end is not waited for.
constexpr std::uint64_t kMostArchive = 256 * GiB;

// Whoever gives a stream up early stops its source first. Declared after the stream, this does.
struct StopOnExit {
  std::stop_source& source;
  ~StopOnExit() { source.request_stop(); }
};

class Silent final : public JobListener {
 public:
  void on_phase(Phase) override {}
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string&) override {}
};

// A path as a file URL; a URL as it is.
Result<std::string> url_of(const std::string& image) {
  if (image.find("://") != std::string::npos) return image;
  std::error_code error;
  const std::string path = std::filesystem::absolute(image, error).string();
  if (error)
    return tl::unexpected(
        system_error(Errc::source_file, "finding " + image, error.value(), "check the path"));
  std::string url = "file://";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::strchr("/._-~+,@", c) != nullptr;
    url += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return url;
}

// What can be read of the unwrapped image: its first block, and the rest where there are ranges.
class Content {
 public:
  Content(std::span<const std::byte> head, imaging::RangeReader* ranges,
          std::optional<std::uint64_t> size)
      : head_(head), ranges_(ranges), size_(size) {}

  [[nodiscard]] std::span<const std::byte> head() const { return head_; }
  [[nodiscard]] std::optional<std::uint64_t> size() const { return size_; }
  [[nodiscard]] bool has_ranges() const { return ranges_ != nullptr; }

  // False: not to be had.
  Result<bool> read(std::uint64_t offset, std::span<std::byte> out) const {
    const auto end = checked_add(offset, out.size());
    if (end && *end <= head_.size()) {
      std::memcpy(out.data(), head_.data() + offset, out.size());
      return true;
    }
    if (!end || (size_ && *end > *size_))
      return fail(
          Errc::image_truncated,
          fmt::format("reading {} bytes at {}: past the end of the image", out.size(), offset));
    if (ranges_ == nullptr) return false;
    INGOT_TRY(ranges_->read(offset, out));
    return true;
  }

 private:
  std::span<const std::byte> head_;
  imaging::RangeReader* ranges_;
  std::optional<std::uint64_t> size_;
};

void judge_layout(ImageInfo& info, const Content& content, std::uint64_t hold) {
  const std::uint64_t limit = MemoryBudget{}.hold_limit;
  const auto& qcow2 = *info.qcow2;
  if (qcow2.longest_hold) hold = *qcow2.longest_hold;
  if (hold <= limit) {
    info.one_pass = qcow2.longest_hold ? std::optional(true) : std::nullopt;
    info.streaming =
        qcow2.longest_hold
            ? (hold == 0 ? "in one pass"
                         : fmt::format("in one pass, holding at most {}", format_bytes(hold)))
            : "in one pass as far as the first bytes tell (its tables could not be reached)";
    return;
  }
  info.one_pass = false;
  info.streaming = fmt::format(
      "its tables come up to {} after the data they map: {}; else as much room is needed on the "
      "disk beyond the virtual size, or in --scratch-dir (rewriting the image with qemu-img "
      "convert "
      "helps)",
      format_bytes(hold),
      content.has_ranges() ? "this server answers ranges, so they are fetched first"
                           : "a server that answers ranges is needed, to fetch them first");
}

Result<void> inspect_qcow2(ImageInfo& info, const Content& content) {
  INGOT_TRY_ASSIGN(const auto header, imaging::qcow2::parse_header(content.head()));
  info.virtual_size = header.virtual_size;
  Qcow2Info& qcow2 = info.qcow2.emplace();
  qcow2.version = header.version;
  qcow2.cluster_size = header.cluster_size();
  qcow2.compression_type =
      header.compression == imaging::qcow2::ClusterCompression::zstd ? "zstd" : "zlib";
  qcow2.extended_l2 = header.extended_l2;
  qcow2.backing_file = header.has_backing_file;
  qcow2.data_file = header.has_data_file;
  qcow2.encrypted = header.crypt_method != 0;
  qcow2.corrupt = header.corrupt;
  qcow2.dirty = header.dirty;
  qcow2.snapshots = header.snapshots;
  qcow2.l1_offset = header.l1_offset;
  if (auto fit = imaging::qcow2::check_supported(header, content.size()); !fit) {
    info.refusal = fit.error().message();
    return {};
  }
  INGOT_TRY_ASSIGN(
      const auto survey,
      survey_qcow2(header, content.size(), kMostTables,
                   [&content](std::uint64_t offset, std::span<std::byte> out) -> Result<void> {
                     INGOT_TRY_ASSIGN(const bool there, content.read(offset, out));
                     if (!there) return fail(Errc::source_protocol, "no ranges");
                     return {};
                   }));
  if (survey) qcow2.longest_hold = survey->longest_hold;
  judge_layout(info, content, header.l1_offset);
  return {};
}

Result<void> inspect_foreign(ImageInfo& info, const Content& content) {
  const auto header = imaging::check_foreign_header(
      info.format, {content.size(), [&content](std::uint64_t offset, std::span<std::byte> out) {
                      return content.read(offset, out);
                    }});
  if (!header && header.error().code() != Errc::image_unsupported)
    return tl::unexpected(header.error());
  if (!header)
    info.refusal = header.error().message();
  else if (header->virtual_size > 0)
    info.virtual_size = header->virtual_size;
  info.one_pass = false;
  info.streaming =
      "stored whole first, on the disk beyond the virtual size or in --scratch-dir, then read by "
      "qemu-img";
  return {};
}

/// Whether an archive holds another image shows at its end. A local one is read so far; a download
/// of the whole is more than was asked for, and `info` says what that leaves open.
Result<void> see_end_of_archive(ImageInfo& info, imaging::ByteStream& stream, bool local) {
  std::uint64_t seen = 0;
  while (local && seen < kMostArchive) {
    INGOT_TRY_ASSIGN(const Slice slice, stream.next());
    if (slice.empty()) return {};
    seen += slice.size();
  }
  info.streaming += "; whether its archive holds another image shows when all of it is read";
  return {};
}

// As `ingot write` would judge it for a disk just as large.
Result<void> judge_table(ImageInfo& info, const Content& content) {
  if (!content.size() || info.partition_table.empty()) return {};
  const disk::ImageView view{
      content.size(),
      [&content](std::uint64_t at, std::span<std::byte> out) { return content.read(at, out); }};
  const auto plan =
      disk::plan_table(view,
                       {"a disk of the image's size", *content.size(),
                        info.gpt_sector_size == 0 ? 512 : info.gpt_sector_size, false},
                       std::nullopt);
  if (plan && plan->known) {
    info.table_notes = plan->notes;
    // A primary header that is gone hides what the table is.
    if (plan->table == disk::TableKind::gpt && info.gpt_sector_size == 0) {
      info.partition_table = disk::name(plan->table);
      info.gpt_sector_size = plan->sector;
    }
  } else if (plan) {
    return {};
  } else if (plan.error().code() == Errc::device_too_small) {
    info.table_notes = {plan.error().message()};
  } else if (plan.error().code() == Errc::image_corrupt) {
    info.refusal = plan.error().message();
  } else {
    return tl::unexpected(plan.error());
  }
  return {};
}

Result<ImageInfo> inspect(const std::string& image, const std::string& url,
                          const imaging::TransferOptions& transfer, std::stop_source& enough) {
  constexpr std::size_t kBlocks = 8;
  const std::stop_token stop = enough.get_token();
  ProgressCounters counters;
  Silent silent;
  // A transfer that breaks within the first block and cannot be resumed starts over; nothing was
  // used of it before that, so there is nothing to prove.
  const auto prefix = [](std::uint64_t n) -> Result<Digest> {
    if (n > 0) return fail(Errc::source_changed, "the transfer broke and cannot be resumed");
    return imaging::Hasher(DigestType::sha256).snapshot();
  };
  INGOT_TRY_ASSIGN(auto source,
                   imaging::open_source({url}, transfer, kBlocks, prefix, counters, silent, stop));
  INGOT_TRY_ASSIGN(auto unwrapped, imaging::unwrap(std::move(source), stop));
  imaging::PeekStream stream(std::move(unwrapped.stream));
  const StopOnExit done{enough};
  ImageInfo info;
  info.source = redacted(image);
  info.compression = unwrapped.compression;
  if (const auto size = counters.bytes_expected.load(); size >= 0)
    info.file_size = static_cast<std::uint64_t>(size);
  INGOT_TRY_ASSIGN(const auto head, stream.peek(imaging::kStreamBlock));
  const Content content(head, stream.ranges(), stream.size());
  INGOT_TRY_ASSIGN(const auto probe, imaging::probe_image(head, std::nullopt, true));
  info.format = probe.format;
  switch (probe.format) {
    case imaging::ImageFormat::raw:
      info.virtual_size = stream.size();
      info.partition_table = probe.partition_table;
      info.filesystem = probe.filesystem;
      info.gpt_sector_size = probe.gpt_sector_size;
      info.recognized = !probe.partition_table.empty() || !probe.filesystem.empty();
      info.one_pass = true;
      info.streaming = "in one pass";
      INGOT_TRY(judge_table(info, content));
      break;
    case imaging::ImageFormat::qcow2:
      INGOT_TRY(inspect_qcow2(info, content));
      break;
    default:
      INGOT_TRY(inspect_foreign(info, content));
  }
  if (info.compression.find('+') != std::string::npos)
    INGOT_TRY(see_end_of_archive(info, stream, url.starts_with("file:")));
  return info;
}

}  // namespace

Result<ImageInfo> inspect_image(const std::string& image, const imaging::TransferOptions& transfer,
                                std::stop_token stop) {
  INGOT_TRY_ASSIGN(std::string url, url_of(image));
  imaging::TransferOptions with_login = transfer;
  if (is_image_reference(url)) {
    INGOT_TRY_ASSIGN(const auto blob, imaging::resolve_reference(url, with_login, stop));
    url = blob.url;
  }
  std::stop_source enough;
  const std::stop_callback passed_on(stop, [&enough] { enough.request_stop(); });
  return inspect(image, url, with_login, enough);
}

}  // namespace ingot::agent
