// Fuzz target: what inspection reads of others: a switch's LLDP frame, the firmware's table, a
// BMC's answers, and logs from which secrets have to go.
#include <cstdlib>
#include <span>
#include <string>

#include "agent/ironic/lldp.hpp"
#include "agent/ironic/log_redaction.hpp"
#include "agent/machine/bmc.hpp"
#include "agent/machine/dmi.hpp"
#include "agent/machine/kernel_text.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace ingot;  // NOLINT: a test program of its own

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(data, size);
  const std::string text(reinterpret_cast<const char*>(data), size);

  if (const auto tlvs = agent::parse_lldp_frame(std::as_bytes(bytes))) {
    std::size_t sum = 14;
    for (const auto& tlv : *tlvs) sum += 2 + tlv.value.size();
    if (tlvs->size() < 3 || tlvs->size() > 256 || sum > size) std::abort();
  }

  const auto table = agent::parse_dmi(text);
  static_cast<void>(agent::memory_devices_mib(table));
  const std::string version = agent::processor_version(table);
  if (agent::clean_text(version) != version) std::abort();

  static_cast<void>(agent::lan_ipv4(bytes));
  static_cast<void>(agent::lan_mac(bytes));
  static_cast<void>(agent::lan_ipv6(bytes, size % 2 == 0));

  const std::string cleaned = agent::clean_text(text);
  if (agent::clean_text(cleaned) != cleaned || cleaned.size() > size) std::abort();

  const std::string secret = "hunter22";
  const std::string redacted = agent::redact_log(text, {secret, "22hunter22"});
  if (redacted.find(secret) != std::string::npos) std::abort();
  return 0;
}

std::vector<fuzz::Input> fuzz::seeds() {
  using namespace std::string_literals;
  const std::string frame =
      "\x01\x80\xc2\0\0\x0e\x52\x54\0\0\0\1\x88\xcc\x02\x07\x04\x52\x54\0\0\0\1\x04\x03\x05\x65\x31"
      "\x06\x02\0\x78\x0a\x06switch\0\0"s;
  std::string device = "\x11\x28\x01\x11"s + std::string(0x24, '\0');
  device[0x0D] = 0x40;
  std::vector<Input> inputs;
  for (
      const std::string& text :
      {frame,
       device + "DIMM A1\0\0"s + "\x04\x14\x01\x04"s + std::string(12, '\0') + "\1\0\0\0CPU\0\0"s,
       "a hunter22hunter22 b 22hunter22 https://user:hunter22@host/x?sig=hunter22\n"s,
       "ipa-agent-token=abc agent_token=x&y {\"agent_token\": \"x\"} \\\"agent_token\\\": \\\"y\\\"\n"s,
       std::string(76, 'Q') + "\n" + std::string(76, 'Q') + "\\n" + std::string(76, 'Q') +
           "\r\n  " + std::string(76, 'Q') + "\nQ=\" end"})
    inputs.emplace_back(text.begin(), text.end());
  return inputs;
}
