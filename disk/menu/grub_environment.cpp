#include "disk/menu/grub_environment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace ingot::disk {
namespace {

constexpr std::size_t kMostVariables = 4096;
constexpr std::size_t kLongestValue = 64 * KiB;
constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kEnvironmentBlock = "# GRUB Environment Block\n";
constexpr int kDeepestTest = 32;

// What firmware, the network or the hardware put in: nothing of it is known.
bool from_outside(std::string_view name) {
  for (const std::string_view prefix : {"net_", "pxe_", "smbios", "cryptomount"})
    if (name.starts_with(prefix)) return true;
  return name == "cmdpath" || name == "lockdown" || name == "shim_lock" || name == "secureboot" ||
         name == "match";
}

// How a picture goes over from GRUB to the kernel: where that is not known, nothing is said of it.
bool cosmetic(std::string_view name) {
  return name == "vt_handoff" || name == "gfxpayload";
}

std::optional<long> integer(const std::string& text) {
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Recursive descent: or, and, not, one test.
class Test {
 public:
  Test(const std::vector<GrubText>& arguments,
       const std::function<std::optional<FileTree::Kind>(const std::string&)>& kind)
      : arguments_(arguments), kind_(kind) {}

  Truth whole() {
    const Truth result = either(0);
    return at_ == arguments_.size() && !wrong_ ? result : Truth::unknown;
  }

 private:
  [[nodiscard]] bool is(std::size_t ahead, std::string_view word) const {
    return at_ + ahead < arguments_.size() && arguments_[at_ + ahead].known &&
           arguments_[at_ + ahead].text == word;
  }
  [[nodiscard]] std::size_t left() const { return arguments_.size() - at_; }

  Truth either(int depth) {
    Truth result = both(depth);
    while (is(0, "-o")) {
      ++at_;
      const Truth other = both(depth);
      if (result == Truth::yes || other == Truth::yes)
        result = Truth::yes;
      else if (result == Truth::unknown || other == Truth::unknown)
        result = Truth::unknown;
    }
    return result;
  }

  Truth both(int depth) {
    Truth result = one(depth);
    while (left() > 0 && !is(0, "-o") && !is(0, ")")) {
      if (is(0, "-a")) ++at_;  // two tests in a row are joined the same way
      const Truth other = one(depth);
      if (result == Truth::no || other == Truth::no)
        result = Truth::no;
      else if (result == Truth::unknown || other == Truth::unknown)
        result = Truth::unknown;
      if (wrong_) return Truth::unknown;
    }
    return result;
  }

  Truth one(int depth) {
    if (arguments_.empty()) return Truth::no;  // `test` without anything is false
    if (left() == 0 || depth > kDeepestTest) return broken();
    // A comparison comes first: one of its sides may look like anything.
    if (left() >= 3 && is_operator(1)) return compare();
    if (is(0, "!")) {
      ++at_;
      return !one(depth + 1);
    }
    if (is(0, "(")) {
      ++at_;
      const Truth result = either(depth + 1);
      if (!is(0, ")")) return broken();
      ++at_;
      return result;
    }
    if (left() >= 2 && arguments_[at_].known && arguments_[at_].text.size() == 2 &&
        arguments_[at_].text[0] == '-' &&
        std::string_view("defsnz").find(arguments_[at_].text[1]) != std::string_view::npos)
      return unary(arguments_[at_].text[1]);
    const GrubText& argument = arguments_[at_++];
    return argument.known ? truth(!argument.text.empty()) : Truth::unknown;
  }

  Truth broken() {
    wrong_ = true;
    at_ = arguments_.size();
    return Truth::unknown;
  }

  [[nodiscard]] bool is_operator(std::size_t ahead) const {
    for (const std::string_view name : {"=", "==", "!=", "<", "<=", ">", ">=", "-eq", "-ge", "-gt",
                                        "-le", "-lt", "-ne", "-pgt", "-plt", "-nt", "-ot"})
      if (is(ahead, name)) return true;
    return false;
  }

  Truth compare() {
    const GrubText& one = arguments_[at_];
    const std::string& how = arguments_[at_ + 1].text;
    const GrubText& other = arguments_[at_ + 2];
    at_ += 3;
    if (!one.known || !other.known) return Truth::unknown;
    if (how == "=" || how == "==") return truth(one.text == other.text);
    if (how == "!=") return truth(one.text != other.text);
    if (how == "<") return truth(one.text < other.text);
    if (how == "<=") return truth(one.text <= other.text);
    if (how == ">") return truth(one.text > other.text);
    if (how == ">=") return truth(one.text >= other.text);
    const auto left_number = integer(one.text);
    const auto right_number = integer(other.text);
    if (!left_number || !right_number) return Truth::unknown;
    if (how == "-eq") return truth(*left_number == *right_number);
    if (how == "-ne") return truth(*left_number != *right_number);
    if (how == "-lt") return truth(*left_number < *right_number);
    if (how == "-le") return truth(*left_number <= *right_number);
    if (how == "-gt") return truth(*left_number > *right_number);
    if (how == "-ge") return truth(*left_number >= *right_number);
    return Truth::unknown;  // times of files, prefixes: nothing that real menus ask
  }

  Truth unary(char how) {
    const GrubText& argument = arguments_[at_ + 1];
    at_ += 2;
    if (!argument.known) return Truth::unknown;
    if (how == 'n') return truth(!argument.text.empty());
    if (how == 'z') return truth(argument.text.empty());
    const auto kind = kind_(argument.text);
    if (!kind) return Truth::unknown;
    if (how == 'd') return truth(*kind == FileTree::Kind::directory);
    if (how == 'e') return truth(*kind != FileTree::Kind::none);
    // -s asks for more than a file; the environment block that it is used for is never empty.
    return truth(*kind == FileTree::Kind::file);
  }

  const std::vector<GrubText>& arguments_;
  const std::function<std::optional<FileTree::Kind>(const std::string&)>& kind_;
  std::size_t at_ = 0;
  bool wrong_ = false;
};

}  // namespace

Truth operator!(Truth truth) {
  if (truth == Truth::unknown) return truth;
  return truth == Truth::yes ? Truth::no : Truth::yes;
}

GrubEnvironment::GrubEnvironment(const BootFirmware& firmware) {
  // What GRUB 2.04 and later, built by distributions, says of itself.
  for (const char* feature :
       {"feature_chainloader_bpb", "feature_ntldr", "feature_platform_search_hint",
        "feature_default_font_path", "feature_all_video_module", "feature_menuentry_id",
        "feature_menuentry_options", "feature_200_final", "feature_nativedisk_cmd",
        "feature_timeout_style"})
    set(feature, {"y"});
  set("grub_platform", {firmware.uefi ? "efi" : "pc"});
  set("grub_cpu", {!firmware.uefi                    ? "i386"
                   : firmware.architecture == "x64"  ? "x86_64"
                   : firmware.architecture == "aa64" ? "arm64"
                                                     : firmware.architecture});
}

GrubText GrubEnvironment::get(const std::string& name) const {
  if (const auto found = values_.find(name); found != values_.end()) return found->second;
  return {{}, !from_outside(name)};
}

void GrubEnvironment::set(const std::string& name, GrubText value) {
  if (value.text.size() > kLongestValue ||
      (values_.size() >= kMostVariables && !values_.contains(name)))
    value = {{}, false};
  if (!value.known && cosmetic(name)) value = {};
  values_.insert_or_assign(name, std::move(value));
}

Result<void> GrubEnvironment::spend(std::size_t amount) {
  if (amount > left_) return fail(Errc::image_unsupported, "it does not come to an end");
  left_ -= amount;
  return {};
}

GrubText GrubEnvironment::value_of(const std::string& name) const {
  if (name == "?")
    return {last == Truth::yes ? "0" : last == Truth::no ? "1" : "", last != Truth::unknown};
  if (name == "#") return {std::to_string(positional.size())};
  if (name == "@" || name == "*") {
    GrubText all;
    for (const GrubText& each : positional) {
      if (!all.text.empty()) all.text += ' ';
      all.text += each.text;
      all.known = all.known && each.known;
    }
    return all;
  }
  if (name[0] >= '0' && name[0] <= '9') {
    const auto number = integer(name);
    if (!number || *number < 1 || static_cast<std::size_t>(*number) > positional.size()) return {};
    return positional[static_cast<std::size_t>(*number) - 1];
  }
  return get(name);
}

Result<void> GrubEnvironment::expand(const GrubWord& word, std::vector<GrubText>& arguments) {
  std::optional<GrubText> current;
  for (const GrubPart& part : word) {
    const GrubText value = part.variable ? value_of(part.value) : GrubText{part.value};
    INGOT_TRY(spend(value.text.size() + 1));
    if (part.quoted || !part.variable) {
      if (!current) current.emplace();
      current->text += value.text;
      current->known = current->known && value.known;
      continue;
    }
    if (!value.known) {  // it may be nothing, or several words: what it is in is not known
      if (!current) current.emplace();
      current->known = false;
      continue;
    }
    for (std::size_t at = 0; at < value.text.size();) {
      const auto begin = value.text.find_first_not_of(kBlanks, at);
      if (begin != at && current) arguments.push_back(*std::exchange(current, std::nullopt));
      if (begin == std::string::npos) break;
      const auto end = std::min(value.text.find_first_of(kBlanks, begin), value.text.size());
      if (!current) current.emplace();
      current->text.append(value.text, begin, end - begin);
      at = end;
    }
  }
  if (current) arguments.push_back(std::move(*current));
  return {};
}

void GrubEnvironment::load(std::string_view grubenv, const std::vector<GrubText>& only) {
  if (!grubenv.starts_with(kEnvironmentBlock)) return;
  grubenv.remove_prefix(kEnvironmentBlock.size());
  // "\" and a line end stand for a line end inside a value, "\\" for a backslash.
  std::string line;
  for (std::size_t i = 0; i < grubenv.size(); ++i) {
    if (grubenv[i] == '\\' && i + 1 < grubenv.size()) {
      line += grubenv[++i];
      continue;
    }
    if (grubenv[i] != '\n') {
      line += grubenv[i];
      continue;
    }
    const auto equals = line.find('=');
    if (!line.starts_with('#') && equals != std::string::npos && equals > 0) {
      const std::string name = line.substr(0, equals);
      if (only.empty() || std::ranges::any_of(only, [&name](const GrubText& wanted) {
            return wanted.text == name;
          }))
        set(name, {line.substr(equals + 1)});
    }
    line.clear();
  }
}

Truth grub_test(const std::vector<GrubText>& arguments,
                const std::function<std::optional<FileTree::Kind>(const std::string& path)>& kind) {
  return Test(arguments, kind).whole();
}

}  // namespace ingot::disk
