"""Checkpoints: written beside and renamed, read with `weights_only=True`, so no file can run code.

`last.pt` holds all that a run needs to go on; `best.pt` holds a network and its contract.
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
# What zipfile and torch raise for files that are damaged, or hold more than tensors and plain values.
_UNREADABLE = (RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile, EOFError, ValueError, KeyError)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network's weights and contract; `training` holds optimizer, counters and generators, or nothing."""

    model: str
    spec: ModelSpec
    weights: dict[str, torch.Tensor]
    training: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write or replace a checkpoint; EdgeposeError when the disk is full, and the old file stands."""
    content = {
        "format": FORMAT,
        "model": checkpoint.model,
        "spec": json.dumps(checkpoint.spec.to_json()),
        "weights": checkpoint.weights,
        "training": checkpoint.training,
    }
    with replacing(path) as beside:
        try:
            torch.save(content, beside)
        except RuntimeError as error:  # what torch makes of a full disk
            raise OSError(errno.ENOSPC, f"the disk may be full: {one_line(error)}") from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. ModelError says what is wrong with the file."""
    content = _read(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(k), t) for k, t in _KINDS.items()):
        raise ModelError(f"{path} is no edgepose checkpoint; for foreign weights export ONNX and use --spec")
    if content["format"] != FORMAT:
        raise ModelError(f"{path}: checkpoint format {content['format']}; this edgepose reads {FORMAT}")
    if not all(isinstance(value, torch.Tensor) for value in content["weights"].values()):
        raise ModelError(f"{path} is damaged: its weights are no tensors; train or fetch it again")
    return Checkpoint(
        model=content["model"],
        spec=_spec(content["spec"], path),
        weights=content["weights"],
        training=content["training"],
    )


def _read(path: Path) -> object:
    """What torch finds in the file. Only its zip format is read: bare pickles never reach a parser."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ModelError(f"{path} is no checkpoint, or a truncated one; train or fetch it again")
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()  # torch does not look at the checksums
        if damaged is not None:
            raise ModelError(f"{path} is no checkpoint any more: {damaged} in it is damaged; fetch it again")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise ModelError(
            f"{path} is no checkpoint that can be loaded safely ({one_line(error)}); "
            "load only files that edgepose wrote"
        ) from error


def _spec(text: str, path: Path) -> ModelSpec:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{path} is damaged: its spec is no valid JSON ({error})") from error
    return spec_from_dict(value, str(path))


def create_for(name: str, spec: ModelSpec, *, imagenet: bool = False) -> nn.Module:
    """The network `name` for the joints of a contract, and for its limbs or torso where it has use for them."""
    skeleton = spec.skeleton
    limbs = len(skeleton.limbs) if spec.codec.needs_limbs else 0
    ends = ("left_shoulder", "right_hip")  # the torso of the LSP literature
    torso = (skeleton.index(ends[0]), skeleton.index(ends[1])) if set(ends) <= set(skeleton.joints) else None
    return create(name, len(skeleton), imagenet, limbs=limbs, torso=torso)


def load_model(path: Path) -> tuple[nn.Module, ModelSpec]:
    """The network of a checkpoint, in evaluation mode, and its contract."""
    checkpoint = load_checkpoint(path)
    model = create_for(checkpoint.model, checkpoint.spec)
    _fill(model, checkpoint, checkpoint.model, path)
    return model.eval(), checkpoint.spec


def load_weights(model: nn.Module, name: str, spec: ModelSpec, path: Path) -> None:
    """Fill `model`, the network `name` that shall be `spec`; ModelError for a checkpoint of another."""
    checkpoint = load_checkpoint(path)
    theirs, joints = checkpoint.spec, len(spec.skeleton)
    if len(theirs.skeleton) != joints:
        raise ModelError(
            f"{path} has {len(theirs.skeleton)} joints ({theirs.skeleton.name}), this run trains {joints} "
            f"({spec.skeleton.name}); begin with weights of the same skeleton, or without --start"
        )
    if (theirs.input.mean, theirs.input.std) != (spec.input.mean, spec.input.std):
        raise ModelError(
            f"{path} was trained with mean {list(theirs.input.mean)}, std {list(theirs.input.std)}, this run "
            f"has {list(spec.input.mean)}, {list(spec.input.std)}; write the former into the recipe"
        )
    _fill(model, checkpoint, name, path)


def _fill(model: nn.Module, checkpoint: Checkpoint, name: str, path: Path) -> None:
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise ModelError(
            f"{path} holds {checkpoint.model}, and its weights do not fit {name} "
            f"({_first_difference(error)}); begin with weights of that network"
        ) from error


def _first_difference(error: Exception) -> str:
    """torch lists what differs below a headline, each on a line that can be very long."""
    lines = str(error).splitlines()
    return (lines[1] if len(lines) > 1 else lines[0]).strip()[:120]
