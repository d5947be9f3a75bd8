"""EC2 instance types and what they cost on demand.

The types are what EC2's DescribeInstanceTypes answered, as the package `moto` republishes it. Types that EC2 no longer
describes still run in some accounts and stand in older releases of the package; they are taken from there.
"""

import gzip
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path

from .packages import fetch, number

MOTO = "5.2.5"
# Older releases, the newest first: a type is taken from the first that has it.
MOTO_RETIRED = ("5.0.0", "4.0.1")
KARPENTER = "github.com/aws/karpenter-provider-aws"
KARPENTER_VERSION = "v1.15.1"

COLUMNS = ["name", "vcpus", "threads_per_core", "memory_mib", "arch", "maker", "metal", "accelerator", "accelerators",
           "accelerator_mib", "neuron_cores", "ssd_gb", "hdd_gb", "network_gbps", "source", "year", "licence"]

# EC2's name of a device, and where one name is two devices its memory in MiB, to our row in accelerator.csv.
DEVICES = {
    "K80": "nvidia-k80", "K520": "nvidia-k520", "M60": "nvidia-m60", "T4": "nvidia-t4", "T4g": "nvidia-t4g",
    ("V100", 16384): "nvidia-v100-sxm2-16gb", ("V100", 32768): "nvidia-v100-sxm3-32gb",
    ("A100", 40960): "nvidia-a100-sxm4-40gb", ("A100", 81920): "nvidia-a100-sxm4-80gb",
    "A10G": "nvidia-a10g", "L4": "nvidia-l4", "L40S": "nvidia-l40s", "H100": "nvidia-h100-sxm",
    "H200": "nvidia-h200-sxm", "B200": "nvidia-b200-sxm", "B300": "nvidia-b300-sxm",
    "RTX PRO 4500": "nvidia-rtx-pro-4500",
    "RTX PRO Server 6000": "nvidia-rtx-pro-6000", "Radeon Pro V520": "amd-v520", "Gaudi HL-205": "intel-gaudi",
    "Inferentia": "aws-inferentia", "Inferentia2": "aws-inferentia2", "Trainium": "aws-trainium",
    "Trainium2": "aws-trainium2", "Qualcomm AI100": "qualcomm-ai100", "U30": "xilinx-u30",
    "Virtex UltraScale (VU9P)": "xilinx-vu9p", "Virtex UltraScale+ (VU47P)": "xilinx-vu47p",
}

# EC2 says 512 GiB for one Trainium2, which is five times what the Neuron documentation says: 1,536 GiB for sixteen.
DEVICE_MIB = {"Trainium2": 98304}

# EC2 says one thread for each core where the oldest hypervisor showed threads as cores: those processors multithread,
# and the guest got threads. T2 is left as it is: its documentation says that a vCPU is no thread there. And EC2 says
# two for the first Mac with Apple silicon, whose eight cores do not multithread.
THREADS = {"c1": 2, "m1": 2, "m2": 2, "m3": 2, "t1": 2, "mac2": 1}

# EC2's words for early networks; the figures are what users measured, to the nearest power of ten.
NETWORK_WORDS = {"Very Low": 0.1, "Low": 0.3, "Low to Moderate": 0.5, "Moderate": 0.7, "High": 1.0}

# What EC2 describes only to those who have reserved it, or described before the package existed: vCPUs, threads of a
# core, MiB, architecture, maker, accelerator, count, MiB of all, Neuron cores, SSD GB, HDD GB, Gbit/s, source, year.
BY_HAND = {
    "cr1.8xlarge": (32, 2, 249856, "x86_64", "Intel", "", 0, 0, 0, 240, 0, 10,
                    "aws.amazon.com/ec2/previous-generations", 2026),
    "hs1.8xlarge": (16, 2, 119808, "x86_64", "Intel", "", 0, 0, 0, 0, 48000, 10,
                    "aws.amazon.com/ec2/previous-generations", 2026),
    "p6e-gb200.36xlarge": (144, 1, 983040, "arm64", "NVIDIA", "nvidia-gb200", 4, 757760, 0, 22500, 0, 1600,
                           "aws.amazon.com/ec2/instance-types/p6: u-p6e-gb200x72 / 18", 2026),
    "trn3.48xlarge": (192, 2, 2097152, "unknown", "unknown", "aws-trainium3", 16, 2359296, 128, 0, 0, 3200,
                      "awsdocs-neuron trn3-arch: Gen1 UltraServer / 4", 2026),
}
# What the newest release describes without its devices.
NEURON_MISSING = {"trn2u.48xlarge": ("Trainium2", 16, 8)}


def ec2_instance(work):
    releases = {MOTO: json.loads(gzip.decompress(
        fetch("pip", "moto", MOTO, work)["moto/ec2/resources/instance_types.json.gz"]))}
    for version in MOTO_RETIRED:
        releases[version] = json.loads(fetch("pip", "moto", version, work)["moto/ec2/resources/instance_types.json"])
    rows = {}
    for version, types in releases.items():
        for name in types.keys() - rows.keys():
            rows[name] = [name, *described(name, types[name]), f"moto {version}", "2026" if version == MOTO else "2024",
                          "Apache-2.0"]
    for name, facts in BY_HAND.items():
        assert name not in rows, f"{name} is described now: take it out of BY_HAND"
        before, (device, *behind) = [str(fact) for fact in facts[:5]], [str(fact) for fact in facts[5:]]
        rows[name] = [name, *before, "0", device, *behind, "public-fact"]
    return f"""# table: ec2_instance
# version: 2026.11
# built-by: tools/build_data.py from PyPI moto {MOTO} (types that EC2 no longer describes: {", ".join(MOTO_RETIRED)})
# attribution: EC2's own description of its instance types, as moto (Apache-2.0, Steve Pulec and contributors) carries it
# note: accelerators may be a part of one: g6f.large has an eighth of an L4. accelerator_mib is the memory of all of them
# note: corrected: the memory of Trainium2 (EC2 says 512 GiB, it is 96); the devices of {", ".join(NEURON_MISSING)}, which it omits
# note: corrected: threads_per_core where the hypervisor showed threads as cores: {", ".join(THREADS)}
""", COLUMNS, [rows[name] for name in sorted(rows)]


def described(name, about):
    family = name.split(".")[0]
    vcpus = about["VCpuInfo"]["DefaultVCpus"]
    cores = about["VCpuInfo"].get("DefaultCores", vcpus)
    threads = THREADS.get(family, vcpus // cores)
    processor = about["ProcessorInfo"]
    arch = next(a for a in processor["SupportedArchitectures"] if a != "i386").removesuffix("_mac")
    device, count, mib, neuron_cores = accelerator(name, about)
    disks = (about.get("InstanceStorageInfo") or {}).get("Disks", [])
    gigabytes = {kind: sum(d["Count"] * d["SizeInGB"] for d in disks if d["Type"] == kind) for kind in ("ssd", "hdd")}
    assert sum(gigabytes.values()) == sum(d["Count"] * d["SizeInGB"] for d in disks), f"{name}: another kind of disk"
    maker = processor.get("Manufacturer", "Intel")
    return [str(vcpus), str(threads), str(about["MemoryInfo"]["SizeInMiB"]), arch, maker,
            "1" if about["BareMetal"] else "0", device, number(count), str(mib), str(neuron_cores),
            str(gigabytes["ssd"]), str(gigabytes["hdd"]), network(about["NetworkInfo"]["NetworkPerformance"])]


def accelerator(name, about):
    """(our key, count, MiB of all, Neuron cores). No instance has two kinds."""
    if name in NEURON_MISSING:
        theirs, count, cores = NEURON_MISSING[name]
        return DEVICES[theirs], count, count * DEVICE_MIB[theirs], count * cores
    # Inferentia stands in NeuronInfo and again in InferenceAcceleratorInfo, so the order matters.
    for info, devices in (("GpuInfo", "Gpus"), ("NeuronInfo", "NeuronDevices"), ("FpgaInfo", "Fpgas"),
                          ("MediaAcceleratorInfo", "Accelerators"), ("InferenceAcceleratorInfo", "Accelerators")):
        found = about.get(info, {}).get(devices, [])
        assert len(found) <= 1, f"{name}: two kinds of {devices}"
        for one in found:
            theirs, mib, count = one["Name"], one["MemoryInfo"]["SizeInMiB"], one["Count"]
            key = DEVICES.get(theirs) or DEVICES[theirs, mib]
            mib = DEVICE_MIB.get(theirs, mib)
            if count == 0:
                # A part of a GPU is no GPU in the count, and its memory is that of the part.
                return key, one["GpuPartitionSize"], mib, 0
            return key, count, count * mib, count * one.get("CoreInfo", {}).get("Count", 0)
    return "", 0, 0, 0


def network(text):
    """Gigabits a second: `Up to 12.5 Gigabit`, `16x 200 Gigabit`, `Moderate`."""
    if text in NETWORK_WORDS:
        return number(NETWORK_WORDS[text])
    cards, gigabits = re.fullmatch(r"(?:Up to )?(?:(\d+)x )?([\d.]+) Gigabit", text).groups()
    return number(int(cards or 1) * float(gigabits))


def ec2_price(work):
    rows = []
    archive = go_module(KARPENTER, KARPENTER_VERSION)
    for file in ("aws", "aws_us_gov"):
        text = archive[f"{KARPENTER}@{KARPENTER_VERSION}/pkg/providers/pricing/zz_generated.pricing_{file}.go"].decode()
        date = re.search(r"// generated at (\d{4}-\d\d-\d\d)", text).group(1)
        region = None
        for line in text.splitlines():
            if opened := re.match(r'\s*"([a-z-]+-\d)": *\{', line):
                region = opened.group(1)
                continue
            for name, usd in re.findall(r'"([a-z0-9-]+\.[a-z0-9-]+)": ([0-9.]+)', line):
                rows.append([region, name, dollars(usd), date, f"karpenter-provider-aws {KARPENTER_VERSION}", date[:4],
                             "Apache-2.0"])
    return f"""# table: ec2_price
# version: 2026.11
# built-by: tools/build_data.py from the Go module {KARPENTER} {KARPENTER_VERSION}
# attribution: Karpenter, Copyright Amazon.com, Inc. or its affiliates. All Rights Reserved. Licensed under Apache-2.0
# note: US dollars for an hour on demand with Linux and shared tenancy; date is the day the prices were read from AWS
# note: the module's prices of China are yuan of 2024 and are left out; for other regions it has none
""", ["region", "instance_type", "usd_per_hour", "date", "source", "year", "licence"], sorted(rows)


def dollars(text):
    """The module writes six places behind the point; all that count are kept."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def go_module(path, version):
    """A module as the Go command downloads and verifies it: {path inside: bytes}."""
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
    answer = subprocess.run(["go", "mod", "download", "-json", f"{path}@{version}"], cwd="/", env=environment,
                            stdout=subprocess.PIPE, check=False)
    # The command may complain that the module wants a newer Go; the archive is there and verified all the same.
    archive = zipfile.ZipFile(Path(json.loads(answer.stdout)["Zip"]))
    return {name: archive.read(name) for name in archive.namelist()}


TABLES = {"ec2_instance": ec2_instance, "ec2_price": ec2_price}
