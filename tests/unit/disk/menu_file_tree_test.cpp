// Files of an image: nothing of them leads out of it, waits, or has no end.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "disk/menu/file_tree.hpp"
#include "tests/support/boot_tree.hpp"

namespace ingot::disk {
namespace {

class FileTreeTest : public testing::Test {
 protected:
  FileTreeTest() { tree.add(); }
  std::string read(const std::string& path) {
    const auto text = files().read(path, 16);
    return text ? *text : "error: " + text.error().message();
  }
  const FileTree& files() { return tree.volumes()[0].tree; }

  test::BootTree tree;
};

TEST_F(FileTreeTest, LinksAreFollowedInside) {
  tree.put(0, "/boot/vmlinuz-6.1", "kernel");
  tree.link(0, "/vmlinuz", "boot/vmlinuz-6.1");
  tree.link(0, "/absolute", "/boot/vmlinuz-6.1");
  tree.link(0, "/up", "../../../boot/vmlinuz-6.1");
  tree.link(0, "/folder", "/boot");
  for (const char* path : {"/boot/vmlinuz-6.1", "boot/vmlinuz-6.1", "/vmlinuz", "/absolute", "/up",
                           "/folder/vmlinuz-6.1", "//boot/./vmlinuz-6.1", "../../boot/vmlinuz-6.1"})
    EXPECT_EQ(read(path), "kernel") << path;
}

TEST_F(FileTreeTest, NothingLeadsOut) {
  tree.link(0, "/passwd", "/etc/passwd");
  tree.link(0, "/loop", "/loop");
  tree.link(0, "/magic", "/proc/self/root/etc/passwd");
  for (const char* path : {"/passwd", "../../../../../etc/passwd", "/loop", "/magic", "/none", ""})
    EXPECT_EQ(read(path).substr(0, 6), "error:") << path;
  EXPECT_EQ(files().kind("/passwd"), FileTree::Kind::none);
  EXPECT_FALSE(files().open(std::string("/a\0b", 4)));
}

TEST_F(FileTreeTest, OnlyPlainFilesAreRead) {
  ASSERT_EQ(::mkfifo((tree.folder_of(0) + "/fifo").c_str(), 0600), 0);
  tree.put(0, "/folder/file");
  for (const char* path : {"/fifo", "/folder", "/"}) {
    EXPECT_NE(read(path).find("no regular file"), std::string::npos) << read(path);
  }
  EXPECT_EQ(files().kind("/fifo"), FileTree::Kind::none);
  EXPECT_EQ(files().kind("/folder"), FileTree::Kind::directory);
  EXPECT_EQ(files().kind("/folder/file"), FileTree::Kind::file);
}

TEST_F(FileTreeTest, Limits) {
  tree.put(0, "/just", std::string(16, 'x'));
  tree.put(0, "/more", std::string(17, 'x'));
  EXPECT_EQ(read("/just").size(), 16U);
  EXPECT_NE(read("/more").find("more than 16"), std::string::npos) << read("/more");
  EXPECT_EQ(files().list("/", 2).value(), (std::vector<std::string>{"just", "more"}));
  EXPECT_EQ(files().list("/", 1).error().code(), Errc::image_unsupported);
  EXPECT_TRUE(files().list("/none", 1).value().empty());
  tree.put(0, "/.hidden");
  EXPECT_TRUE(files().list("/", 2));
}

}  // namespace
}  // namespace ingot::disk
