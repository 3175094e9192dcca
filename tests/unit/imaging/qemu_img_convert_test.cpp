// Every kind of image that goes through qemu-img, against qemu-img itself; and what must happen
// around it: order of verification, limits, cancelling, room.
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <atomic>
#include <thread>

#include "tests/unit/imaging/qemu_img_rig.hpp"

namespace ingot::imaging {
namespace {

struct Kind {
  const char* title;
  ImageFormat format;
  const char* qemu;
  const char* options;
};

class QemuImgMatrix : public testing::TestWithParam<Kind> {};

TEST_P(QemuImgMatrix, IsBitForBitWhatQemuImgConvertGives) {
  const auto& kind = GetParam();
  // Sizes around sectors, clusters of 64 KiB and blocks of 1 and 2 MiB.
  for (const std::size_t size : {5 * MiB, 9 * MiB + 512 * 7, std::uint64_t{512}}) {
    SCOPED_TRACE(size);
    const auto disk = sample_disk(size, static_cast<unsigned>(size));
    const auto image = make_image(disk, kind.qemu, kind.options);
    const auto expected = reference(image, kind.qemu);
    Rig rig;
    const auto result = rig.decode(image, kind.format);
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(*result, expected.size());
    EXPECT_EQ(rig.counters.virtual_size, static_cast<std::int64_t>(expected.size()));
    EXPECT_TRUE(rig.sink.image() == expected);
    EXPECT_TRUE(rig.sink.complete(expected.size()));
    EXPECT_TRUE(rig.sink.violations().empty());
    EXPECT_EQ(rig.verified, 1);
    EXPECT_EQ(rig.provider.needed, image.size());
    EXPECT_GE(rig.provider.keep, expected.size());
    EXPECT_EQ(rig.listener.notes, 1);
  }
}

TEST_P(QemuImgMatrix, TakesAnyPackingOfTheStream) {
  const auto& kind = GetParam();
  const auto image = make_image(sample_disk(2 * MiB, 7), kind.qemu, kind.options);
  Rig rig;
  rig.stream.slice_size = 4095;
  const auto result = rig.decode(image, kind.format);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(rig.sink.image() == reference(image, kind.qemu));
}

TEST_P(QemuImgMatrix, AFailedVerificationStopsBeforeQemuImgAndTheTarget) {
  const auto& kind = GetParam();
  Rig rig;
  rig.verify = [] { return fail(Errc::checksum_mismatch, "wrong digest"); };
  const auto result =
      rig.decode(make_image(sample_disk(2 * MiB, 3), kind.qemu, kind.options), kind.format);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::checksum_mismatch);
  EXPECT_TRUE(rig.sink.covered().empty());
}

INSTANTIATE_TEST_SUITE_P(
    All, QemuImgMatrix,
    testing::Values(
        Kind{"VmdkSparse", ImageFormat::vmdk, "vmdk", "subformat=monolithicSparse"},
        Kind{"VmdkStream", ImageFormat::vmdk, "vmdk", "subformat=streamOptimized"},
        Kind{"VhdDynamic", ImageFormat::vhd, "vpc", "subformat=dynamic"},
        Kind{"VhdDynamicExact", ImageFormat::vhd, "vpc", "subformat=dynamic,force_size=on"},
        Kind{"VhdFixed", ImageFormat::vhd, "vpc", "subformat=fixed"},
        Kind{"VhdFixedExact", ImageFormat::vhd, "vpc", "subformat=fixed,force_size=on"},
        Kind{"VhdxDynamic", ImageFormat::vhdx, "vhdx", "subformat=dynamic,block_size=1M"},
        Kind{"VhdxFixed", ImageFormat::vhdx, "vhdx", "subformat=fixed,block_size=1M"},
        Kind{"VdiDynamic", ImageFormat::vdi, "vdi", ""},
        Kind{"VdiStatic", ImageFormat::vdi, "vdi", "static=on"}),
    [](const auto& tested) { return std::string(tested.param.title); });

Bytes small_vmdk() {
  return make_image(sample_disk(4 * MiB, 11), "vmdk", "subformat=streamOptimized");
}

TEST(QemuImgConvert, WritesAreLargeAndHolesAreZeroedInLargeRuns) {
  Bytes disk(64 * MiB);
  for (std::size_t i = 8 * MiB; i < 16 * MiB; ++i)
    disk[i] = static_cast<std::byte>(i * 31 >> 3 | 1);
  Rig rig;
  ASSERT_TRUE(rig.decode(make_image(disk, "vdi", ""), ImageFormat::vdi));
  EXPECT_TRUE(rig.sink.image() == disk);
  EXPECT_EQ(rig.sink.writes(), 8U);
  EXPECT_EQ(rig.sink.zeros(), 2U);
}

TEST(QemuImgConvert, AnEmptyDiskIsOneZeroedRange) {
  Rig rig;
  const auto result =
      rig.decode(make_image(Bytes(3 * MiB), "vhdx", "block_size=1M"), ImageFormat::vhdx);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(rig.sink.zeros(), 1U);
  EXPECT_EQ(rig.sink.writes(), 0U);
  EXPECT_TRUE(rig.sink.complete(3 * MiB));
}

TEST(QemuImgConvert, WithoutALengthAllTheRoomIsAskedFor) {
  const auto image = small_vmdk();
  Rig rig;
  rig.stream.known_size = false;
  const auto result = rig.decode(image, ImageFormat::vmdk);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(rig.provider.needed, 0U);
  EXPECT_EQ(rig.provider.keep, 4 * MiB);
  EXPECT_TRUE(rig.sink.image() == reference(image, "vmdk"));
}

TEST(QemuImgConvert, AFixedVhdWithoutALengthIsRefusedBeforeAnythingIsStored) {
  Rig rig;
  rig.stream.known_size = false;
  const auto image = make_image(sample_disk(12 * MiB, 5), "vpc", "subformat=fixed");
  const auto result = rig.decode(image, ImageFormat::vhd);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::image_not_streamable);
  EXPECT_EQ(rig.provider.opened, 0);
}

TEST(QemuImgConvert, RoomThatEndsTooSoonIsRefusedSayingWhatWouldDo) {
  for (const bool known : {true, false}) {
    SCOPED_TRACE(known);
    Rig rig;
    FdScratch small(rig.fd.get(), false, 0, 1 * MiB);
    OneScratch provider(small);
    test::MemoryStreamOptions options;
    options.known_size = known;
    test::MemoryStream in(make_image(sample_disk(4 * MiB, 11), "vdi", "static=on"), options);
    const DecodeContext context{rig.sink, provider, rig.counters, rig.listener, rig.job,
                                32 * MiB, 2};
    const auto result =
        decode_with_qemu_img(in, ImageFormat::vdi, rig.verify, rig.timeout, context);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Errc::image_not_streamable);
    EXPECT_NE(result.error().message().find("1.0 MiB"), std::string::npos);
    EXPECT_NE(result.error().advice().find("--scratch-dir"), std::string::npos);
    if (known) {
      EXPECT_NE(result.error().advice().find("4.0 MiB"), std::string::npos);
    }
    EXPECT_TRUE(rig.sink.covered().empty());
    EXPECT_EQ(rig.verified, 0);
  }
}

TEST(QemuImgConvert, ErrorsOfTheStreamTheScratchAndTheSinkAreTheOnesReported) {
  {
    Rig rig;
    rig.stream.fail_at = 100'000;
    const auto result = rig.decode(small_vmdk(), ImageFormat::vmdk);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Errc::source_truncated);
  }
  {
    Rig rig;
    rig.verify = [&]() -> Result<void> {
      rig.file_scratch.fail_reads = true;
      return {};
    };
    const auto result = rig.decode(small_vmdk(), ImageFormat::vmdk);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Errc::write_scratch);
  }
  {
    Rig rig;
    test::RecordingSink small(1 * MiB, 16, rig.job.token());
    const auto result = rig.decode_into(small, small_vmdk(), ImageFormat::vmdk);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Errc::device_too_small);
    EXPECT_EQ(small.writes(), 0U);
  }
}

// Accepts what comes until a given byte, and fails there like a dying disk.
class DyingSink final : public ExtentSink {
 public:
  explicit DyingSink(std::uint64_t at, std::function<void()> event = {})
      : at_(at), event_(std::move(event)) {}
  Result<void> begin(std::optional<std::uint64_t>) override { return {}; }
  Result<BufferRef> buffer() override { return pool_.acquire({}); }
  Result<void> write(std::uint64_t offset, Slice data) override {
    if (offset + data.size() <= at_) return {};
    if (event_) event_();
    return fail(event_ ? Errc::cancelled : Errc::write_io, "the test's disk stops here");
  }
  Result<void> zero(std::uint64_t, std::uint64_t) override { return {}; }

 private:
  std::uint64_t at_;
  std::function<void()> event_;
  BufferPool pool_{MiB, 4};
};

TEST(QemuImgConvert, ASinkThatFailsInTheMiddleEndsTheConversion) {
  Rig rig;
  DyingSink sink(2 * MiB);
  const auto result = rig.decode_into(sink, small_vmdk(), ImageFormat::vmdk);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::write_io) << result.error().message();
  EXPECT_EQ(rig.job.get()->code(), Errc::write_io);
}

TEST(QemuImgConvert, AJobStoppedElsewhereReportsThatError) {
  Rig rig;
  DyingSink sink(1 * MiB, [&] { rig.job.report(Error(Errc::source_timeout, "stalled")); });
  const auto result = rig.decode_into(sink, small_vmdk(), ImageFormat::vmdk);
  ASSERT_FALSE(result);
  EXPECT_EQ(rig.job.get()->code(), Errc::source_timeout);
}

TEST(QemuImgConvert, StoppedWhileQemuImgRunsItEndsAtOnce) {
  // A sink that blocks, as a slow disk would, until the job is stopped.
  class BlockedSink final : public ExtentSink {
   public:
    explicit BlockedSink(std::stop_token stop) : pool_(MiB, 1), stop_(std::move(stop)) {}
    Result<void> begin(std::optional<std::uint64_t>) override { return {}; }
    Result<BufferRef> buffer() override {
      if (held_) blocked = true;
      return pool_.acquire(stop_);
    }
    Result<void> write(std::uint64_t, Slice data) override {
      held_ = std::move(data);
      return {};
    }
    Result<void> zero(std::uint64_t, std::uint64_t) override { return {}; }
    std::atomic<bool> blocked = false;

   private:
    BufferPool pool_;
    std::stop_token stop_;
    std::optional<Slice> held_;
  };
  Rig rig;
  BlockedSink sink(rig.job.token());
  std::jthread stopper([&] {
    while (!sink.blocked) std::this_thread::yield();
    rig.job.report(Error(Errc::cancelled, "interrupted"));
  });
  const auto before = std::chrono::steady_clock::now();
  const auto result = rig.decode_into(sink, small_vmdk(), ImageFormat::vmdk);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

TEST(QemuImgConvert, StoppedWhileParkingItEnds) {
  Rig rig;
  const auto image = small_vmdk();
  rig.job.report(Error(Errc::cancelled, "interrupted"));
  const auto result = rig.decode(image, ImageFormat::vmdk);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::cancelled);
  EXPECT_EQ(rig.verified, 0);
}

TEST(QemuImgConvert, OutOfTimeIsAnErrorOfItsOwn) {
  Rig rig;
  rig.timeout = std::chrono::seconds(0);
  const auto result = rig.decode(small_vmdk(), ImageFormat::vmdk);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::image_convert);
  EXPECT_NE(result.error().message().find("time limit"), std::string::npos);
  EXPECT_TRUE(rig.sink.covered().empty());
}

TEST(QemuImgConvert, AMissingQemuImgSaysWhatToInstall) {
  const auto image = small_vmdk();
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  Rig rig;
  const auto result = rig.decode(image, ImageFormat::vmdk);
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::image_convert);
  EXPECT_NE(result.error().advice().find("qemu-utils"), std::string::npos);
  EXPECT_EQ(rig.provider.opened, 0);
}

TEST(QemuImgConvert, QemuImgsOwnComplaintIsPassedOn) {
  auto image = make_image(sample_disk(4 * MiB, 1), "vpc", "subformat=dynamic,force_size=on");
  patch(image, 64, "\x01\x02\x03\x04");  // the footer's checksum, which we leave to qemu-img
  Rig rig;
  const auto result = rig.decode(image, ImageFormat::vhd);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::image_convert);
  EXPECT_NE(result.error().message().find("checksum"), std::string::npos)
      << result.error().message();
  EXPECT_EQ(result.error().message().find("server.str"), std::string::npos);
  EXPECT_TRUE(rig.sink.covered().empty());
}

// ---- a real disk: the file parked at its end, the decoded disk at its start ----

class LoopDevice {
 public:
  explicit LoopDevice(const std::string& file) {
    UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    UniqueFd backing(::open(file.c_str(), O_RDWR | O_CLOEXEC));
    for (int attempt = 0; attempt < 20 && !fd; ++attempt) {  // others take loop devices, too
      const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
      UniqueFd device(::open(("/dev/loop" + std::to_string(number)).c_str(), O_RDWR | O_CLOEXEC));
      if (device && ::ioctl(device.get(), LOOP_SET_FD, backing.get()) == 0) fd = std::move(device);
    }
  }
  ~LoopDevice() {
    if (fd) ::ioctl(fd.get(), LOOP_CLR_FD, 0);
  }
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  UniqueFd fd;
};

class FdSink final : public ExtentSink {
 public:
  explicit FdSink(int fd) : fd_(fd) {}
  Result<void> begin(std::optional<std::uint64_t>) override { return {}; }
  Result<BufferRef> buffer() override { return pool_.acquire({}); }
  Result<void> write(std::uint64_t offset, Slice data) override {
    if (::pwrite(fd_, data.bytes().data(), data.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(data.size()))
      return fail(Errc::write_io, "pwrite");
    return {};
  }
  Result<void> zero(std::uint64_t offset, std::uint64_t length) override {
    const Bytes zeros(length);
    return ::pwrite(fd_, zeros.data(), length, static_cast<off_t>(offset)) ==
                   static_cast<ssize_t>(length)
               ? Result<void>{}
               : fail(Errc::write_zero, "pwrite");
  }

 private:
  int fd_;
  BufferPool pool_{MiB, 4};
};

TEST(QemuImgConvert, OnOneDeviceTheParkedFileAndTheDecodedDiskKeepApart) {
  const TempDir dir;
  Bytes old(32 * MiB, std::byte{0xAA});
  write_file(dir.file("disk"), old);
  LoopDevice loop(dir.file("disk"));
  ASSERT_TRUE(loop.fd) << "a loop device is needed (root)";
  const auto image = make_image(sample_disk(9 * MiB + 512, 21), "vhdx", "block_size=1M");
  const auto expected = reference(image, "vhdx");

  Rig rig;
  FdScratch parked(loop.fd.get(), true, 10 * MiB, 22 * MiB);
  OneScratch provider(parked);
  FdSink sink(loop.fd.get());
  test::MemoryStream in(image, {});
  const DecodeContext context{sink, provider, rig.counters, rig.listener, rig.job, 32 * MiB, 2};
  ASSERT_LE(image.size(), 22 * MiB);
  const auto result = decode_with_qemu_img(in, ImageFormat::vhdx, rig.verify, rig.timeout, context);
  ASSERT_TRUE(result) << result.error().message();
  Bytes written(expected.size());
  ASSERT_EQ(::pread(loop.fd.get(), written.data(), written.size(), 0),
            static_cast<ssize_t>(written.size()));
  EXPECT_TRUE(written == expected);
}

}  // namespace
}  // namespace ingot::imaging
