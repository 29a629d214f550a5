"""The ONNX file in a folder as model collections publish it: a network with files that describe it beside it.

mmdeploy writes `deploy.json`, which names the network, beside `end2end.onnx`. Hugging Face has `model.onnx`, in the
folder or in `onnx/` below it.
"""

from __future__ import annotations

import json
from pathlib import Path

from edgepose.artifacts.manifest import NAME as MANIFEST
from edgepose.artifacts.manifest import no_engine
from edgepose.errors import EngineError, ModelError, one_line

NAMES = ("end2end.onnx", "model.onnx", "onnx/model.onnx")
DEPLOY = "deploy.json"


def is_published(folder: Path) -> bool:
    """Whether a path is a folder that holds a network as ONNX, and no engine."""
    return folder.is_dir() and not (folder / MANIFEST).exists() and bool(_candidates(folder))


def network_file(path: Path) -> Path:
    """Return the ONNX file of a folder that holds one network; any other path is returned as it is.

    Args:
        path: A file, an engine folder, or a folder with an ONNX file.

    Raises:
        ModelError: The folder names a network that it does not hold or that is no ONNX file, or it holds several.
        EngineError: The folder is no engine folder, and holds no network.
    """
    if not path.is_dir() or (path / MANIFEST).exists():
        return path
    if (path / DEPLOY).is_file():
        return _deployed(path)
    for name in NAMES:
        if (path / name).is_file():
            return path / name
    found = _candidates(path)
    if len(found) > 1:
        engines = [item.parent.name for item in sorted(path.glob(f"*/{MANIFEST}"))]
        also = f" and the engines {', '.join(engines)}" if engines else ""
        names = ", ".join(item.name for item in found)
        raise ModelError(f"{path} holds several networks ({names}){also}; name one of them")
    if found:
        return found[0]
    raise EngineError(no_engine(path))


def _candidates(folder: Path) -> list[Path]:
    named = [folder / name for name in NAMES if (folder / name).is_file()]
    return named or sorted(folder.glob("*.onnx"))


def _deployed(folder: Path) -> Path:
    """Return the network that mmdeploy's deploy.json names."""
    path = folder / DEPLOY
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
        names = [str(item["net"]) for item in value["models"]]
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is no deploy.json of mmdeploy ({one_line(error)}); name the ONNX file") from error
    if len(names) != 1:
        raise ModelError(f"{path} names {len(names)} networks; name the ONNX file of one")
    net = folder / names[0]
    if net.parent != folder or net.suffix != ".onnx" or not net.is_file():
        raise ModelError(
            f"{path} names the network {names[0]!r}, which is no ONNX file in this folder; deploy it again with the "
            "backend onnxruntime, or name the ONNX file"
        )
    return net
