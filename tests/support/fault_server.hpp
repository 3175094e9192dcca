/// The fault server (tests/support/fault_server.py) and nginx, as C++ tests start and stop them.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "disk/core/unique_fd.hpp"
#include "tests/support/memory_stream.hpp"

namespace ingot::test {

/// A directory for one test, removed with it.
class TestDirectory {
 public:
  TestDirectory() {
    char name[] = "/var/tmp/ingot-source-XXXXXX";
    if (::mkdtemp(name) == nullptr) ADD_FAILURE() << "mkdtemp";
    path_ = name;
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const Bytes& bytes) const {
    // At once for whoever is reading it: a server that is answering keeps the old one.
    const std::string made = path(name) + ".new";
    std::ofstream(made, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    std::filesystem::rename(made, path(name));
  }

 private:
  std::string path_;
};

/// Bytes without any pattern that a shifted or repeated block could hide in.
inline Bytes noise(std::size_t size, unsigned seed = 1) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::size_t at = 0; at < size; at += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + at, &word, std::min<std::size_t>(8, size - at));
  }
  return bytes;
}

/// A program that runs as long as the object lives. Its first line of output is kept.
class Server {
 public:
  explicit Server(std::vector<std::string> argv) {
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) {
      ADD_FAILURE() << "pipe2";
      return;
    }
    std::vector<char*> args;
    for (auto& arg : argv) args.push_back(arg.data());
    args.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execv(args[0], args.data());
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    stdin_ = UniqueFd(in[1]);  // closed when this process ends in any way; the server ends with it
    std::FILE* output = ::fdopen(out[0], "r");
    char line[256] = "";
    if (std::fgets(line, sizeof line, output) != nullptr) first_line_ = line;
    std::fclose(output);
    while (!first_line_.empty() && first_line_.back() == '\n') first_line_.pop_back();
  }
  ~Server() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] const std::string& first_line() const { return first_line_; }

 private:
  pid_t pid_ = -1;
  UniqueFd stdin_;
  std::string first_line_;
};

inline std::string support_path(const std::string& name) {
  return (std::filesystem::path(INGOT_SOURCE_DIR) / "tests/support" / name).string();
}

/// The fault server over a directory of its own.
class FaultServer {
 public:
  explicit FaultServer(const TestDirectory& directory, std::vector<std::string> options = {})
      : server_([&] {
          std::vector<std::string> argv{"/usr/bin/python3", support_path("fault_server.py"),
                                        directory.path("."), "--until-stdin-closes"};
          argv.insert(argv.end(), options.begin(), options.end());
          return argv;
        }()) {
    EXPECT_EQ(url().substr(0, 4), "http") << "the fault server did not start";
  }
  /// "http://127.0.0.1:PORT"
  [[nodiscard]] const std::string& url() const { return server_.first_line(); }
  [[nodiscard]] std::string port() const { return url().substr(url().rfind(':') + 1); }

 private:
  Server server_;
};

}  // namespace ingot::test
