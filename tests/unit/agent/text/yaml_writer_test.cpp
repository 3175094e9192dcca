// YAML that is written: read back equal by our reader, and taken for the same by PyYAML, which
// reads YAML 1.1 and is what cloud-init reads its configuration with.
#include "agent/text/yaml_writer.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "agent/text/yaml_document.hpp"
#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

void expect_same(const YamlNode& a, const YamlNode& b, const std::string& text) {
  ASSERT_EQ(a.kind, b.kind) << text;
  ASSERT_EQ(a.text, b.text) << text;
  ASSERT_EQ(a.string, b.string) << a.text << "\n" << text;
  ASSERT_EQ(a.tag, b.tag) << text;
  ASSERT_EQ(a.members.size(), b.members.size()) << text;
  ASSERT_EQ(a.items.size(), b.items.size()) << text;
  for (std::size_t i = 0; i < a.members.size(); ++i) {
    ASSERT_EQ(a.members[i].name, b.members[i].name) << text;
    expect_same(a.members[i].value, b.members[i].value, text);
  }
  for (std::size_t i = 0; i < a.items.size(); ++i) expect_same(a.items[i], b.items[i], text);
}

std::vector<std::string> nasty() {
  std::vector<std::string> all = {"",
                                  " ",
                                  "\n",
                                  "\t",
                                  "~",
                                  "null",
                                  "Null",
                                  "yes",
                                  "No",
                                  "on",
                                  "y",
                                  "N",
                                  "true",
                                  "TRUE",
                                  "0777",
                                  "0o17",
                                  "0x1F",
                                  "0b1",
                                  "1_000",
                                  "12:30:45",
                                  "1e3",
                                  "1.",
                                  ".5",
                                  ".inf",
                                  "-.INF",
                                  ".nan",
                                  "+1",
                                  "2001-01-01",
                                  "2001-12-14t21:59:43.10-05:00",
                                  "=",
                                  "<<",
                                  "!",
                                  "!x",
                                  "&a",
                                  "*a",
                                  "?",
                                  "? a",
                                  "-",
                                  "- a",
                                  ":",
                                  ": a",
                                  "a:",
                                  "a: b",
                                  "a :b",
                                  "a#b",
                                  "a #b",
                                  "#",
                                  "%",
                                  "@",
                                  "`",
                                  "|",
                                  ">",
                                  "[",
                                  "]",
                                  "{",
                                  "}",
                                  ",",
                                  "a, b",
                                  "'",
                                  "\"",
                                  "it's",
                                  "\\",
                                  "\\n",
                                  "a\\",
                                  "---",
                                  "...",
                                  "--- a",
                                  "a\n---\nb\n",
                                  "a\n...\n",
                                  " a",
                                  "a ",
                                  "a\n",
                                  "a\n\n",
                                  "a\n\n\n",
                                  "\na",
                                  "\n\na\n",
                                  "a\nb",
                                  "a\nb\n",
                                  " a\nb\n",
                                  "a\n b\n",
                                  "a\n\n b\n\n",
                                  "a \nb",
                                  "a\n \nb\n",
                                  "a\n ",
                                  "a\n  \n",
                                  "\ta\nb",
                                  "a\n\tb\n",
                                  "a\tb",
                                  "a\r\nb\r\n",
                                  "a\rb",
                                  "\xC2\x85",
                                  "a\n\xC2\x85\n",
                                  "\xE2\x80\xA8 x",
                                  "x\n\xE2\x80\xA9",
                                  "\xEF\xBB\xBFx",
                                  "x\n\xEF\xBF\xBEy\n",
                                  "\x7F",
                                  "\x1b[0m",
                                  "\x01",
                                  "é",
                                  "日本\n語\n",
                                  "😀",
                                  "😀\n😀",
                                  "a\n#b\n",
                                  "#a\nb\n",
                                  "#!/bin/sh\nset -e\n\techo \"$1\" | tr a-z A-Z\n",
                                  "{{ jinja }}",
                                  "key: |\n  text\n",
                                  "%YAML 1.2\n",
                                  "a\n'b'\n\"c\"\n",
                                  std::string(300, 'x'),
                                  std::string(1200, 'k'),
                                  "http://h/a?b=c&d#e",
                                  "10.0.0.1/24",
                                  "fd00::1",
                                  "ssh-ed25519 AAAAC3Nz+/= me@host",
                                  "a: b: c\nd",
                                  "? x\n: y\n",
                                  "  ",
                                  "   \n  x\n"};
  const std::vector<std::string> parts = {
      "\n",  "\n",       "\n\n", " ",  "  ", "\t", "a",           "b c", ":", ": ",
      "#",   " #",       "-",    "- ", "'",  "\"", "\\",          "|",   ">", "é",
      "😀",   "[",        "}",    ",",  "&",  "*",  "!",           "%",   "1", "---",
      "...", "\xC2\x85", "\r",   "~",  "=",  "?",  "\xE2\x80\xA8"};
  std::mt19937 random(20260801);  // NOLINT: the same texts each time
  for (int i = 0; i < 1500; ++i) {
    std::string text;
    for (auto count = random() % 8 + 1; count > 0; --count) text += parts[random() % parts.size()];
    all.push_back(text);
  }
  return all;
}

// Each text where YAML has a place for one: as value and key, at several depths.
YamlNode around(const std::string& text) {
  YamlNode root = make_map();
  put(root, "value", make_string(text));
  YamlNode& list = put(root, "list", make_sequence());
  list.items = {make_string(text), make_sequence(), make_map(), make_sequence()};
  list.items[1].items = {make_string(text), make_string(text)};
  put(list.items[2], "k", make_string(text));
  put(list.items[2], "l", make_string(text));
  YamlNode& inner = put(root, "map", make_map());
  put(inner, text, make_string(text));
  put(inner, text + "2", make_sequence()).items = {make_bool(true), make_string(text)};
  put(root, "end", YamlNode{});
  return root;
}

std::string python(const std::string& program, const std::string& argument) {
  const test::TempDir dir;
  const std::string script = dir.path("check.py");
  std::ofstream(script) << program;
  return test::run("/usr/bin/python3 " + script + " " + argument);
}

TEST(YamlWriter, WritesWhatIsReadBackEqual) {
  const test::TempDir dir;
  YamlNode cases = make_sequence();
  for (const auto& text : nasty()) {
    const YamlNode node = around(text);
    const std::string yaml = write_yaml(node);
    const auto back = parse_foreign_yaml(yaml);
    ASSERT_TRUE(back) << back.error().message() << "\n" << yaml;
    expect_same(node, *back, yaml);
    const std::string json = write_json(node, JsonForm::one_line);
    if (text.size() <= 1000) {  // the longest key that YAML takes without a '?' before it
      const auto from_json = parse_foreign_yaml(json);
      ASSERT_TRUE(from_json) << from_json.error().message() << "\n" << json;
      expect_same(node, *from_json, json);
    }
    YamlNode pair = make_map();
    put(pair, "yaml", make_string(yaml));
    put(pair, "lines", make_string(write_json(node, JsonForm::lines)));
    put(pair, "is", node);
    cases.items.push_back(std::move(pair));
  }
  std::ofstream(dir.path("cases.json")) << write_json(cases, JsonForm::lines);
  const std::string said = python(
      "import json, sys, yaml\n"
      "cases = json.load(open(sys.argv[1]))\n"
      "for case in cases:\n"
      "    assert yaml.safe_load(case['yaml']) == case['is'], case\n"
      "    assert json.loads(case['lines']) == case['is'], case\n"
      "print(len(cases), 'compared')\n",
      dir.path("cases.json"));
  EXPECT_EQ(said, std::to_string(cases.items.size()) + " compared\n");
}

// What somebody else wrote means the same to PyYAML after it was read and written by us.
TEST(YamlWriter, KeepsTheMeaningOfOthersYaml) {
  const std::string texts[] = {
      "package_update: yes\nquoted: \"yes\"\nsingle: 'no'\nmode: 0644\nquoted_mode: '0644'\n"
      "time: 12:30:45\nday: 2001-01-01\nbig: 1_000\nnothing: ~\nempty:\nfloat: 1e3\nhex: 0x1F\n"
      "str: !!str 12\nint: !!int \"12\"\nbin: !!binary aGVsbG8=\nset: !!set {a, b}\non: off\n1: "
      "one\n"
      "~: nothing\n\"off\": quoted\n",
      "a: &x {b: yes, c: [1, two]}\nd: *x\ne: [*x, *x]\nf: &y text\ng: *y\n*y : key\n",
      "base: &base\n  k: 1\n  l: 2\nmerged:\n  <<: *base\n  k: 3\nboth:\n  <<: [*base, {m: 4}]\n",
      "write_files:\n- path: /etc/a\n  content: |\n    line 1\n      line 2\n\n    line 4\n"
      "- {path: /b, content: !!binary aGVsbG8=, permissions: '0755'}\n- content: >\n    folded\n   "
      " text\n\n"
      "    more\n  path: /c\n- content: plain\n    over lines\n\n    and more\n",
      "runcmd:\n- [ sh, -xc, \"echo $(date) ': hello'\" ]\n- echo a:b # comment\n- - deep\n  - - "
      "deeper\n"
      "    - k: v\n      l:\n      - m\n- ''\n- -\n- {a: , b: [c]}\n",
      "? |\n  long key\n: v\n? [x]\n: w\n",
      "url: {a: http://h/x, b: [x:y, -1, --, a-b]}\nq: 'it''s'\nd: \"tab\\t \\u00e9 "
      "\\U0001F600\"\n"};
  int refused = 0;
  for (const auto& text : texts) {
    const auto node = parse_foreign_yaml(text);
    if (!node) {
      ++refused;
      continue;
    }
    const test::TempDir dir;
    std::ofstream(dir.path("before")) << text;
    std::ofstream(dir.path("after")) << write_yaml(*node);
    EXPECT_EQ(
        python(
            "import sys, yaml\n"
            "a, b = (yaml.safe_load(open(sys.argv[1] + name)) for name in ('/before', '/after'))\n"
            "print('same' if repr(a) == repr(b) else (a, b))\n",
            dir.path("")),
        "same\n")
        << write_yaml(*node);
  }
  EXPECT_EQ(refused, 1);  // a list for a key
}

TEST(YamlWriter, BoundsCopiesOfAliases) {
  const auto refused = [](const std::string& text, std::string_view words) {
    const auto node = parse_foreign_yaml(text);
    ASSERT_FALSE(node);
    EXPECT_NE(node.error().message().find(words), std::string::npos) << node.error().message();
  };
  std::string laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'h'; ++name) {
    laughs += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 10; ++i) laughs += std::string(i > 0 ? ", " : "") + "*" + char(name - 1);
    laughs += "]\n";
  }
  refused(laughs, "more than 10000 values");
  std::string long_text = "a: &a \"" + std::string(500'000, 'x') + "\"\n";
  for (int i = 0; i < 4; ++i) long_text += "b" + std::to_string(i) + ": *a\n";
  refused(long_text, "more than 1 MiB");
  std::string deep = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i)
    deep += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
            "]\n";
  refused(deep, "nested deeper than 32 levels");
  refused("a: &a [*a]\n", "an alias inside what it names");
  refused("a: *b\n", "");
  EXPECT_FALSE(parse_yaml("a: &a x\nb: *a\n"));  // ours may have none
}

TEST(YamlWriter, WritesJson) {
  const auto node = parse_foreign_yaml(
      "int: 12\nneg: -0.5e+3\noctal: 0o17\nplus: +1\nlead: 01\nnan: .nan\nyes: yes\nt: True\n"
      "q: 'true'\nn: ~\nl: [[], {}]\n");
  ASSERT_TRUE(node);
  EXPECT_EQ(write_json(*node, JsonForm::one_line),
            R"({"int":12,"neg":-0.5e+3,"octal":"0o17","plus":"+1","lead":"01","nan":".nan",)"
            R"("yes":"yes","t":true,"q":"true","n":null,"l":[[],{}]})");
}

}  // namespace
}  // namespace ingot::agent
