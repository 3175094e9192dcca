// Fuzz target: anything as a config drive, and the files of an ISO 9660 image, whose first 32 KiB
// say nothing and are not part of the input.
#include "imaging/config_drive/config_drive.hpp"

#include <cstdlib>
#include <cstring>

#include "imaging/config_drive/tree_readers.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

constexpr std::size_t kSystemArea = 32 * 1024;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  std::vector<std::byte> image(kSystemArea);
  image.insert(image.end(), bytes.begin(), bytes.end());
  for (const auto& drive : {imaging::open_config_drive(bytes), imaging::open_config_drive(image)})
    if (drive && (drive->image.empty() || drive->image.size() > imaging::kMaxConfigDrive))
      std::abort();
  const imaging::TreeLimits limits{.entries = 100, .depth = 6, .content = MiB};
  const auto tree = imaging::read_iso(image, limits, {});
  if (!tree) return 0;
  std::uint64_t content = 0;
  for (const auto& entry : *tree) {
    content += entry.content.size();
    if (entry.path.empty() || entry.path.front() == '/' ||
        ("/" + entry.path + "/").find("/../") != std::string::npos)
      std::abort();
  }
  if (tree->size() > limits.entries || content > limits.content) std::abort();
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  const auto secret = [](std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return imaging::SecretBytes(bytes.begin(), bytes.end());
  };
  imaging::ConfigDriveFiles files;
  files.meta_data = secret(R"({"uuid":"1"})");
  files.user_data = secret("#!/bin/sh\n");
  const auto drive = imaging::build_config_drive(files);
  if (!drive) std::abort();
  Input iso(drive->image.size() - kSystemArea);
  std::memcpy(iso.data(), drive->image.data() + kSystemArea, iso.size());
  const std::string_view text = "H4sIAAAAAAAAA3NLzMlMVSguKcrMSwcAh8xsTAwAAAA=";
  return {iso, Input(text.begin(), text.end())};
}
