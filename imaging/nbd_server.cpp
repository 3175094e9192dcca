#include "imaging/nbd_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

namespace ingot::imaging {
namespace {

constexpr std::uint64_t kOptionMagic = 0x49484156454F5054;  // "IHAVEOPT"
constexpr std::uint64_t kOptionReplyMagic = 0x0003e889045565a9;
constexpr std::uint32_t kRequestMagic = 0x25609513;
constexpr std::uint32_t kReplyMagic = 0x67446698;

constexpr std::uint16_t kFixedNewstyle = 1, kNoZeroes = 2;
constexpr std::uint32_t kOptExportName = 1, kOptAbort = 2, kOptList = 3, kOptInfo = 6, kOptGo = 7;
constexpr std::uint32_t kRepAck = 1, kRepServer = 2, kRepInfo = 3;
constexpr std::uint32_t kRepErrUnsupported = 0x80000001, kRepErrInvalid = 0x80000003,
                        kRepErrUnknown = 0x80000006;
constexpr std::uint16_t kInfoExport = 0, kInfoBlockSize = 3;
constexpr std::uint16_t kFlagHasFlags = 1, kFlagReadOnly = 2, kFlagSendFlush = 4,
                        kFlagSendWriteZeroes = 64;
constexpr std::uint16_t kCmdRead = 0, kCmdWrite = 1, kCmdDisconnect = 2, kCmdFlush = 3,
                        kCmdWriteZeroes = 6;

constexpr std::uint32_t kMaxOption = 4096;
constexpr int kMaxOptions = 64;
constexpr std::uint32_t kMaxPayload = 2 * 1024 * 1024;

std::uint64_t get_be(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (const auto byte : bytes) value = (value << 8) | std::to_integer<std::uint64_t>(byte);
  return value;
}

// A message put together field by field, big-endian.
class Message {
 public:
  template <class T>
  Message& put(T value) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8)
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(value) >> shift & 0xff));
    return *this;
  }
  Message& text(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
    return *this;
  }
  Message& zeros(std::size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

tl::unexpected<Error> broken(std::string_view what) {
  return fail(Errc::image_convert, fmt::format("talking to qemu-img: {}", what));
}

}  // namespace

NbdServer::NbdServer(UniqueFd socket, NbdExport& target)
    : socket_(std::move(socket)), export_(target) {}

void NbdServer::stop() noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

Result<void> NbdServer::send(std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t sent = ::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) {
      client_gone_ = true;
      return broken("the connection closed");
    }
    data = data.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<void> NbdServer::receive(std::span<std::byte> data) {
  while (!data.empty()) {
    const ssize_t got = ::recv(socket_.get(), data.data(), data.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      client_gone_ = true;
      return broken("the connection closed");
    }
    data = data.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<void> NbdServer::serve() {
  auto next = handshake();
  while (next && *next == Next::request) next = request();
  stop();  // so that a client that is still there notices
  if (next || client_gone_) return {};
  return tl::unexpected(std::move(next).error());
}

Result<NbdServer::Next> NbdServer::handshake() {
  INGOT_TRY(send(Message()
                     .text("NBDMAGIC")
                     .put(kOptionMagic)
                     .put<std::uint16_t>(kFixedNewstyle | kNoZeroes)
                     .bytes()));
  std::array<std::byte, 4> flags{};
  INGOT_TRY(receive(flags));
  const auto client_flags = get_be(flags);
  if ((client_flags & ~std::uint64_t{kFixedNewstyle | kNoZeroes}) != 0)
    return broken("unknown client flags");
  no_zeroes_ = (client_flags & kNoZeroes) != 0;
  for (int count = 0; count < kMaxOptions; ++count) {
    INGOT_TRY_ASSIGN(const Next next, option());
    if (next != Next::option) return next;
  }
  return broken("too many options");
}

Result<NbdServer::Next> NbdServer::option() {
  std::array<std::byte, 16> header{};
  INGOT_TRY(receive(header));
  const std::span<const std::byte> fields(header);
  const auto id = static_cast<std::uint32_t>(get_be(fields.subspan(8, 4)));
  const auto length = get_be(fields.subspan(12, 4));
  if (get_be(fields.first(8)) != kOptionMagic) return broken("bad option magic");
  if (length > kMaxOption) return broken("option too long");
  std::vector<std::byte> data(length);
  INGOT_TRY(receive(data));
  const auto named = [&](std::span<const std::byte> text) {
    const auto expected = export_.name();
    return std::string_view(reinterpret_cast<const char*>(text.data()), text.size()) == expected;
  };

  switch (id) {
    case kOptExportName: {
      if (!named(data)) return broken("unknown export asked for");
      INGOT_TRY(send(Message()
                         .put(export_.size())
                         .put(transmission_flags())
                         .zeros(no_zeroes_ ? 0 : 124)
                         .bytes()));
      return Next::request;
    }
    case kOptAbort:
      INGOT_TRY(option_reply(id, kRepAck, {}));
      return Next::done;
    case kOptList: {
      const auto name = export_.name();
      INGOT_TRY(
          option_reply(id, kRepServer,
                       Message().put(static_cast<std::uint32_t>(name.size())).text(name).bytes()));
      INGOT_TRY(option_reply(id, kRepAck, {}));
      break;
    }
    case kOptInfo:
    case kOptGo: {
      const std::span<const std::byte> payload(data);
      const auto name_length = payload.size() >= 6 ? get_be(payload.first(4)) : UINT64_MAX;
      if (name_length > payload.size() || payload.size() - name_length < 6) {
        INGOT_TRY(option_reply(id, kRepErrInvalid, {}));
        break;
      }
      if (!named(payload.subspan(4, name_length))) {
        INGOT_TRY(option_reply(id, kRepErrUnknown, {}));
        break;
      }
      INGOT_TRY(describe_export(id));
      if (id == kOptGo) return Next::request;
      break;
    }
    default:
      INGOT_TRY(option_reply(id, kRepErrUnsupported, {}));
  }
  return Next::option;
}

Result<void> NbdServer::describe_export(std::uint32_t option) {
  INGOT_TRY(option_reply(
      option, kRepInfo,
      Message().put(kInfoExport).put(export_.size()).put(transmission_flags()).bytes()));
  // Byte granularity, so that qemu never has to read back what it wrote.
  INGOT_TRY(option_reply(option, kRepInfo,
                         Message()
                             .put(kInfoBlockSize)
                             .put<std::uint32_t>(1)
                             .put<std::uint32_t>(64 * 1024)
                             .put(kMaxPayload)
                             .bytes()));
  return option_reply(option, kRepAck, {});
}

std::uint16_t NbdServer::transmission_flags() const {
  return export_.read_only() ? kFlagHasFlags | kFlagSendFlush | kFlagReadOnly
                             : kFlagHasFlags | kFlagSendFlush | kFlagSendWriteZeroes;
}

Result<void> NbdServer::option_reply(std::uint32_t option, std::uint32_t type,
                                     std::span<const std::byte> payload) {
  INGOT_TRY(send(Message()
                     .put(kOptionReplyMagic)
                     .put(option)
                     .put(type)
                     .put(static_cast<std::uint32_t>(payload.size()))
                     .bytes()));
  return send(payload);
}

Result<void> NbdServer::reply(std::uint64_t cookie, std::uint32_t error) {
  return send(Message().put(kReplyMagic).put(error).put(cookie).bytes());
}

Result<NbdServer::Next> NbdServer::request() {
  std::array<std::byte, 28> header{};
  INGOT_TRY(receive(header));
  const std::span<const std::byte> fields(header);
  if (get_be(fields.first(4)) != kRequestMagic) return broken("bad request magic");
  const auto command = static_cast<std::uint16_t>(get_be(fields.subspan(6, 2)));
  const auto cookie = get_be(fields.subspan(8, 8));
  const auto offset = get_be(fields.subspan(16, 8));
  const auto length = get_be(fields.subspan(24, 4));

  if (command == kCmdDisconnect) return Next::done;
  if (command == kCmdFlush) {
    INGOT_TRY(reply(cookie, 0));  // durability is the owner's business, after verification
    return Next::request;
  }
  if (command != kCmdRead && command != kCmdWrite && command != kCmdWriteZeroes)
    return broken(fmt::format("unexpected command {}", command));
  if (offset > export_.size() || length > export_.size() - offset)
    return broken(
        fmt::format("request at byte {} beyond the end of the {}", offset, export_.name()));
  if (command != kCmdWriteZeroes && length > kMaxPayload) return broken("request too long");
  if (command != kCmdRead && export_.read_only()) return broken("write to a read-only export");

  if (command == kCmdRead) {
    // The reply's header goes first; an error after it can only end the connection, and does.
    INGOT_TRY(reply(cookie, 0));
    if (length != 0)
      INGOT_TRY(export_.read(offset, length, [this](auto data) { return send(data); }));
    return Next::request;
  }
  if (length != 0) {
    if (command == kCmdWrite) {
      INGOT_TRY(export_.write(offset, length, [this](auto data) { return receive(data); }));
    } else {
      INGOT_TRY(export_.zero(offset, length));
    }
  }
  INGOT_TRY(reply(cookie, 0));
  return Next::request;
}

}  // namespace ingot::imaging
