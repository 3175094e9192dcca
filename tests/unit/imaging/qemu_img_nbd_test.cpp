// The NBD server against clients that are not qemu: the handshake's other ways in, and peers that
// break the protocol or ask for what they may not have.
#include <sys/socket.h>

#include <array>
#include <thread>

#include "imaging/nbd_server.hpp"
#include "imaging/qemu_img_exports.hpp"
#include "tests/unit/imaging/qemu_img_rig.hpp"

namespace ingot::imaging {
namespace {

std::string be(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i)
    text[bytes - 1 - i] = static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}
const std::string kGreeting = "NBDMAGICIHAVEOPT" + std::string("\0\3", 2);
std::string option(std::uint32_t id, const std::string& data) {
  return "IHAVEOPT" + be(id, 4) + be(data.size(), 4) + data;
}
std::string option_reply(std::uint32_t id, std::uint32_t type, const std::string& data) {
  return be(0x0003e889045565a9, 8) + be(id, 4) + be(type, 4) + be(data.size(), 4) + data;
}
std::string go(const std::string& name) {
  return be(name.size(), 4) + name + be(0, 2);
}
std::string command(std::uint16_t type, std::uint64_t offset, std::uint64_t length) {
  return be(0x25609513, 4) + be(0, 2) + be(type, 2) + be(77, 8) + be(offset, 8) + be(length, 4);
}
const std::string kDone = be(0x67446698, 4) + be(0, 4) + be(77, 8);
constexpr std::uint16_t kRead = 0, kWrite = 1, kDisconnect = 2, kFlush = 3, kTrim = 4, kZeroes = 6;

// Sends `conversation` to a server of `target`, as a client that then goes away.
struct Conversation {
  Conversation(NbdExport& target, const std::string& conversation) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const UniqueFd client(ends[0]);
    NbdServer server(UniqueFd(ends[1]), target);
    std::jthread sender([&] {
      EXPECT_GE(::send(client.get(), conversation.data(), conversation.size(), MSG_NOSIGNAL), 0);
      ::shutdown(client.get(), SHUT_WR);
      std::array<char, 4096> chunk{};
      for (ssize_t got; (got = ::recv(client.get(), chunk.data(), chunk.size(), 0)) > 0;)
        answer.append(chunk.data(), static_cast<std::size_t>(got));
    });
    result = server.serve();
  }
  [[nodiscard]] bool broken() const {
    return !result && result.error().code() == Errc::image_convert;
  }
  std::string answer;
  Result<void> result;
};

class QemuImgNbd : public testing::Test {
 protected:
  static constexpr std::uint64_t kSize = 3 * MiB + 512;
  void SetUp() override {
    ASSERT_TRUE(sink.begin(kSize));
    contents = sample_disk(kSize, 5);
    ASSERT_TRUE(rig.file_scratch.write(0, contents));
  }
  [[nodiscard]] std::string bytes(std::size_t offset, std::size_t length) const {
    return {reinterpret_cast<const char*>(contents.data()) + offset, length};
  }
  Rig rig;
  Bytes contents;
  test::RecordingSink sink;
  ScratchExport source{rig.file_scratch, kSize};
  SinkExport target{sink, kSize};
  const std::string client_flags = be(3, 4);
  const std::string to_source = client_flags + option(7, go("source"));
  const std::string to_target = client_flags + option(7, go("target"));
  // What the server says before the first command.
  static std::string welcome(std::uint16_t flags, std::uint32_t id = 7) {
    return option_reply(id, 3, be(0, 2) + be(kSize, 8) + be(flags, 2)) +
           option_reply(id, 3, be(3, 2) + be(1, 4) + be(65536, 4) + be(2 * MiB, 4)) +
           option_reply(id, 1, "");
  }
};

TEST_F(QemuImgNbd, GoThenReadAcrossBlocksAndToTheVeryEnd) {
  const Conversation talk(source, to_source + command(kRead, MiB - 3, 10) +
                                      command(kRead, kSize - 600, 600) + command(kRead, 0, 0) +
                                      command(kFlush, 0, 0) + command(kDisconnect, 0, 0));
  EXPECT_TRUE(talk.result);
  EXPECT_EQ(talk.answer, kGreeting + welcome(7) + kDone + bytes(MiB - 3, 10) + kDone +
                             bytes(kSize - 600, 600) + kDone + kDone);
}

TEST_F(QemuImgNbd, TheOldWayInListAndAbort) {
  const Conversation old(source, be(1, 4) + option(1, "source") + command(kRead, 5, 4));
  EXPECT_TRUE(old.result);
  EXPECT_EQ(old.answer,
            kGreeting + be(kSize, 8) + be(7, 2) + std::string(124, '\0') + kDone + bytes(5, 4));
  const Conversation list(source, client_flags + option(3, "") + option(8, "") +
                                      option(6, go("source")) + option(6, go("x")) +
                                      option(6, "short") + option(2, ""));
  EXPECT_TRUE(list.result);
  EXPECT_EQ(list.answer, kGreeting + option_reply(3, 2, be(6, 4) + "source") +
                             option_reply(3, 1, "") + option_reply(8, 0x80000001, "") +
                             welcome(7, 6) + option_reply(6, 0x80000006, "") +
                             option_reply(6, 0x80000003, "") + option_reply(2, 1, ""));
}

TEST_F(QemuImgNbd, WritesBecomeExtentsAndTheRestZeros) {
  const Conversation talk(
      target, to_target + command(kWrite, 1000, 5) + "hello" + command(kWrite, 1005, 3) + "abc" +
                  command(kZeroes, 4096, 2 * MiB) + command(kWrite, 3 * MiB, 2) + "zz");
  ASSERT_TRUE(talk.result) << talk.result.error().message();
  EXPECT_EQ(talk.answer, kGreeting + welcome(69) + kDone + kDone + kDone + kDone);
  ASSERT_TRUE(target.finish());
  Bytes expected(kSize);
  patch(expected, 1000, "helloabc");
  patch(expected, 3 * MiB, "zz");
  EXPECT_TRUE(sink.image() == expected);
  EXPECT_TRUE(sink.complete(kSize));
  EXPECT_TRUE(sink.violations().empty());
  EXPECT_EQ(sink.writes(), 2U);
  EXPECT_EQ(sink.zeros(), 3U);
}

TEST_F(QemuImgNbd, WhatIsOutsideTheExportOrTheProtocolEndsTheConnection) {
  const auto source_breaks = [&](const std::string& text) {
    return Conversation(source, text).broken();
  };
  EXPECT_TRUE(source_breaks(be(0xff, 4)));
  EXPECT_TRUE(source_breaks(client_flags + "IHAVEOPX" + be(7, 4) + be(0, 4)));
  EXPECT_TRUE(source_breaks(client_flags + "IHAVEOPT" + be(7, 4) + be(1 << 30, 4)));
  EXPECT_TRUE(source_breaks(client_flags + option(1, "target")));
  std::string many = client_flags;
  for (int i = 0; i < 100; ++i) many += option(3, "");
  EXPECT_TRUE(source_breaks(many));

  EXPECT_TRUE(source_breaks(to_source + std::string(28, 'x')));
  EXPECT_TRUE(source_breaks(to_source + command(kRead, kSize, 1)));
  EXPECT_TRUE(source_breaks(to_source + command(kRead, kSize - 1, 2)));
  EXPECT_TRUE(source_breaks(to_source + command(kRead, UINT64_MAX, 2)));
  EXPECT_TRUE(source_breaks(to_source + command(kRead, 0, 2 * MiB + 1)));
  EXPECT_TRUE(source_breaks(to_source + command(kWrite, 0, 1) + "x"));
  EXPECT_TRUE(source_breaks(to_source + command(kZeroes, 0, 1)));
  EXPECT_TRUE(source_breaks(to_source + command(kTrim, 0, 1)));
  EXPECT_TRUE(source_breaks(to_source + command(9, 0, 1)));
}

TEST_F(QemuImgNbd, TheTargetIsNeitherReadNorWrittenTwice) {
  const auto breaks = [&](const std::string& text) {
    test::RecordingSink fresh_sink;
    EXPECT_TRUE(fresh_sink.begin(kSize));
    SinkExport fresh(fresh_sink, kSize);
    const bool broken = Conversation(fresh, to_target + text).broken();
    EXPECT_TRUE(fresh_sink.violations().empty());
    return broken;
  };
  EXPECT_TRUE(breaks(command(kRead, 0, 1)));
  EXPECT_TRUE(breaks(command(kTrim, 0, 1)));
  EXPECT_TRUE(breaks(command(kWrite, kSize - 1, 2) + "xx"));
  EXPECT_TRUE(breaks(command(kWrite, 10, 2) + "xx" + command(kWrite, 11, 2) + "xx"));
  EXPECT_TRUE(breaks(command(kZeroes, 10, 2) + command(kWrite, 11, 2) + "xx"));
  EXPECT_TRUE(breaks(command(kWrite, 10, 2) + "xx" + command(kZeroes, 0, 5)));
}

TEST_F(QemuImgNbd, AClientThatGoesAwayInTheMiddleIsNoErrorOfOurs) {
  for (const auto& text : {std::string(), std::string("ab"), client_flags + "IHAVE",
                           to_target + command(kWrite, 0, 100) + "short"})
    EXPECT_TRUE(Conversation(target, text).result);
  EXPECT_EQ(sink.writes(), 0U);
}

TEST_F(QemuImgNbd, StopWakesAWaitingServer) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd silent(ends[0]);
  NbdServer server(UniqueFd(ends[1]), source);
  std::jthread stopper([&] { server.stop(); });
  EXPECT_TRUE(server.serve());
}

}  // namespace
}  // namespace ingot::imaging
