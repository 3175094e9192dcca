// When standard error is the journal. What is sent there, tests/integration/test_systemd.py reads
// from a real one.
#include "agent/text/journal.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <string>

#include "disk/core/unique_fd.hpp"

namespace ingot::agent {
namespace {

TEST(Journal, IsRecognizedByDeviceAndInode) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd ours(ends[0]), other(ends[1]);
  struct stat status {};
  ASSERT_EQ(::fstat(ours.get(), &status), 0);
  const std::string device = std::to_string(status.st_dev), inode = std::to_string(status.st_ino);
  const std::string name = device + ":" + inode;
  EXPECT_TRUE(is_journal(ours.get(), name.c_str()));
  EXPECT_FALSE(is_journal(other.get(), name.c_str())) << "redirected";
  EXPECT_FALSE(is_journal(-1, name.c_str()));
  EXPECT_FALSE(is_journal(ours.get(), nullptr));
  for (const std::string& wrong :
       {std::string(), device, device + ":", ":" + inode, name + "x", name + ":1", "-" + name,
        device + " " + inode, std::string(40, '9') + ":" + inode, std::string("x:y")})
    EXPECT_FALSE(is_journal(ours.get(), wrong.c_str())) << wrong;
}

}  // namespace
}  // namespace ingot::agent
