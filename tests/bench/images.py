"""The images that the benchmarks use, made once and kept."""
import os
import subprocess

import lab

MAKE = os.path.join(lab.HERE, "..", "demo", "make-debian-image")


def debian():
    """The big Debian image: (compressed qcow2, its sha256, the raw image it was made from)."""
    qcow2 = lab.sh(MAKE, "--variant", "big")
    with open(qcow2 + ".sha256", encoding="ascii") as file:
        return qcow2, file.read().split()[0], qcow2.removesuffix(".qcow2") + ".raw"


def _kept(directory, name, make, source=None):
    """The image `name`, made when it is not there or older than the image it is made from."""
    path = os.path.join(directory, name)
    if not os.path.exists(path) or (source and os.path.getmtime(path) < os.path.getmtime(source)):
        make(path + ".part")
        os.rename(path + ".part", path)
    return path


def _zstd(raw, path):
    lab.sh("zstd", "-q", "-f", "-3", "-T0", raw, "-o", path)


def qemu_io(path, commands):
    subprocess.run(["qemu-io", "-f", "qcow2", path], input="".join(line + "\n" for line in commands), text=True,
                   stdout=subprocess.DEVNULL, check=True)


def _sparse_1tib(path):
    """1 TiB virtual with a little data everywhere: 2048 clusters, each under an L2 table of its own."""
    lab.sh("qemu-img", "create", "-q", "-f", "qcow2", path, "1T")
    qemu_io(path, (f"write -q -P {1 + at % 255} {at * 512}M 64k" for at in range(2048)))


def _mapped_1tib(path):
    """1 TiB virtual whose every cluster has an L2 entry (all of them zero clusters): 128 MiB of tables."""
    lab.sh("qemu-img", "create", "-q", "-f", "qcow2", path, "1T")
    qemu_io(path, (f"write -q -z {at}G 1G" for at in range(1024)))


def _random(path):
    """An image file of several GiB: data that nothing can shrink, in an uncompressed qcow2."""
    plain = path + ".raw"
    gib = 3.25
    subprocess.run(f"head -c {int(gib * 2**30)} /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00112233445566778899aabbccddeeff "
                   f"-iv 00000000000000000000000000000000 > '{plain}'", shell=True, check=True)
    lab.sh("qemu-img", "convert", "-f", "raw", "-O", "qcow2", plain, path)
    os.unlink(plain)


def _grown(raw, path):
    """Compressed, then grown: the L1 table has to move to the file's end, behind all data."""
    lab.sh("qemu-img", "convert", "-c", "-W", "-O", "qcow2", "-o", "cluster_size=4k", raw, path)
    lab.sh("qemu-img", "resize", "-q", path, "+4G")


def _qcow2(*options):
    def make(raw, path):
        lab.sh("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, path)
    return make


def _grown_zlib(raw, path):
    """Compressed, then grown, which moves the L1 table to the file's end, behind all data; and made as small as the disk
    again, which leaves the table where it is."""
    lab.sh("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, path)
    lab.sh("qemu-img", "resize", "-q", path, "+4G")
    lab.sh("qemu-img", "resize", "-q", "--shrink", path, str(os.path.getsize(raw)))


def _gzip(raw, path):
    with open(path, "wb") as out:
        subprocess.run(["gzip", "-6", "-c", raw], stdout=out, check=True)


def races(directory, debian_qcow2, debian_raw):
    """Key → (file that is served, its sha256, the raw image it is of). What does not stand in `directory` yet is made there."""
    made = {"zlib": debian_qcow2, "raw": debian_raw}
    for key, name, make in (("zstd", "debian-12-big.zstd.qcow2", _qcow2("-c", "-o", "compression_type=zstd")),
                            ("plain", "debian-12-big.plain.qcow2", _qcow2()),
                            ("grown", "debian-12-big.grown.qcow2", _grown_zlib),
                            ("raw.zst", "debian-12-big.raw.zst", _zstd), ("raw.gz", "debian-12-big.raw.gz", _gzip)):
        made[key] = _kept(directory, name, lambda path, make=make: make(debian_raw, path), debian_raw)
    return {key: (path, lab.sh("sha256sum", path).split()[0], debian_raw) for key, path in made.items()}


def memory_cases(directory, debian_qcow2, debian_raw):
    """Name → (file that is served, the image to compare with, that one's format). What does not stand in `directory`
    yet is made there."""
    def case(path):
        return path, path, "qcow2"

    return {
        "qcow2, compressed": (debian_qcow2, debian_raw, "raw"),
        "qcow2, compressed, 4 KiB clusters, grown": case(
            _kept(directory, "grown.qcow2", lambda path: _grown(debian_raw, path), debian_raw)),
        "raw": (debian_raw, debian_raw, "raw"),
        "raw in zstd": (_kept(directory, "debian-12-big.raw.zst", lambda path: _zstd(debian_raw, path), debian_raw),
                        debian_raw, "raw"),
        "qcow2, 3.25 GiB of random data": case(_kept(directory, "random.qcow2", _random)),
        "qcow2, 1 TiB virtual, sparse": case(_kept(directory, "sparse-1tib.qcow2", _sparse_1tib)),
        "qcow2, 1 TiB virtual, every cluster mapped": case(_kept(directory, "mapped-1tib.qcow2", _mapped_1tib)),
    }
