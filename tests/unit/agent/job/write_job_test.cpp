// The deployment itself, onto regular files, and the owner that tells of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "agent/job/image_info.hpp"
#include "agent/job/job.hpp"
#include "agent/process/signal_watch.hpp"
#include "agent/report/job_reporter.hpp"
#include "disk/core/units.hpp"
#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

class Owner final : public JobOwner {
 public:
  void on_phase(Phase phase) override {
    phases.push_back(phase);
    if (phase == cancel_at && job != nullptr) job->report(Error(Errc::cancelled, "enough"));
  }
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string&) override {}
  void on_started(const JobStart& start) override { started = start; }
  void on_remark(const std::string& text) override { remarks.push_back(text); }
  Result<void> confirm(const std::string&, const std::stop_token&) override {
    return fail(Errc::usage_confirmation, "nobody to ask");
  }
  std::optional<JobStart> started;
  std::vector<std::string> remarks;
  std::vector<Phase> phases;
  std::optional<Phase> cancel_at;
  FirstError* job = nullptr;
};

// A disk image with a partition table, as raw and as compressed qcow2, and a target.
class WriteJob : public testing::Test {
 protected:
  WriteJob() {
    test::run("truncate -s 24M " + raw() + " && printf 'label: gpt\\nstart=2048,size=8192\\n' | " +
              "sfdisk -q " + raw() + " && dd if=/dev/urandom of=" + raw() +
              " bs=1M seek=2 count=6 conv=notrunc status=none && qemu-img convert -c -O qcow2 " +
              raw() + " " + qcow2() + " && cd " + dir_.path(".") +
              " && sha256sum image.qcow2 >SUMS");
    sum_ = test::run("sha256sum " + qcow2()).substr(0, 64);
    request_.image.urls = {"file://" + qcow2()};
    request_.image.checksum.value_or_url = sum_;
    request_.target.device = dir_.path("target");
    request_.target.size = 32 * MiB;
  }
  [[nodiscard]] std::string raw() const { return dir_.path("image.raw"); }
  [[nodiscard]] std::string qcow2() const { return dir_.path("image.qcow2"); }

  JobResult run() {
    owner_.job = &job_;
    return run_job(request_, {counters_, owner_, job_});
  }
  void expect_written() const {
    // The ends hold the GPT, which was made for a smaller disk.
    test::run("cmp -i 1MiB -n 22MiB " + raw() + " " + request_.target.device);
    EXPECT_NE(test::run("sgdisk -v " + request_.target.device).find("No problems found"),
              std::string::npos);
  }
  void fill_target() const {
    std::ofstream(request_.target.device, std::ios::binary) << std::string(32 * MiB, 'x');
  }
  [[nodiscard]] std::string target_bytes(std::uint64_t offset, std::size_t size) const {
    std::ifstream file(request_.target.device, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    std::string bytes(size, '?');
    file.read(bytes.data(), static_cast<std::streamsize>(size));
    return bytes;
  }

  test::TempDir dir_;
  std::string sum_;
  WriteRequest request_;
  ProgressCounters counters_;
  Owner owner_;
  FirstError job_;
};

TEST_F(WriteJob, Writes) {
  const auto outcome = run();
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.disk, DiskState::complete);
  EXPECT_EQ(outcome.image.value().digest.hex, sum_);
  EXPECT_EQ(outcome.image->virtual_size, 24 * MiB);
  expect_written();
  EXPECT_TRUE(std::ranges::is_sorted(owner_.phases));
  EXPECT_EQ(owner_.phases.front(), Phase::connect);
  EXPECT_EQ(owner_.phases.back(), Phase::done);
}

TEST_F(WriteJob, FindsTheChecksumInAList) {
  request_.image.checksum.value_or_url = "file://" + dir_.path("SUMS");
  const auto outcome = run();
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  expect_written();
}

TEST_F(WriteJob, AListWithoutTheImageTouchesNothing) {
  fill_target();
  std::ofstream(dir_.path("SUMS")) << sum_ << "  another.qcow2\n" << sum_ << "  third.qcow2\n";
  request_.image.checksum.value_or_url = "file://" + dir_.path("SUMS");
  const auto outcome = run();
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Errc::checksum_list);
  EXPECT_EQ(outcome.disk, DiskState::untouched);
  EXPECT_EQ(target_bytes(0, 4), "xxxx");
}

TEST_F(WriteJob, AWrongChecksumLeavesNothingBootable) {
  fill_target();
  request_.image.checksum.value_or_url[0] = sum_[0] == '0' ? '1' : '0';
  const auto outcome = run();
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Errc::checksum_mismatch);
  EXPECT_EQ(outcome.disk, DiskState::unbootable);
  EXPECT_EQ(target_bytes(0, MiB), std::string(MiB, '\0'));
  EXPECT_EQ(target_bytes(31 * MiB, MiB), std::string(MiB, '\0'));
}

TEST_F(WriteJob, AMissingImageTouchesNothing) {
  fill_target();
  request_.image.urls = {"file://" + dir_.path("none")};
  const auto outcome = run();
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->cls(), ErrorClass::source);
  EXPECT_EQ(outcome.disk, DiskState::untouched);
  EXPECT_EQ(target_bytes(0, 4), "xxxx");
}

TEST_F(WriteJob, ADryRunWritesNothing) {
  fill_target();
  request_.target.dry_run = true;
  const auto outcome = run();
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_EQ(outcome.disk, DiskState::untouched);
  EXPECT_EQ(outcome.image.value().digest.hex, sum_);
  EXPECT_GT(counters_.bytes_written.load(), 6 * MiB - MiB);
  EXPECT_EQ(target_bytes(0, 4), "xxxx");
  EXPECT_EQ(target_bytes(2 * MiB, 4), "xxxx");
}

TEST_F(WriteJob, ADryRunOfANewFileMakesNone) {
  request_.target.dry_run = true;
  const auto outcome = run();
  ASSERT_FALSE(outcome.error) << outcome.error->message();
  EXPECT_FALSE(std::filesystem::exists(request_.target.device));
}

TEST_F(WriteJob, CancelledInEachPhase) {
  for (const auto phase : {Phase::connect, Phase::write, Phase::flush}) {
    fill_target();
    FirstError job;
    ProgressCounters counters;
    Owner owner;
    owner.job = &job;
    owner.cancel_at = phase;
    const auto outcome = run_job(request_, {counters, owner, job});
    ASSERT_TRUE(outcome.error) << static_cast<int>(phase);
    EXPECT_EQ(outcome.error->code(), Errc::cancelled);
    EXPECT_EQ(outcome.error->message(), "enough") << "the first error is the one that is told";
    if (outcome.disk == DiskState::untouched)
      EXPECT_EQ(target_bytes(0, 4), "xxxx");
    else
      EXPECT_EQ(target_bytes(0, MiB), std::string(MiB, '\0'));
    EXPECT_NE(outcome.disk, DiskState::complete);
  }
}

TEST_F(WriteJob, OnceCommittingItIsTooLateToCancel) {
  owner_.cancel_at = Phase::commit;
  const auto outcome = run();
  EXPECT_FALSE(outcome.error) << outcome.error->message();
  expect_written();
}

TEST_F(WriteJob, AnotherDeviceThanTheConfirmedOneIsRefused) {
  fill_target();
  request_.target.chosen.emplace();
  request_.target.chosen->number = 0x123456;
  const auto outcome = run();
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code(), Errc::device_changed);
  EXPECT_EQ(target_bytes(0, 4), "xxxx");
}

TEST_F(WriteJob, ImageInfoOfTheSameFiles) {
  const auto qcow2_info = inspect_image(qcow2(), {}, {});
  ASSERT_TRUE(qcow2_info) << qcow2_info.error().message();
  EXPECT_EQ(qcow2_info->format, imaging::ImageFormat::qcow2);
  EXPECT_EQ(qcow2_info->virtual_size, 24 * MiB);
  EXPECT_EQ(qcow2_info->file_size, std::filesystem::file_size(qcow2()));
  EXPECT_EQ(qcow2_info->one_pass, true);
  EXPECT_EQ(qcow2_info->refusal, "");

  const auto raw_info = inspect_image("file://" + raw(), {}, {});
  ASSERT_TRUE(raw_info) << raw_info.error().message();
  EXPECT_EQ(raw_info->format, imaging::ImageFormat::raw);
  EXPECT_EQ(raw_info->partition_table, "gpt");
  EXPECT_EQ(raw_info->gpt_sector_size, 512U);

  test::run("gzip -k " + raw() + " && qemu-img create -q -f qcow2 -F qcow2 -b " + qcow2() + " " +
            dir_.path("overlay"));
  const auto packed = inspect_image(raw() + ".gz", {}, {});
  ASSERT_TRUE(packed) << packed.error().message();
  EXPECT_EQ(packed->compression, "gzip");
  EXPECT_FALSE(packed->virtual_size);
  const auto overlay = inspect_image(dir_.path("overlay"), {}, {});
  ASSERT_TRUE(overlay) << overlay.error().message();
  EXPECT_TRUE(overlay->qcow2.value().backing_file);
  EXPECT_NE(overlay->refusal.find("backing"), std::string::npos);
  EXPECT_FALSE(inspect_image(dir_.path("none"), {}, {}));
  EXPECT_FALSE(inspect_image(dir_.path("SUMS"), {}, {}).value().recognized);
}

TEST_F(WriteJob, ImageInfoSeesTablesThatComeLate) {
  // Data first, then a snapshot, then a new copy of the table behind 26 MiB of data.
  const std::string late = dir_.path("late.qcow2");
  test::run("qemu-img create -q -f qcow2 " + late + " 64M && qemu-io -c 'write -P 1 0 60M' " +
            late + " >/dev/null && qemu-img snapshot -c s " + late +
            " && qemu-io -c 'write -P 2 0 64k' " + late + " >/dev/null");
  const auto info = inspect_image(late, {}, {});
  ASSERT_TRUE(info) << info.error().message();
  EXPECT_EQ(info->qcow2.value().snapshots, 1U);
  EXPECT_EQ(info->one_pass, false);
  EXPECT_GT(info->qcow2->longest_hold.value(), 50 * MiB);
  EXPECT_NE(info->streaming.find("ranges"), std::string::npos);
}

}  // namespace
}  // namespace ingot::agent
