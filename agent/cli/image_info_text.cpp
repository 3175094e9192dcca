#include "agent/cli/image_info_text.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "disk/core/units.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;

std::string size_text(std::optional<std::uint64_t> bytes) {
  return bytes ? fmt::format("{} ({} bytes)", format_bytes(*bytes), *bytes) : "not known";
}

json::value or_null(std::optional<std::uint64_t> value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::value or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

std::string qcow2_text(const Qcow2Info& qcow2) {
  std::string text = fmt::format("version {}, {} clusters, {}", qcow2.version,
                                 format_bytes(qcow2.cluster_size), qcow2.compression_type);
  if (qcow2.extended_l2) text += ", extended L2 entries";
  if (qcow2.snapshots > 0) text += fmt::format(", {} snapshots (passed over)", qcow2.snapshots);
  if (qcow2.dirty) text += ", dirty";
  if (qcow2.corrupt) text += ", marked corrupt";
  if (qcow2.backing_file) text += ", backing file";
  if (qcow2.data_file) text += ", external data file";
  if (qcow2.encrypted) text += ", encrypted";
  return text;
}

}  // namespace

std::string to_text(const ImageInfo& info) {
  std::string text;
  const auto line = [&text](std::string_view key, std::string_view value) {
    text += fmt::format("{:<16}{}\n", key.empty() ? "" : fmt::format("{}:", key), value);
  };
  line("image", info.source);
  line("format", imaging::name(info.format));
  line("compression", info.compression);
  line("file size", size_text(info.file_size));
  line("virtual size", size_text(info.virtual_size));
  if (info.format == imaging::ImageFormat::raw) {
    line("partitions", info.partition_table.empty() ? "none"
                       : info.gpt_sector_size == 0
                           ? info.partition_table
                           : fmt::format("{}, for sectors of {} bytes", info.partition_table,
                                         info.gpt_sector_size));
    for (const auto& note : info.table_notes) line("", note);
    line("file system", info.filesystem.empty() ? "none" : info.filesystem);
  }
  if (info.qcow2) line("qcow2", qcow2_text(*info.qcow2));
  if (!info.refusal.empty())
    line("writable", "no: " + info.refusal);
  else if (!info.recognized)
    line("writable", "only with --allow-unrecognized: no partition table and no file system");
  else
    line("writable", "yes");
  if (info.refusal.empty()) line("streams", info.streaming);
  return text;
}

std::string to_json(const ImageInfo& info) {
  json::object object = {
      {"image", info.source},
      {"format", imaging::name(info.format)},
      {"compression", info.compression},
      {"file_size", or_null(info.file_size)},
      {"virtual_size", or_null(info.virtual_size)},
      {"partition_table", or_null(info.partition_table)},
      {"gpt_sector_size",
       info.gpt_sector_size == 0 ? json::value(nullptr) : json::value(info.gpt_sector_size)},
      {"table_notes", json::value_from(info.table_notes)},
      {"filesystem", or_null(info.filesystem)},
      {"recognized", info.recognized},
      {"refusal", or_null(info.refusal)},
      {"one_pass", info.one_pass ? json::value(*info.one_pass) : json::value(nullptr)},
      {"streaming", or_null(info.streaming)},
      {"qcow2", nullptr}};
  if (const auto& qcow2 = info.qcow2)
    object["qcow2"] = {{"version", qcow2->version},
                       {"cluster_size", qcow2->cluster_size},
                       {"compression_type", qcow2->compression_type},
                       {"extended_l2", qcow2->extended_l2},
                       {"backing_file", qcow2->backing_file},
                       {"data_file", qcow2->data_file},
                       {"encrypted", qcow2->encrypted},
                       {"corrupt", qcow2->corrupt},
                       {"dirty", qcow2->dirty},
                       {"snapshots", qcow2->snapshots},
                       {"l1_offset", qcow2->l1_offset},
                       {"longest_hold", or_null(qcow2->longest_hold)}};
  return json::serialize(object);
}

}  // namespace ingot::agent
