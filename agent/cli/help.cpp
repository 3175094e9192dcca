#include "agent/cli/help.hpp"

namespace ingot::agent {

const std::string_view kAbout =
    "ingot writes operating-system images onto disks while they arrive: one pass, verified, in\n"
    "constant memory. Nothing on the disk boots before every byte has been checked.";

const std::string_view kTopFooter = R"(
Examples:
  ingot write --osimage ubuntu.yaml --device /dev/sda
  ingot image-info https://example.org/debian-12.qcow2
  ingot devices
  ingot resolve --catalog images/ --machine machine.yaml --explain
  ingot provision --from http://192.0.2.1:8080/v1/provision
  ingot agent --api-url http://192.0.2.1:6385
  ingot write --help

Exit codes:
  0    done: verified and committed
  1    internal: a bug in ingot
  2    usage: a bad option or manifest; nothing was touched
  3    source: the image could not be fetched
  4    checksum: it was fetched and is not the image that was asked for
  5    image: malformed, unsupported or hostile
  6    device: refused (missing, mounted, in use, read-only, too small, wrong sector size)
  7    write: the device failed
  8    controller: it, or Ironic, could not be reached, or said no
  9    access: the user or team may not use this OSImage
  130  cancelled by SIGINT, SIGTERM or SIGHUP; a disk that was touched does not boot)";

const std::string_view kManual = R"(
Environment:
  http_proxy, https_proxy, all_proxy, no_proxy  proxies for the network, unless `--proxy` or
      `--no-proxy` says otherwise
  KUBECONFIG  the kubeconfig files of `--catalog kubeconfig:`, unless `--kubeconfig` names one
  NO_COLOR  no colours on the terminal
  INGOT_RAMDISK  set to 1 for process 1, it says that this system is a RAM disk, which may be
      switched off and whose disks are not asked about
  SYSTEMD_IN_INITRD  the same, as systemd says it

Files:
  /proc/cmdline  the kernel command line that `ingot provision` and `ingot agent` read
  /run/ingot  what they keep for a restart: results that wait, token, key and certificate
  /etc/ironic-python-agent/ironic-python-agent.conf, /etc/ironic-python-agent.d/*.conf  read by
      `ingot agent`
  /usr/share/doc/ingot/docs/  where Debian's packages have the documents that these pages name

See also:
  ingot-controller(8)
  qemu-img(1)
  cloud-init(1)
)";

const std::string_view kWriteAbout =
    "Writes an image from a URL onto a disk, in one pass: receive, verify, decompress, decode,\n"
    "write. The disk's first and last MiB are zeroed first and written last, after the checksum\n"
    "has matched and everything else is on the disk.";

const std::string_view kWriteFooter = R"(
Examples:
  Ubuntu's own cloud image, checked against Ubuntu's list of checksums:
    ingot write --device /dev/sdX \
      --image-url https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img \
      --image-checksum https://cloud-images.ubuntu.com/noble/current/SHA256SUMS
  What an OSImage manifest names, without asking, with progress for a program:
    ingot write --osimage image.yaml --device /dev/nvme0n1 --yes --progress json
  An image in a registry, which knows its digest (docs/registries.md):
    ingot write --image-url oci://registry.example/images/debian:12 --device /dev/sdX
  A rehearsal: fetch, verify and decode everything, write nothing:
    ingot write --osimage image.yaml --device /dev/sdX --dry-run
  With cloud-init's user data on a config drive:
    ingot write --osimage image.yaml --device /dev/sdX --user-data user-data.yaml
  A disk image file instead of a disk:
    ingot write --osimage image.yaml --device disk.raw --size 20G

The image:
  http, https and file URLs. Compression (gzip, xz, zstd, bzip2, lz4, and a tar that holds one
  image) and format are found by content. The checksum is of the file as it is served; in a
  checksum file, the line that names the image's path counts before one that names only the file.

Events (--progress json on standard output, --report-url by POST as CloudEvents):
  started, phase, progress, retry, note, and a result as the last one, whatever happens.
  docs/events.md describes them.

Memory:
  --memory-limit is shared out as 1/4 receive buffers, 3/8 write buffers, 3/8 for stretches of an
  image that cannot be placed yet. The program itself and decompression windows come on top.

Environment:
  http_proxy, https_proxy, all_proxy, no_proxy   unless --proxy or --no-proxy says otherwise
  NO_COLOR                                       no colours on the terminal

Exit codes:
  0 done   1 internal   2 usage   3 source   4 checksum   5 image   6 device   7 write
  130 cancelled. `ingot --help` says more, docs/errors.md everything.)";

const std::string_view kVerifyAbout =
    "Compares a disk with an image, which is streamed once more. The disk is only read. What\n"
    "`ingot write` changed on purpose is no difference: the GPT moved to the disk's end, the "
    "config\n"
    "drive and its partition.";

const std::string_view kVerifyFooter = R"(
Examples:
  ingot verify --osimage image.yaml --device /dev/sda
  ingot verify --device disk.raw --image-url https://example.org/debian-12.qcow2 \
    --image-checksum https://example.org/SHA256SUMS

What is told of the first difference: its byte, sector and partition, and how many bytes differ.
docs/verify.md says what is compared and what is not.

Exit codes:
  0 the disk holds the image   7 it does not, or cannot be read   2 usage   3 source
  4 checksum: with another image there is nothing to compare   5 image   6 device   130 cancelled)";

const std::string_view kEraseAbout =
    "Takes what is on a disk away: only what makes others recognise it, or all of it. The same\n"
    "guards as for `ingot write` hold: nothing that is in use, never the running system's disk.";

const std::string_view kEraseFooter = R"(
Methods:
  metadata  every signature and table, and both ends, of the disk and of its partitions: nothing is
            recognised any more. Seconds; the data itself stays where it was
  discard   metadata, and the device is told that no block is needed: no guarantee of erasure
  zero      zeros everywhere, and read back in samples
  secure    the disk's own: NVMe format or sanitize, ATA security erase (nvme-cli, hdparm)

Examples:
  What is there, with the byte of each signature:
    ingot erase --device /dev/sdX --method metadata --dry-run
  Without asking, with progress for a program:
    ingot erase --device /dev/nvme0n1 --method secure --yes --progress json

docs/erase.md says what each method guarantees, and what it does not.

Exit codes:
  0 erased   2 usage   6 device: refused, or it has no such method   7 the device failed
  130 cancelled)";

const std::string_view kInfoAbout =
    "Says what an image is, from its headers: format, sizes, compression, partition table, and\n"
    "whether it can be streamed in one pass. Writes nothing and needs no privileges.";

const std::string_view kInfoFooter = R"(
Examples:
  ingot image-info debian-12.qcow2
  ingot image-info https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img
  ingot image-info -o json image.raw.zst

Exit codes:
  0 done   2 usage   3 the image could not be read   5 no image, or a malformed one)";

const std::string_view kDevicesAbout =
    "Lists this machine's disks: size, kind, model, serial number, what is on them and what uses\n"
    "them. Disks are only read; without root the table and some users of a disk stay unknown.";

const std::string_view kDevicesFooter = R"(
Examples:
  ingot devices
  ingot devices -o json /dev/sda /dev/loop0
  ingot devices --root-device-hints '{"size": ">= 400", "rotational": false}'
  ingot devices --root-device-hints '{}'         the disk that is chosen without hints

The disks are those that Ironic's agent sees, in its order. Loop, network block, LVM and LUKS
devices are looked at only when they are named. docs/devices.md describes the JSON,
docs/root-device-hints.md the hints.

Exit codes:
  0 done (no disks at all is no error)   2 usage
  6 a named device is missing or no whole disk, or the hints choose no disk)";

const std::string_view kResolveAbout =
    "Says what a machine would become: its properties, merged from NodeProvider, NodeType,\n"
    "NodeEnvironment and Machine, and every name in them looked up in a catalog of OSImages and\n"
    "SSHKeys. Reads files, or asks a Kubernetes API server, and touches nothing.";

const std::string_view kResolveFooter = R"(
Examples:
  What a machine becomes, and why:
    ingot resolve --catalog images/ --node-provider provider.yaml --machine machine.yaml --explain
  One of the provider's node types, without a machine:
    ingot resolve --catalog images/ --node-provider provider.yaml --node-type large
  Whether somebody may use an image:
    ingot resolve --catalog images/ --osimage ubuntu-noble --user alice --team research
  The same with the images that a cluster has (docs/kubernetes.md):
    ingot resolve --catalog kubeconfig: --osimage ubuntu-noble
  For people who script Metal3, or Ironic:
    ingot resolve --catalog images/ --machine machine.yaml --for metal3 | kubectl apply -f -
    ingot resolve --catalog images/ --machine machine.yaml --for ironic -o json

What wins:
  NodeProvider, NodeType, NodeEnvironment, Machine: the later. The OSImage's own properties come
  underneath all of them. docs/resolution.md has the whole order, and every property.

Secrets:
  User data is printed in the request, which needs it; never in a message or an explanation.

Exit codes:
  0 resolved   2 usage: a manifest, a name or a value is wrong
  8 the API server could not be asked, or refuses   9 access: the user may not use it)";

const std::string_view kProvisionAbout =
    "A machine installs itself: asks a URL what it is to become, writes that, reports how it "
    "goes,\n"
    "and reboots. In a RAM disk everything comes from the kernel command line, and nothing but an\n"
    "installed system ends it; on a host it is for a systemd unit of type oneshot.";

const std::string_view kProvisionFooter = R"(
Examples:
  In the RAM disk, with everything on the kernel command line (ingot.from=…):
    ingot provision
  On a host whose second disk is to be written, without asking:
    ingot provision --from http://192.0.2.1:8080/v1/provision --device /dev/sdb --yes
  Against a test server, with a loop device as the only disk there is:
    ingot provision --from http://127.0.0.1:8080/${uuid}.yaml --only-device /dev/loop0 \
      --root-device-hints '{"size": ">= 1"}' --yes --power exit --run-dir /tmp/provision

The request:
  --from is http, https or file. ${net0/mac}, ${mac:hexhyp}, ${uuid}, ${serial}, ${hostname} and
  __dmi.system-uuid__ are replaced by what this machine is; without any, mac, uuid and serial are
  sent as query parameters. What comes back is a DeployRequest or an OSImage, as YAML or JSON; 204
  says that there is nothing to do, 404 that the machine is not known yet.

Kernel command line:
  ingot.from=URL ingot.token-file=FILE, or ingot.image-url=URL ingot.image-checksum=SUM|URL
  ingot.device=DEV or ingot.root-device-hints=serial=S1, ingot.report-url=URL,
  ingot.on-success=reboot|poweroff|kexec|none, ingot.retry=forever|never|TIME, …
  docs/provisioning.md lists them all. An ingot.…= that is not known is an error.

Disks:
  In a RAM disk (/etc/initrd-release is there, or process 1 has INGOT_RAMDISK=1 or
  SYSTEMD_IN_INITRD=1) nobody is asked. Elsewhere a disk needs --yes or
  a typed confirmation, and one that is in use is refused.

Exit codes:
  0 done, or nothing to do   1 internal   2 usage: options, request   3 source   4 checksum
  5 image   6 device   7 write   8 the server could not be reached, refused, or has nothing for this
  machine   130 cancelled. docs/errors.md says everything.)";

const std::string_view kAgentAbout =
    "The Ironic agent: runs in the RAM disk that Ironic or Metal3 boots, looks its node up, and "
    "does\n"
    "what the conductor orders: cleans disks, writes images, says how far it is. Ironic cannot "
    "tell\n"
    "it from ironic-python-agent.";

const std::string_view kAgentFooter = R"(
Examples:
  In the RAM disk, with everything on the kernel command line (ipa-api-url=…):
    ingot agent
  Against a test Ironic, with a loop device as the node's only disk:
    ingot agent --api-url http://127.0.0.1:6385 --listen 127.0.0.1:9999 --advertise-host 127.0.0.1 \
      --mac 52:54:00:aa:00:01 --only-device /dev/loop0 --power exit --run-dir /tmp/agent

Parameters:
  Kernel command line, then config file, then options; the later counts. The names are those of
  ironic-python-agent: ipa-api-url, ipa-insecure, ipa-agent-token, … docs/agent.md lists them.

Disks:
  Which one is written, the node's root device hints say; `ingot devices --root-device-hints` shows
  what they choose. A disk that the running system needs is refused, whatever the conductor says.

Power:
  The machine is only switched off where ingot.allow-power=1 is on the kernel command line, or
  in a RAM disk: /etc/initrd-release is there, or process 1 was started with INGOT_RAMDISK=1 or
  SYSTEMD_IN_INITRD=1.

Ends:
  When the machine is switched off (0 with --power exit), or by SIGINT, SIGTERM or SIGHUP (130); a
  disk that was being written then does not boot. It ends with 2 if it cannot start (options, no
  URL, an address or port in use), with 8 if no node was found or Ironic refused.)";

}  // namespace ingot::agent
