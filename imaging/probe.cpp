#include "imaging/probe.hpp"

#include <fmt/format.h>

#include "disk/core/printable.hpp"
#include "imaging/content_magic.hpp"
#include "imaging/filesystem_probe.hpp"
#include "imaging/partition_table.hpp"

namespace ingot::imaging {
namespace {

constexpr std::size_t kSmallestImage = 512;  // one sector

std::string starts_with_bytes(std::span<const std::byte> head) {
  return "it starts with " + first_bytes(head);
}

tl::unexpected<Error> mismatch(ImageFormat declared, const std::string& found,
                               std::span<const std::byte> head) {
  return fail(Errc::image_format_mismatch,
              fmt::format("the image was declared as {}, but it is {}; {}", name(declared), found,
                          starts_with_bytes(head)),
              "declare the format the image really has, or leave it to be detected");
}

/// An image with a magic of its own: it must be the declared one, and one that is supported.
Result<ProbeResult> judge_image_magic(const ImageMagic& magic, std::optional<ImageFormat> declared,
                                      std::span<const std::byte> head) {
  if (declared && magic.kin != declared) return mismatch(*declared, magic.description, head);
  if (!magic.format)
    return fail(Errc::image_unsupported,
                fmt::format("the image is {}: {}", magic.description, magic.reason),
                "convert it with qemu-img convert -O qcow2 first");
  return ProbeResult{*magic.format, {}, {}, 0};
}

/// What raw data without partition table and file system looks like, for the message.
std::string describe(std::span<const std::byte> head, const FilesystemSignature& signature) {
  if (!signature.type.empty())
    return fmt::format("data without a file system ({})", signature.type);
  if (const auto kind = find_text_kind(head)) return *kind;
  if (head.size() < kSmallestImage) return fmt::format("only {} bytes", head.size());
  return "neither a known image format nor a disk with a partition table or file system";
}

}  // namespace

Result<ProbeResult> probe_image(std::span<const std::byte> head,
                                std::optional<ImageFormat> declared, bool allow_unrecognized) {
  if (head.empty())
    return fail(Errc::image_unrecognized, "the image is empty", "check the URL and the upload");
  if (looks_like_html(head))
    return fail(Errc::image_unrecognized,
                "the image looks like an HTML page; " + starts_with_bytes(head),
                "open the URL in a browser: servers answer with a page when a file has moved or a "
                "login is needed");
  if (const auto magic = find_image_magic(head)) return judge_image_magic(*magic, declared, head);

  // From here on the content is no known image format: raw, or a fixed-size vhd, whose only mark is
  // a footer at its end.
  const PartitionTable table = find_partition_table(head);
  INGOT_TRY_ASSIGN(const FilesystemSignature signature, find_filesystem(head));
  const bool recognized = !table.type.empty() || signature.usable;
  if (!recognized) {
    if (const auto packed = find_packed_magic(head)) {
      if (declared && *declared != ImageFormat::raw) return mismatch(*declared, *packed, head);
      return fail(
          Errc::image_unsupported,
          fmt::format("the image is {} (after undoing one compression and one archive, if "
                      "there were any); {}",
                      *packed, starts_with_bytes(head)),
          starts_zip(head)
              ? "a zip's list of contents is at its end, so that it cannot be checked while "
                "it arrives; publish the image itself, or compress it in another way: "
                "unzip -p FILE.zip | zstd > FILE.zst"
              : "publish the disk image itself, compressed once at most");
    }
  }
  if (declared == ImageFormat::vhd) return ProbeResult{ImageFormat::vhd, {}, {}, 0};
  if (declared && *declared != ImageFormat::raw)
    return mismatch(*declared,
                    recognized ? fmt::format("a raw disk ({})",
                                             table.type.empty() ? signature.type : table.type)
                               : describe(head, signature),
                    head);
  if (!recognized && !allow_unrecognized)
    return fail(
        Errc::image_unrecognized,
        fmt::format("the image is {}; {}", describe(head, signature), starts_with_bytes(head)),
        "check the URL; --allow-unrecognized writes such data all the same");
  return ProbeResult{ImageFormat::raw, table.type, signature.usable ? signature.type : "",
                     table.sector_size};
}

}  // namespace ingot::imaging
