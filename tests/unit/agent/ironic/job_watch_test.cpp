// The owner of a job that the conductor ordered.
#include "agent/ironic/job_watch.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <thread>

#include "agent/text/json_object.hpp"
#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

TEST(JobWatch, NobodyConfirms) {
  JobWatch watch("write_image");
  const auto confirmed = watch.confirm("/dev/sda", {});
  ASSERT_FALSE(confirmed);
  EXPECT_EQ(confirmed.error().code(), Errc::usage_confirmation);
  EXPECT_NE(confirmed.error().message().find("/dev/sda"), std::string::npos);
}

TEST(JobWatch, TellsHowFarItIs) {
  JobWatch watch("write_image");
  EXPECT_EQ(watch.sentence(), "write_image: connect");
  watch.counters().bytes_expected = 400 * MiB;
  watch.counters().bytes_received = 100 * MiB;
  watch.on_phase(Phase::write);
  const ProgressSnapshot now = watch.look();
  EXPECT_EQ(now.phase, Phase::write);
  EXPECT_EQ(now.received, 100 * MiB);
  ASSERT_TRUE(now.percent);
  EXPECT_NEAR(*now.percent, 25, 1);
  EXPECT_TRUE(watch.sentence().starts_with("write_image: write 25 %")) << watch.sentence();
}

TEST(JobWatch, ItsJsonIsAnObjectWithTheProgress) {
  JobWatch watch("write_image");
  watch.counters().bytes_received = 5;
  watch.on_phase(Phase::write);
  const auto object = parse_json_object(watch.json());
  ASSERT_TRUE(object) << watch.json();
  EXPECT_EQ(string_in(*object, "phase"), "write") << watch.json();
  EXPECT_EQ(integer_in(*object, "bytes_received"), 5) << watch.json();
}

TEST(JobWatch, NoNumberGoesBack) {
  JobWatch watch("write_image");
  watch.counters().bytes_expected = 100;
  watch.counters().bytes_received = 80;
  const auto before = watch.look();
  watch.counters().bytes_received = 10;  // a transfer that had to start over
  const auto after = watch.look();
  EXPECT_EQ(after.received, before.received);
  EXPECT_GE(after.percent.value(), before.percent.value());
}

TEST(JobWatch, TheLogHasNoCredentials) {
  testing::internal::CaptureStderr();
  JobWatch watch("write_image");
  watch.on_started({.image_url = "https://u:S3CR3T@host/image?sig=S3CR3T", .device = "/dev/sda"});
  watch.on_remark("a remark");
  watch.on_note("a note");
  watch.on_retry(2, "the connection was reset", 4096);
  watch.on_phase(Phase::commit);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(log.find("S3CR3T"), std::string::npos) << log;
  for (const auto* text : {"host/image", "/dev/sda", "a remark", "a note", "4096", "commit"}) {
    EXPECT_NE(log.find(text), std::string::npos) << text << "\n" << log;
  }
}

TEST(JobWatch, AskedWhileTheJobRuns) {
  JobWatch watch("erase_devices");
  std::jthread job([&watch](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      ++watch.counters().bytes_written;
      watch.on_phase(Phase::write);
    }
  });
  std::uint64_t last = 0;
  for (int i = 0; i < 200; ++i) {
    const auto now = watch.look().written;
    EXPECT_GE(now, last);
    last = now;
    EXPECT_TRUE(parse_json_object(watch.json()));
  }
}

}  // namespace
}  // namespace ingot::agent
