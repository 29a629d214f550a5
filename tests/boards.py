"""Files of boards, as path -> content, to be planted under a folder that stands for "/".

No board was at hand. These trees were made by hand: kernel file names and units from the kernel's documentation
(hwmon/ina3221.rst, hwmon/ina238.rst, pm/cpufreq.rst, sysfs-class-devfreq, sysfs-class-thermal); rails, zones, release
lines and modes from tegrastats lines and listings that owners of such boards published; what no listing had (some
package versions, swap, the other numbers) was chosen to be plausible.
"""

from __future__ import annotations

from pathlib import Path

Tree = dict[str, str]


def plant(root: Path, tree: Tree) -> Path:
    """Write the files; `root`."""
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def zones(**celsius: float | None) -> Tree:
    """Thermal zones `cpu=51.2` -> cpu-thermal; None is a zone that says a temperature no chip has."""
    tree: Tree = {}
    for i, (name, value) in enumerate(celsius.items()):
        tree[f"sys/class/thermal/thermal_zone{i}/type"] = f"{name}-thermal\n"
        tree[f"sys/class/thermal/thermal_zone{i}/temp"] = f"{-256000 if value is None else round(value * 1000)}\n"
    return tree


def ina3221(number: int, **rails: tuple[int, int]) -> Tree:
    """An INA3221: rail -> (mV, mA); shunt voltages and the sum of them are there as in the real one."""
    folder = f"sys/class/hwmon/hwmon{number}"
    tree: Tree = {f"{folder}/name": "ina3221\n", f"{folder}/in7_label": "sum of shunt voltages\n"}
    tree[f"{folder}/in7_input"] = "1120\n"
    for i, (name, (millivolts, milliamperes)) in enumerate(rails.items(), 1):
        tree[f"{folder}/in{i}_label"] = f"{'NC' if name.startswith('NC') else name}\n"
        tree[f"{folder}/in{i}_input"] = f"{millivolts}\n"
        tree[f"{folder}/curr{i}_input"] = f"{milliamperes}\n"
        tree[f"{folder}/in{i + 3}_input"] = "320\n"
    return tree


def policy(number: int, low: int, high: int, now: int, governor: str = "schedutil") -> Tree:
    """A cpufreq policy, kHz."""
    folder = f"sys/devices/system/cpu/cpufreq/policy{number}"
    numbers = {"min": low, "max": high, "cur": now}
    return {f"{folder}/scaling_{name}_freq": f"{khz}\n" for name, khz in numbers.items()} | {
        f"{folder}/scaling_governor": f"{governor}\n"
    }


def devfreq(name: str, low: int, high: int, now: int, governor: str = "nvhost_podgov") -> Tree:
    """A devfreq clock, Hz."""
    numbers = {"min": low, "max": high, "cur": now}
    return {f"sys/class/devfreq/{name}/{key}_freq": f"{hz}\n" for key, hz in numbers.items()} | {
        f"sys/class/devfreq/{name}/governor": f"{governor}\n"
    }


def memory(total_mib: int, available_mib: int, swap_mib: int = 0, swap: str = "") -> Tree:
    """/proc/meminfo and /proc/swaps; `swap` names the device of the one swap."""
    lines = {"MemTotal": total_mib, "MemFree": available_mib // 2, "MemAvailable": available_mib}
    lines |= {"SwapTotal": swap_mib, "SwapFree": swap_mib}
    swaps = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    if swap:
        swaps += f"{swap}                              partition\t{swap_mib * 1024}\t\t0\t\t5\n"
    return {
        "proc/meminfo": "".join(f"{name}:{mib * 1024:>16} kB\n" for name, mib in lines.items()),
        "proc/swaps": swaps,
    }


def packages(**versions: str) -> Tree:
    """dpkg's status file; `_` stands for `-` in the names."""
    stanzas = [
        f"Package: {name.replace('_', '-')}\nStatus: install ok installed\nPriority: optional\n"
        f"Architecture: arm64\nVersion: {version}\nDescription: words\n Package: not-this-one\n"
        for name, version in versions.items()
    ]
    removed = "Package: libcudnn8\nStatus: deinstall ok config-files\nVersion: 8.0.0-1\n"
    return {"var/lib/dpkg/status": "\n".join([*stanzas, removed])}


def modes(current: int | None, default: int, **names: int) -> Tree:
    """nvpmodel's configuration and the mode it is in."""
    lines = ["# < POWER_MODEL ID=9 NAME=COMMENTED_OUT >\n"]
    lines += [f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\n" for name, number in names.items()]
    tree = {"etc/nvpmodel.conf": "".join(lines) + f"< PM_CONFIG DEFAULT={default} >\n"}
    return tree if current is None else tree | {"var/lib/nvpmodel/status": f"pmode:{current:04d}\n"}


ORIN_NANO: Tree = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}',
    **packages(
        nvidia_l4t_core="36.4.3-20250107174145",
        nvidia_jetpack="6.2+b77",
        libnvinfer10="10.3.0.30-1+cuda12.5",
        python3_libnvinfer="10.3.0.30-1+cuda12.5",
        libcudnn9_cuda_12="9.3.0.75-1",
        libopencv_python="4.8.0-1-g6371ee1",
    ),
    **modes(0, 1, **{"15W": 0, "25W": 1, "MAXN_SUPER": 2, "7W": 3}),
    **policy(0, 729600, 1497600, 1190400),
    **policy(4, 729600, 1497600, 729600),
    **devfreq("17000000.gpu", 306000000, 612000000, 306000000),
    **devfreq("15480000.nvdec", 192000000, 358400000, 192000000),
    **memory(7620, 5100, 3810, "/dev/zram0"),
    **zones(cpu=51.187, gpu=51.5, cv0=None, soc0=50.375, tj=51.5),
    **ina3221(1, VDD_IN=(5072, 1040), VDD_CPU_GPU_CV=(5072, 184), VDD_SOC=(5072, 296)),
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon0/temp1_input": "51187\n",
}

AGX_ORIN: Tree = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 3.0, GCID: 36191598, BOARD: generic, EABI: aarch64, "
    "DATE: Mon May  6 17:34:21 UTC 2024\n",
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    **packages(nvidia_l4t_core="36.3.0-20240506102626"),
    **modes(None, 2, MAXN=0, **{"15W": 1, "30W": 2, "50W": 3}),
    **policy(0, 2201600, 2201600, 2201600, "performance"),
    **devfreq("17000000.ga10b", 1300500000, 1300500000, 1300500000, "performance"),
    **memory(62841, 1500),
    **zones(cpu=52.968, gpu=47.625, tj=52.968),
    **ina3221(2, VDD_GPU_SOC=(19912, 120), VDD_CPU_CV=(19912, 40), VIN_SYS_5V0=(4992, 800)),
    **ina3221(3, NC1=(0, 0), VDDQ_VDD2_1V8AO=(4992, 100), NC2=(0, 0)),
}

THOR: Tree = {
    "etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, "
    "DATE: Fri Aug 22 00:55:42 UTC 2025\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n",
    "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0",
    "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "13.0.48"}}',
    **packages(
        libnvinfer10="10.13.2.6-1+cuda13.0", python3_libnvinfer="10.13.2.6-1+cuda13.0", libcudnn9_cuda_13="9.12.0.46-1"
    ),
    **modes(1, 1, MAXN=0, **{"120W": 1}),
    **policy(0, 54000, 2601000, 972000),
    **devfreq("gpu-gpc-0", 315000000, 1386000000, 315000000),
    **devfreq("gpu-nvd-0", 315000000, 1287000000, 1287000000),
    **memory(125772, 110000),
    **zones(tj=55.1, soc012=55.1, cpu=53.7, soc345=53.7, gpu=None),
    **ina3221(4, VDD_GPU=(24000, 100), VDD_CPU_SOC_MSS=(24000, 271), VIN_SYS_5V0=(5000, 1304)),
    "sys/class/hwmon/hwmon5/name": "ina238\n",
    "sys/class/hwmon/hwmon5/in1_input": "24000\n",
    "sys/class/hwmon/hwmon5/curr1_input": "958\n",
    "sys/class/hwmon/hwmon5/power1_input": "23000000\n",
}

DESKTOP: Tree = {
    **policy(0, 800000, 4600000, 4200000, "powersave"),
    **policy(1, 800000, 4600000, 800000, "powersave"),
    **memory(32000, 24000, 8192, "/dev/nvme0n1p3"),
    "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
    "sys/class/thermal/thermal_zone0/temp": "48000\n",
    "sys/class/hwmon/hwmon0/name": "coretemp\n",
    "sys/class/hwmon/hwmon0/temp1_label": "Package id 0\n",
    "sys/class/hwmon/hwmon0/temp1_input": "48000\n",
    "sys/class/hwmon/hwmon0/temp2_label": "Core 0\n",
    "sys/class/hwmon/hwmon0/temp2_input": "46000\n",
    "sys/class/hwmon/hwmon1/name": "nvme\n",
    "sys/class/hwmon/hwmon1/temp1_input": "39850\n",
}
