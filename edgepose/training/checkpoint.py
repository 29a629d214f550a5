"""Read and write checkpoints.

A checkpoint is written to a temporary file and renamed, so it is never incomplete. It is read with
`weights_only=True`, so a file cannot run code. `last.pt` holds everything that is needed to continue a run; `best.pt`
holds a network and its contract.
"""

from __future__ import annotations

import errno
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgepose._files import replacing
from edgepose.artifacts.spec import ModelSpec, spec_from_dict
from edgepose.errors import ModelError, one_line
from edgepose.models import create

FORMAT = 1
_KINDS: dict[str, type] = {"format": int, "model": str, "spec": str, "weights": dict, "training": dict}
# The exceptions of zipfile and torch for damaged files, and for files with objects other than tensors and plain values.
_UNREADABLE = (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        model: The name of the network.
        spec: The contract of the network.
        weights: The state dict of the network.
        training: The origin of the run, and for last.pt also the optimizer, counters and random generators.
    """

    model: str
    spec: ModelSpec
    weights: dict[str, torch.Tensor]
    training: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and replace the file if it exists.

    Raises:
        EdgeposeError: The disk is full. The old file is kept.
    """
    content = {
        "format": FORMAT,
        "model": checkpoint.model,
        "spec": json.dumps(checkpoint.spec.to_json()),
        "weights": checkpoint.weights,
        "training": checkpoint.training,
    }
    with replacing(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # torch's exception for a full disk
            raise OSError(errno.ENOSPC, f"the disk may be full: {one_line(error)}") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        ModelError: The file cannot be read or is not a checkpoint; the message says why.
    """
    content = _read(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(k), t) for k, t in _KINDS.items()):
        raise ModelError(
            f"{path} is not an edgepose checkpoint; export other networks to ONNX and build them with --spec"
        )
    if content["format"] != FORMAT:
        raise ModelError(
            f"{path} has checkpoint format {content['format']}, this version reads format {FORMAT}; "
            "use the edgepose version that wrote it"
        )
    if not all(isinstance(value, torch.Tensor) for value in content["weights"].values()):
        raise ModelError(f"{path} is damaged: its weights are not tensors; train it or download it again")
    return Checkpoint(
        model=content["model"],
        spec=_spec(content["spec"], path),
        weights=content["weights"],
        training=content["training"],
    )


def _read(path: Path) -> object:
    """Return what torch finds in the file. Only torch's zip format is read, so no bare pickle is parsed."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ModelError(f"{path} is not a checkpoint, or it is truncated; train it or download it again")
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()  # torch does not verify the checksums
        if damaged is not None:
            raise ModelError(f"{path} is damaged: the checksum of {damaged} in it is wrong; download it again")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise ModelError(
            f"{path} is not a checkpoint that can be loaded safely ({one_line(error)}); "
            "load only files that edgepose wrote"
        ) from error


def _spec(text: str, path: Path) -> ModelSpec:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} is damaged: its contract is not valid JSON ({error}); download it again") from error
    return spec_from_dict(value, str(path))


def create_for(name: str, spec: ModelSpec, *, imagenet: bool = False) -> nn.Module:
    """Create the network `name` for a contract, with the limbs or the torso of its skeleton if it needs them.

    Args:
        name: The name of the network.
        spec: The contract.
        imagenet: Whether the trunk starts from ImageNet weights.
    """
    skeleton = spec.skeleton
    limbs = len(skeleton.limbs) if spec.codec.needs_limbs else 0
    ends = ("left_shoulder", "right_hip")  # the ends of the torso in publications on LSP
    torso = (skeleton.index(ends[0]), skeleton.index(ends[1])) if set(ends) <= set(skeleton.joints) else None
    return create(name, len(skeleton), imagenet, limbs=limbs, torso=torso)


def load_model(path: Path) -> tuple[nn.Module, ModelSpec]:
    """Return the network of a checkpoint in evaluation mode, and its contract.

    Raises:
        ModelError: The file is not a readable checkpoint, or its weights do not fit its network.
    """
    checkpoint = load_checkpoint(path)
    model = create_for(checkpoint.model, checkpoint.spec)
    _fill(model, checkpoint, checkpoint.model, path)
    return model.eval(), checkpoint.spec


def load_weights(model: nn.Module, name: str, spec: ModelSpec, path: Path) -> None:
    """Load the weights of a checkpoint into a network.

    Args:
        model: The network to fill.
        name: The name of the network.
        spec: The contract that the network is trained for.
        path: The checkpoint.

    Raises:
        ModelError: The checkpoint is of another network, skeleton or input normalization.
    """
    checkpoint = load_checkpoint(path)
    theirs, joints = checkpoint.spec, len(spec.skeleton)
    if len(theirs.skeleton) != joints:
        raise ModelError(
            f"{path} has {len(theirs.skeleton)} joints ({theirs.skeleton.name}), this run trains {joints} "
            f"({spec.skeleton.name}); start from weights of the same skeleton, or without --start"
        )
    if (theirs.input.mean, theirs.input.std) != (spec.input.mean, spec.input.std):
        raise ModelError(
            f"{path} was trained with mean {list(theirs.input.mean)} and std {list(theirs.input.std)}, this run has "
            f"{list(spec.input.mean)} and {list(spec.input.std)}; set mean and std of the checkpoint in the recipe"
        )
    _fill(model, checkpoint, name, path)


def _fill(model: nn.Module, checkpoint: Checkpoint, name: str, path: Path) -> None:
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds {checkpoint.model}, and its weights do not fit {name} "
            f"({_first_difference(error)}); start from weights of {name}"
        ) from error


def _first_difference(error: Exception) -> str:
    """Return the first difference in torch's message, which lists one per line below a headline; lines can be long."""
    lines = str(error).splitlines()
    return (lines[1] if len(lines) > 1 else lines[0]).strip()[:120]
