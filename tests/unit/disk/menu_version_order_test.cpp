// The order of versions, by the examples of the specification.
#include <gtest/gtest.h>

#include <compare>
#include <string>
#include <vector>

#include "disk/menu/version_order.hpp"

namespace ingot::disk {
namespace {

struct Case {
  const char* one;
  const char* order;
  const char* other;
};

TEST(VersionOrder, AsTheSpecificationHasIt) {
  for (const Case& each : {Case{"11", "==", "11"},
                           {"systemd-123", "==", "systemd-123"},
                           {"bar-123", "<", "foo-123"},
                           {"123a", ">", "123"},
                           {"123.a", ">", "123"},
                           {"123.a", "<", "123.b"},
                           {"123a", ">", "123.a"},
                           {"11\xCE\xB1", "==", "11\xCE\xB2"},
                           {"B", "<", "a"},
                           {"", "<", "0"},
                           {"0.", ">", "0"},
                           {"0.0", ">", "0"},
                           {"0", ">", "~"},
                           {"", ">", "~"},
                           {"1_", "==", "1"},
                           {"_1", "==", "1"},
                           {"1_", "<", "1.2"},
                           {"1_2_3", ">", "1.3.3"},
                           {"1+", "==", "1"},
                           {"+1", "==", "1"},
                           {"1+", "<", "1.2"},
                           {"1+2+3", ">", "1.3.3"},
                           // What it says in words.
                           {"6.1~rc1", "<", "6.1.0"},
                           {"6.1~rc1", "<", "6.1a"},
                           {"1^post", "<", "1.1"},
                           {"1^post", ">", "1"},
                           {"1-2", "<", "1.2"},
                           {"007", "==", "7"},
                           {"99999999999999999999999", "<", "100000000000000000000000"},
                           {"6.9.0", "<", "6.10.0"},
                           {"ab", "<", "abc"},
                           {"~~", ">", "~"},
                           {"fedora-6.5.6-300", "<", "fedora-6.5.10-100"}}) {
    const auto order = compare_versions(each.one, each.other);
    const std::string got = std::is_lt(order) ? "<" : std::is_gt(order) ? ">" : "==";
    EXPECT_EQ(got, each.order) << each.one << " and " << each.other;
    EXPECT_EQ(std::is_lt(compare_versions(each.other, each.one)), std::is_gt(order)) << each.one;
    EXPECT_EQ(std::is_gt(compare_versions(each.other, each.one)), std::is_lt(order)) << each.one;
  }
}

// Each is less than all behind it.
TEST(VersionOrder, AWholeRow) {
  const std::vector<std::string> row = {"122.1",   "123~rc1-1", "123",     "123-a",
                                        "123-a.1", "123-1",     "123-1.1", "123^post1",
                                        "123.a-1", "123.1-1",   "123a-1",  "124-1"};
  for (std::size_t i = 0; i < row.size(); ++i)
    for (std::size_t j = 0; j < row.size(); ++j)
      EXPECT_TRUE(compare_versions(row[i], row[j]) == (i <=> j)) << row[i] << " and " << row[j];
}

}  // namespace
}  // namespace ingot::disk
