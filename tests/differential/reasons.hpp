/// The differences from qemu-img that are meant. imaging/qcow2/README.md says why each one is.
#pragma once

#include <string>

namespace ingot::differential {

/// One row of that table. Refusals are told apart by what the one that refuses says.
struct Reason {
  const char* name;        ///< as in the table
  bool ingot_refuses;      ///< otherwise qemu-img does
  const char* message[4];  ///< any of these in the refusal; unused ones are null
};

inline constexpr Reason kReasons[] = {
    // The scratch room is larger than any file here: what asks for more lies behind the file's end.
    {"missing end",
     true,
     {"image.truncated", "past the end of the file", "past the end of any file",
      "image.not-streamable"}},
    {"overlap", true, {"overlap"}},
    {"corrupt bit", true, {"has the corrupt bit set"}},
    {"no disk", true, {"size is less than one sector"}},
    {"other file", true, {"is only a difference to another one", "names an external data file"}},
    {"snapshot table", false, {"snapshot table entry", "Snapshot table is too big"}},
    {"bitmap directory", false, {"bitmap", "Bitmap "}},
};

/// The row that explains that one of the two says `refusal` and the other reads the image; null:
/// none does.
inline const Reason* explain(bool ingot_refuses, const std::string& refusal) {
  for (const Reason& reason : kReasons)
    for (const char* message : reason.message)
      if (reason.ingot_refuses == ingot_refuses && message != nullptr &&
          refusal.find(message) != std::string::npos)
        return &reason;
  return nullptr;
}

}  // namespace ingot::differential
