/// What the qemu-img tests share: real images made by the real qemu-img, scratch room in a real
/// file or device, and one call that decodes an image into memory.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "disk/core/subprocess.hpp"
#include "disk/core/unique_fd.hpp"
#include "imaging/decoders.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/recording_sink.hpp"

namespace ingot::imaging {

using test::Bytes;

/// A directory of its own that goes away with everything in it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = "/var/tmp/ingot-qemu-img-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Runs a program as this user, without limits that matter; its standard output.
inline std::string run(std::vector<std::string> argv) {
  argv.front() = find_program(argv.front()).value_or(argv.front());
  SubprocessRequest request;
  request.argv = std::move(argv);
  request.drop_privileges = false;
  request.isolate_network = false;
  request.file_size = 1ULL << 40;
  request.address_space = 1ULL << 40;
  const auto outcome = run_subprocess(request, {});
  EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message());
  if (!outcome) return {};
  EXPECT_TRUE(outcome->ok()) << outcome->describe_end() << ": " << outcome->err;
  return outcome->out;
}

inline Bytes read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  return test::bytes_of(text);
}

inline void write_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good());
}

/// A disk of `size` bytes: random stretches, runs of text, and holes between them.
inline Bytes sample_disk(std::size_t size, unsigned seed) {
  Bytes disk(size);
  std::mt19937 random(seed);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  for (int i = 0; i < 24; ++i) {
    const std::size_t length = 1 + below(std::min<std::size_t>(size, 300'000));
    const std::size_t at = below(size - length + 1);
    const bool text = i % 3 == 0;
    for (std::size_t k = 0; k < length; ++k)
      disk[at + k] = static_cast<std::byte>(text ? 'a' + k % 7 : random() & 0xff);
  }
  disk.back() = std::byte{0x5a};  // the end counts
  return disk;
}

/// Scratch room in an open file or device, from `start` on.
class FdScratch final : public Scratch {
 public:
  FdScratch(int fd, bool block_device, std::uint64_t start, std::uint64_t capacity)
      : fd_(fd), block_device_(block_device), start_(start), capacity_(capacity) {}
  [[nodiscard]] std::uint64_t capacity() const override { return capacity_; }
  Result<void> write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (offset > capacity_ || data.size() > capacity_ - offset)
      return fail(Errc::write_scratch, "the test's scratch room ends here");
    const auto at = static_cast<off_t>(start_ + offset);
    if (::pwrite(fd_, data.data(), data.size(), at) != static_cast<ssize_t>(data.size()))
      return fail(Errc::write_scratch, "pwrite");
    return {};
  }
  Result<void> read(std::uint64_t offset, std::span<std::byte> data) override {
    if (fail_reads) return fail(Errc::write_scratch, "the test's scratch cannot be read");
    const auto at = static_cast<off_t>(start_ + offset);
    if (::pread(fd_, data.data(), data.size(), at) != static_cast<ssize_t>(data.size()))
      return fail(Errc::write_scratch, "pread");
    return {};
  }
  Result<Window> window() override { return Window{fd_, block_device_, start_}; }
  [[nodiscard]] std::string describe() const override { return "the test's scratch"; }

  bool fail_reads = false;

 private:
  int fd_;
  bool block_device_;
  std::uint64_t start_, capacity_;
};

/// Hands out one scratch and remembers what was asked for.
class OneScratch final : public ScratchProvider {
 public:
  explicit OneScratch(Scratch& scratch) : scratch_(scratch) {}
  Result<Scratch*> open(std::uint64_t keep_bytes, std::uint64_t needed_bytes) override {
    ++opened;
    keep = keep_bytes;
    needed = needed_bytes;
    return &scratch_;
  }
  int opened = 0;
  std::uint64_t keep = 0, needed = 0;

 private:
  Scratch& scratch_;
};

class SilentListener final : public JobListener {
 public:
  void on_phase(Phase) override {}
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string&) override { ++notes; }
  int notes = 0;
};

/// One decode with everything around it. Set what matters, then call decode().
struct Rig {
  TempDir dir;
  UniqueFd fd{::open(dir.file("scratch").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  FdScratch file_scratch{fd.get(), false, 0, 1ULL << 40};
  OneScratch provider{file_scratch};
  ProgressCounters counters;
  SilentListener listener;
  FirstError job;
  test::RecordingSink sink{std::nullopt, 16, job.token()};
  test::MemoryStreamOptions stream;
  std::chrono::seconds timeout{60};
  int verified = 0;
  std::function<Result<void>()> verify = [this]() -> Result<void> {
    ++verified;
    return {};
  };

  Result<std::uint64_t> decode(Bytes image, ImageFormat format) {
    return decode_into(sink, std::move(image), format);
  }
  Result<std::uint64_t> decode_into(ExtentSink& target, Bytes image, ImageFormat format) {
    test::MemoryStream in(std::move(image), stream);
    const DecodeContext context{target, provider, counters, listener, job, 32 * MiB, 2};
    return decode_with_qemu_img(in, format, verify, timeout, context);
  }
};

/// An image of `disk` in qemu's `format` (vmdk, vpc, vhdx, vdi), made by qemu-img with `options`.
inline Bytes make_image(const Bytes& disk, const std::string& format, const std::string& options) {
  const TempDir dir;
  write_file(dir.file("raw"), disk);
  std::vector<std::string> argv = {"qemu-img", "convert", "-f", "raw", "-O", format};
  if (!options.empty()) argv.insert(argv.end(), {"-o", options});
  argv.insert(argv.end(), {dir.file("raw"), dir.file("image")});
  run(argv);
  return read_file(dir.file("image"));
}

/// What `qemu-img convert -O raw` makes of `image`.
inline Bytes reference(const Bytes& image, const std::string& format) {
  const TempDir dir;
  write_file(dir.file("image"), image);
  run({"qemu-img", "convert", "-f", format, "-O", "raw", dir.file("image"), dir.file("raw")});
  return read_file(dir.file("raw"));
}

/// Overwrites `bytes` at `offset`.
inline void patch(Bytes& image, std::size_t offset, std::string_view bytes) {
  ASSERT_LE(offset + bytes.size(), image.size());
  std::memcpy(image.data() + offset, bytes.data(), bytes.size());
}

/// Replaces the first occurrence of `from` by `to`, of the same length.
inline void substitute(Bytes& image, std::string_view from, std::string_view to) {
  const std::string_view text(reinterpret_cast<const char*>(image.data()), image.size());
  const auto at = text.find(from);
  ASSERT_NE(at, std::string_view::npos) << from;
  ASSERT_EQ(from.size(), to.size());
  patch(image, at, to);
}

}  // namespace ingot::imaging
