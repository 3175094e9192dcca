// User data with SSH keys put into it: what cloud-init itself, of Debian, makes of it.
#include "agent/resolution/user_data.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/command.hpp"

namespace ingot::agent {
namespace {

constexpr const char* kA = "ssh-ed25519 AAAAa a@here";
constexpr const char* kB = "ssh-rsa AAAAb b";

// Runs cloud-init's own parser, part handlers and merging, and prints the parts that it found and
// the configuration they come to. Jinja templates are rendered with its own data.
constexpr std::string_view kProgram = R"(
import json, sys, tempfile, os, logging
from cloudinit import handlers, helpers, user_data, util
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
from cloudinit.handlers.jinja_template import JinjaTemplatePartHandler
where = tempfile.mkdtemp()
paths = helpers.Paths({'cloud_dir': where, 'run_dir': where})
paths.get_ipath = lambda name=None: os.path.join(where, 'out')
with open(os.path.join(where, 'instance-data-sensitive.json'), 'w') as data:
    json.dump({'v1': {'local_hostname': 'worker'}}, data)
with open(sys.argv[1], 'rb') as file:
    message = user_data.UserDataProcessor(paths).process(file.read())
config = CloudConfigPartHandler(paths)
jinja = JinjaTemplatePartHandler(paths, sub_handlers=[config])
kinds, scripts = [], []
def part(type_, name, payload, headers):
    kinds.append(type_)
    text = util.decode_binary(payload)
    if type_ == 'text/x-shellscript':
        scripts.append(text)
    for handler in (config, jinja):
        if type_ in [handlers.INCLUSION_TYPES_MAP[p] for p in handler.prefixes]:
            handler.handle_part(None, type_, name, text, None, headers)
config.handle_part(None, handlers.CONTENT_START, None, None, None, None)
handlers.walk(message, lambda data, name, payload, headers: part(headers['Content-Type'].split(';')[0], name, payload, headers), data={})
config.handle_part(None, handlers.CONTENT_END, None, None, None, None)
merged = util.load_yaml(open(os.path.join(where, 'out')).read()) if os.path.getsize(os.path.join(where, 'out')) else {}
(merged or {}).pop('merge_how', None)
print(json.dumps({'config': merged, 'kinds': [k for k in kinds if k.startswith('text/')], 'scripts': scripts}, sort_keys=True, ensure_ascii=False))
)";

std::string cloud_init(const std::string& text) {
  const test::TempDir dir;
  std::ofstream(dir.path("program.py")) << kProgram;
  std::ofstream(dir.path("user-data")) << text;
  return test::run("/usr/bin/python3 " + dir.path("program.py") + " " + dir.path("user-data"));
}

std::string merged(const std::string& text, const std::vector<std::string>& keys = {kA, kB}) {
  const auto data = with_ssh_keys(text, keys);
  if (!data) return "error: " + data.error().message();
  return cloud_init(data->text);
}

TEST(UserData, OfACloudConfigStaysOne) {
  EXPECT_EQ(
      merged(""),
      R"({"config": {"ssh_authorized_keys": ["ssh-ed25519 AAAAa a@here", "ssh-rsa AAAAb b"]}, )"
      R"("kinds": ["text/cloud-config"], "scripts": []})"
      "\n");
  // The user's own first; the same key is there once, whatever its comment; a boolean stays one, a
  // string too; a key with options is another one.
  EXPECT_EQ(
      merged("\n#Cloud-Config\npackage_update: yes\nanswer: \"yes\"\nmode: 0644\n# a comment\n"
             "ssh_authorized_keys:\n  - ssh-rsa AAAAb other comment\n"
             "  - 'from=\"10.0.0.1\" ssh-ed25519 AAAAa'\nruncmd: &r [[echo, \"é: #\"]]\nbootcmd: "
             "*r\n"),
      R"({"config": {"answer": "yes", "bootcmd": [["echo", "é: #"]], "mode": 420, )"
      R"("package_update": true, "runcmd": [["echo", "é: #"]], "ssh_authorized_keys": )"
      R"(["ssh-rsa AAAAb other comment", "from=\"10.0.0.1\" ssh-ed25519 AAAAa", )"
      R"("ssh-ed25519 AAAAa a@here"]}, "kinds": ["text/cloud-config"], "scripts": []})"
      "\n");
  // Merged in by "<<", and not lost; nothing but a comment; a mail in a file.
  EXPECT_EQ(merged("#cloud-config\nx: &x {ssh_authorized_keys: [own k]}\n<<: *x\n", {kA}),
            R"({"config": {"ssh_authorized_keys": ["own k", "ssh-ed25519 AAAAa a@here"], )"
            R"("x": {"ssh_authorized_keys": ["own k"]}}, "kinds": ["text/cloud-config"], )"
            R"("scripts": []})"
            "\n");
  EXPECT_NE(merged("#cloud-config\n# nothing\n").find(R"(["ssh-ed25519 AAAAa a@here")"),
            std::string::npos);
  EXPECT_NE(merged("#cloud-config\nwrite_files:\n- {path: /m, content: \"MIME-Version: 1.0\\n\"}\n")
                .find(R"("content": "MIME-Version: 1.0\n")"),
            std::string::npos);
  // As many empty lines at the very end as there are.
  EXPECT_NE(merged("#cloud-config\nfinal_message: |+\n  x\n\n").find(R"("x\n\n")"),
            std::string::npos);
  const auto headless = with_ssh_keys("package_update: true\n", {});
  ASSERT_TRUE(headless);
  EXPECT_EQ(headless->text, "#cloud-config\npackage_update: true\n");
  EXPECT_EQ(headless->remarks.size(), 1U);
  EXPECT_NE(merged("package_update: true\n").find(R"("package_update": true)"), std::string::npos);
}

TEST(UserData, OfAnotherFormBecomesAPart) {
  constexpr const char* kBoth = R"({"ssh_authorized_keys": ["ssh-ed25519 AAAAa a@here", )"
                                R"("ssh-rsa AAAAb b"]})";
  const auto expect = [](const std::string& said, const std::string& part) {
    EXPECT_NE(said.find(part), std::string::npos) << said << "\nwanted " << part;
  };
  for (const std::string script :
       {"#!/bin/sh\necho hello\n", "#!/bin/sh\necho é\n--===ingot-0===\n"}) {
    const std::string said = merged(script);
    expect(said, std::string(R"({"config": )") + kBoth);
    expect(said, R"("kinds": ["text/x-shellscript", "text/cloud-config"])");
    expect(said, script.find("é") == std::string::npos
                     ? R"(["#!/bin/sh\necho hello\n"])"
                     : R"(["#!/bin/sh\necho é\n--===ingot-0===\n"])");
  }
  // A template, whose own keys stay.
  const std::string jinja = merged(
      "## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n"
      "ssh_authorized_keys: [own k]\n",
      {kA});
  expect(jinja, R"("hostname": "worker")");
  expect(jinja, R"("ssh_authorized_keys": ["own k", "ssh-ed25519 AAAAa a@here"])");
  // A message of its own parts, as cloud-init's make-mime writes it.
  const std::string mime = merged(
      "From nobody\nContent-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n"
      "Content-Type: text/cloud-config; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n"
      "#cloud-config\npackage_update: true\nssh_authorized_keys: [own k]\n--b\n"
      "Content-Type: text/x-shellscript\nMIME-Version: 1.0\n\n#!/bin/sh\ntrue\n--b--\n",
      {kA});
  expect(mime, R"({"config": {"package_update": true, "ssh_authorized_keys": ["own k", )"
               R"("ssh-ed25519 AAAAa a@here"]})");
  expect(mime, R"("scripts": ["#!/bin/sh\ntrue"])");
  expect(merged("#cloud-config-archive\n- {type: text/cloud-config, content: \"a: 1\\n\"}\n"),
         R"("a": 1)");
}

TEST(UserData, WithoutKeysIsLeftAlone) {
  for (const std::string text : {"", "#!/bin/sh\n", "#cloud-config\n a: [broken\n", "\r\n"}) {
    const auto data = with_ssh_keys(text, {});
    ASSERT_TRUE(data);
    EXPECT_EQ(data->text, text);
  }
}

TEST(UserData, IsRefusedWithoutQuotingIt) {
  for (const auto* text :
       {"#cloud-config\npassword: hunter2\npassword: hunter2\n", "#cloud-config\n- hunter2\n",
        "#cloud-config\nssh_authorized_keys: hunter2\n", "#cloud-config\na: [hunter2\n",
        "#cloud-config\nhunter2: &hunter2 [*hunter2]\n", "#cloud-config\na: *hunter2\n",
        "#cloud-config\nssh_authorized_keys: [{hunter2: hunter2}]\n",
        R"({"ignition": {"version": "3.4.0"}, "x": "hunter2"})"}) {
    const auto data = with_ssh_keys(text, {kA});
    ASSERT_FALSE(data) << text;
    EXPECT_EQ(data.error().code(), Errc::usage_manifest);
    EXPECT_EQ(data.error().message().find("hunter2"), std::string::npos) << data.error().message();
  }
}

TEST(UserData, SaysWhenNobodyGetsTheKeys) {
  const auto remarks = [](const std::string& users) {
    return with_ssh_keys("#cloud-config\nusers: " + users + "\n", {kA})->remarks.size();
  };
  EXPECT_EQ(remarks("[{name: me}]"), 1U);
  EXPECT_EQ(remarks("[default, {name: me}]"), 0U);
  EXPECT_EQ(remarks("[{name: default}]"), 0U);
}

}  // namespace
}  // namespace ingot::agent
