// One stage of a deployment at a time, as fast as the library does it: what the bound is computed
// from.
//
//   bench_stages receive ADDRESS:PORT PATH  a file of a web server, over HTTP, read and forgotten
//   bench_stages digest FILE                its sha256
//   bench_stages gcm FILE                   as many bytes of AES-256-GCM, in TLS's records
//   bench_stages decode QCOW2 N             its compressed clusters decompressed, on N threads
//   bench_stages unpack FILE                a .zst or .gz file decompressed, on one thread
//   bench_stages write DEVICE BYTES         so many written (O_DIRECT, 1 MiB, 4 at once), flushed
//
// Prints one JSON object. Times are taken from outside, so that what the kernel does for it counts
// as well; "seconds" is the time without starting up. Files are mapped, and should be in the page
// cache.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <liburing.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Bytes = std::span<const unsigned char>;

constexpr std::size_t kMiB = 1 << 20;

[[noreturn]] void give_up(const std::string& why) {
  throw std::runtime_error(why);
}

void must(bool fine, const char* what) {
  if (!fine) give_up(what);
}

class Mapped {
 public:
  explicit Mapped(const char* path) {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    struct stat status {};
    must(file >= 0 && ::fstat(file, &status) == 0 && status.st_size > 0, "cannot read the file");
    size_ = static_cast<std::size_t>(status.st_size);
    data_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    ::close(file);
    must(data_ != MAP_FAILED, "cannot map the file");
  }
  ~Mapped() { ::munmap(data_, size_); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  [[nodiscard]] Bytes bytes() const { return {static_cast<const unsigned char*>(data_), size_}; }

 private:
  void* data_;
  std::size_t size_;
};

std::string digest(Bytes data) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  std::array<unsigned char, EVP_MAX_MD_SIZE> value{};
  unsigned length = 0;
  must(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1, "sha256");
  for (; !data.empty(); data = data.subspan(std::min(data.size(), kMiB)))
    EVP_DigestUpdate(context, data.data(), std::min(data.size(), kMiB));
  EVP_DigestFinal_ex(context, value.data(), &length);
  EVP_MD_CTX_free(context);
  return fmt::format("\"first_byte\": {}", value[0]);
}

std::string gcm(Bytes data) {
  constexpr std::size_t kRecord = 16 * 1024;
  std::vector<unsigned char> out(kRecord + 16);
  const std::array<unsigned char, 32> key{1};
  std::array<unsigned char, 12> nonce{};
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  must(EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nullptr, key.data(), nonce.data()) == 1,
       "gcm");
  for (; !data.empty(); data = data.subspan(std::min(data.size(), kRecord))) {
    int length = 0;
    ++nonce[0];
    EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data());
    EVP_DecryptUpdate(context, out.data(), &length, data.data(),
                      static_cast<int>(std::min(data.size(), kRecord)));
  }
  EVP_CIPHER_CTX_free(context);
  return fmt::format("\"last_byte\": {}", out[0]);
}

std::uint64_t big_endian(Bytes data, std::size_t at, std::size_t length) {
  must(at <= data.size() && length <= data.size() - at, "a table lies outside the file");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < length; ++i) value = value << 8 | data[at + i];
  return value;
}

struct Clusters {
  struct Compressed {
    std::uint64_t offset, length;
  };
  std::vector<Compressed> compressed;
  std::uint64_t plain = 0;  // clusters
  std::size_t size = 0;     // of one, bytes
  bool zstd = false;
};

// docs/interop/qcow2.txt of QEMU. The image is one of our own: what is odd in it is an error.
Clusters list(Bytes image) {
  Clusters out;
  must(big_endian(image, 0, 4) == 0x514649fb, "no qcow2");
  const auto version = big_endian(image, 4, 4);
  const auto bits = big_endian(image, 20, 4);
  out.size = std::size_t{1} << bits;
  out.zstd = version >= 3 && big_endian(image, 100, 4) > 104 && image[104] == 1;
  const auto l1_entries = big_endian(image, 36, 4);
  const auto l1 = big_endian(image, 40, 8);
  const unsigned x = 62 - (static_cast<unsigned>(bits) - 8);
  constexpr std::uint64_t kOffset = 0x00fffffffffffe00;
  for (std::uint64_t i = 0; i < l1_entries; ++i) {
    const auto l2 = big_endian(image, l1 + i * 8, 8) & kOffset;
    if (l2 == 0) continue;
    for (std::uint64_t j = 0; j < out.size / 8; ++j) {
      const auto entry = big_endian(image, l2 + j * 8, 8);
      if ((entry >> 62 & 1) != 0) {
        const auto offset = entry & ((std::uint64_t{1} << x) - 1);
        const auto sectors = entry >> x & ((std::uint64_t{1} << (62 - x)) - 1);
        out.compressed.push_back({offset, (sectors + 1) * 512 - (offset & 511)});
      } else if ((entry & kOffset) != 0 && (entry & 1) == 0) {
        ++out.plain;
      }
    }
  }
  return out;
}

std::string decode(Bytes image, unsigned threads) {
  const Clusters clusters = list(image);
  std::atomic<std::size_t> next{0};
  std::atomic<bool> wrong{false};
  const auto work = [&] {
    constexpr std::size_t kAtOnce = 64;
    std::vector<unsigned char> out(clusters.size);
    libdeflate_decompressor* const deflate = libdeflate_alloc_decompressor();
    ZSTD_DCtx* const zstd = ZSTD_createDCtx();
    for (;;) {
      const std::size_t first = next.fetch_add(kAtOnce);
      if (first >= clusters.compressed.size()) break;
      for (std::size_t i = first; i < std::min(first + kAtOnce, clusters.compressed.size()); ++i) {
        const auto [offset, length] = clusters.compressed[i];
        const Bytes in = image.subspan(offset, std::min(length, image.size() - offset));
        if (clusters.zstd) {
          ZSTD_inBuffer from{in.data(), in.size(), 0};
          ZSTD_outBuffer to{out.data(), out.size(), 0};
          ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
          ZSTD_decompressStream(zstd, &to, &from);
          if (to.pos != out.size()) wrong = true;
        } else {
          std::size_t used = 0, made = 0;
          const auto done = libdeflate_deflate_decompress_ex(deflate, in.data(), in.size(),
                                                             out.data(), out.size(), &used, &made);
          if (done != LIBDEFLATE_SUCCESS || made != out.size()) wrong = true;
        }
      }
    }
    libdeflate_free_decompressor(deflate);
    ZSTD_freeDCtx(zstd);
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < threads; ++i) workers.emplace_back(work);
  }
  must(!wrong, "a cluster does not decompress");
  return fmt::format("\"compressed_clusters\": {}, \"plain_clusters\": {}, \"data_bytes\": {}",
                     clusters.compressed.size(), clusters.plain,
                     (clusters.compressed.size() + clusters.plain) * clusters.size);
}

std::string unpack_zstd(Bytes data) {
  std::vector<unsigned char> out(ZSTD_DStreamOutSize());
  ZSTD_DCtx* const context = ZSTD_createDCtx();
  ZSTD_inBuffer from{data.data(), data.size(), 0};
  std::uint64_t total = 0;
  while (from.pos < from.size) {
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    must(ZSTD_isError(ZSTD_decompressStream(context, &to, &from)) == 0, "zstd");
    total += to.pos;
  }
  ZSTD_freeDCtx(context);
  return fmt::format("\"bytes\": {}", total);
}

std::string unpack_gzip(Bytes data) {
  std::vector<unsigned char> out(kMiB);
  auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  std::uint64_t total = 0;
  std::size_t at = 0;
  do {
    const auto part = static_cast<std::uint32_t>(std::min(data.size() - at, kMiB));
    // ISA-L reads it only, but says otherwise.
    state->next_in = const_cast<unsigned char*>(data.data() + at);
    state->avail_in = part;
    at += part;
    while (state->avail_in > 0 && state->block_state != ISAL_BLOCK_FINISH) {
      state->next_out = out.data();
      state->avail_out = static_cast<std::uint32_t>(out.size());
      must(isal_inflate(state.get()) == ISAL_DECOMP_OK, "gzip");
      total += out.size() - state->avail_out;
    }
  } while (at < data.size() && state->block_state != ISAL_BLOCK_FINISH);
  return fmt::format("\"bytes\": {}", total);
}

std::string write(const char* device, std::uint64_t bytes) {
  constexpr unsigned kDepth = 4;
  const int file = ::open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
  must(file >= 0, "cannot open the device");
  io_uring ring{};
  must(io_uring_queue_init(kDepth, &ring, 0) == 0, "io_uring");
  auto* const buffer = static_cast<unsigned char*>(std::aligned_alloc(4096, kMiB));
  for (std::size_t i = 0; i < kMiB; ++i) buffer[i] = static_cast<unsigned char>(i * 31 >> 3);
  std::uint64_t at = 0;
  unsigned under_way = 0;
  while (at < bytes || under_way > 0) {
    while (at < bytes && under_way < kDepth) {
      io_uring_sqe* const entry = io_uring_get_sqe(&ring);
      io_uring_prep_write(entry, file, buffer, kMiB, at);
      at += kMiB;
      ++under_way;
    }
    io_uring_cqe* done = nullptr;
    must(io_uring_submit_and_wait(&ring, 1) >= 0 && io_uring_peek_cqe(&ring, &done) == 0 &&
             done->res == static_cast<int>(kMiB),
         "a write failed");
    io_uring_cqe_seen(&ring, done);
    --under_way;
  }
  must(::fdatasync(file) == 0, "fdatasync");
  io_uring_queue_exit(&ring);
  ::close(file);
  std::free(buffer);
  return fmt::format("\"bytes\": {}", at);
}

std::string receive(const std::string& server, const std::string& path) {
  const auto colon = server.find(':');
  must(colon != std::string::npos, "no port");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoul(server.substr(colon + 1))));
  must(::inet_pton(AF_INET, server.substr(0, colon).c_str(), &address.sin_addr) == 1, "no address");
  const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  must(peer >= 0 &&
           ::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
       "cannot connect");
  const std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", path, server);
  must(::send(peer, request.data(), request.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(request.size()),
       "cannot ask");
  std::vector<char> buffer(kMiB);
  std::uint64_t total = 0;
  for (;;) {
    const ssize_t length = ::recv(peer, buffer.data(), buffer.size(), 0);
    must(length >= 0, "the connection broke");
    if (length == 0) break;
    if (total == 0)
      must(std::string_view(buffer.data(), 12) == "HTTP/1.1 200", "no such file on the server");
    total += static_cast<std::uint64_t>(length);
  }
  ::close(peer);
  return fmt::format("\"bytes\": {}", total);
}

int run(std::span<char*> arguments) {
  const std::string stage = arguments.size() > 2 ? arguments[1] : "";
  const std::string number = arguments.size() > 3 ? arguments[3] : "0";
  if (stage == "write" || stage == "receive") {
    const auto start = std::chrono::steady_clock::now();
    const std::string facts =
        stage == "write" ? write(arguments[2], std::stoull(number)) : receive(arguments[2], number);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    fmt::print("{{{}, \"seconds\": {:.4f}}}\n", facts, seconds.count());
    return 0;
  }
  const Mapped file(arguments[2]);
  const auto start = std::chrono::steady_clock::now();
  std::string facts;
  if (stage == "digest") {
    facts = digest(file.bytes());
  } else if (stage == "gcm") {
    facts = gcm(file.bytes());
  } else if (stage == "decode") {
    facts = decode(file.bytes(), static_cast<unsigned>(std::stoul(number)));
  } else if (stage == "unpack") {
    facts = file.bytes()[0] == 0x1f ? unpack_gzip(file.bytes()) : unpack_zstd(file.bytes());
  } else {
    give_up("which stage? receive, digest, gcm, decode, unpack, write");
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print("{{{}, \"seconds\": {:.4f}}}\n", facts, seconds.count());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 3) give_up("which stage, of what?");
    return run({arguments, static_cast<std::size_t>(count)});
  } catch (const std::exception& problem) {
    fmt::print(stderr, "bench_stages: {}\n", problem.what());
    return 1;
  }
}
