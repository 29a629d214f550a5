"""`Acceptance`: the acceptance sample of an engine, a few inputs with what the float network makes of them.

It lies in the engine folder as `acceptance.npz`, so that the engine can be checked wherever it is opened, without the
network that it was made from. The manifest lists its sha256. A backend never reads it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgepose._checks import Array
from edgepose._files import sha256_file
from edgepose.artifacts.manifest import Manifest
from edgepose.errors import EngineError

NAME = "acceptance.npz"
LARGEST = 1_000_000  # bytes of a file before compression; two crops are kept whatever their size
FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """Inputs of a network, and what the float network makes of them.

    Attributes:
        inputs: The crops in the layout and dtype of the contract, [N, ...]; float values fit float16.
        outputs: The outputs of the float network by name, [N, ...] each.
        joints: The joints decoded from them, [N, K, 3] float32: x, y in pixels of the crop, and the score. None where
            the codec finds people by itself.
    """

    inputs: Array
    outputs: Mapping[str, Array]
    joints: Array | None = None

    def first(self, count: int) -> Acceptance:
        """Return the sample with the first `count` crops only."""
        return self.rows(np.arange(min(count, len(self.inputs))))

    def rows(self, indices: Array) -> Acceptance:
        """Return the sample with the crops of these indices, [M] int."""
        outputs = {name: value[indices] for name, value in self.outputs.items()}
        joints = None if self.joints is None else self.joints[indices]
        return Acceptance(inputs=self.inputs[indices], outputs=outputs, joints=joints)


def rounded_inputs(crops: Array) -> Array:
    """Return crops whose values fit float16, in which the file holds them, in the dtype that they have."""
    return crops if crops.dtype == np.uint8 else crops.astype(np.float16).astype(crops.dtype)


def write_acceptance(folder: Path, acceptance: Acceptance) -> dict[str, str]:
    """Write the acceptance sample into an engine folder, with as many crops as make a small file.

    Returns:
        The name of the file and its sha256, for the manifest.
    """
    inputs = acceptance.inputs if acceptance.inputs.dtype == np.uint8 else acceptance.inputs.astype(np.float16)
    each = inputs[0].nbytes + sum(value[0].nbytes for value in acceptance.outputs.values())
    kept = acceptance.first(max(FEWEST, LARGEST // each))
    arrays = {f"output{index}": value for index, value in enumerate(kept.outputs.values())}
    if kept.joints is not None:
        arrays["joints"] = kept.joints
    names = np.array(list(kept.outputs), dtype=np.str_)
    with (folder / NAME).open("wb") as file:
        np.savez_compressed(file, inputs=inputs[: len(kept.inputs)], names=names, **arrays)  # type: ignore[arg-type]
    return {NAME: sha256_file(folder / NAME)}


def read_acceptance(folder: Path, manifest: Manifest) -> Acceptance:
    """Read the acceptance sample of an engine folder.

    Args:
        folder: The engine folder.
        manifest: Its manifest.

    Raises:
        EngineError: The engine was built without a sample, or the file is missing or was altered.
    """
    path = folder / NAME
    remedy = f"rebuild it with: {manifest.build_command}"
    if NAME not in manifest.acceptance:
        raise EngineError(f"{folder} has no acceptance sample, so that it cannot be checked; {remedy}")
    if not path.is_file():
        raise EngineError(f"{folder}: {NAME} is missing, so that it cannot be checked; copy it too, or {remedy}")
    if sha256_file(path) != manifest.acceptance[NAME]:
        raise EngineError(f"{folder}: {NAME} was altered; {remedy}")
    try:
        with np.load(path, allow_pickle=False) as held:
            names = [str(name) for name in held["names"]]
            outputs = {name: held[f"output{index}"] for index, name in enumerate(names)}
            joints = held.get("joints", None)
            found = Acceptance(inputs=held["inputs"].astype(manifest.spec.input.dtype), outputs=outputs, joints=joints)
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise EngineError(f"{path} is no acceptance sample; {remedy}") from error
    if not _fits(found, manifest):
        raise EngineError(f"{path} is not the acceptance sample of this network; {remedy}")
    return found


def _fits(found: Acceptance, manifest: Manifest) -> bool:
    """Whether a sample has crops of the contract's shape, and results of each of its outputs that say something."""
    spec, count = manifest.spec, len(found.inputs)
    return (
        count > 0
        and found.inputs.shape[1:] == spec.input.shape
        and set(found.outputs) == set(spec.outputs)
        and all(len(value) == count and np.isfinite(value).any() for value in found.outputs.values())
        and (found.joints is None or len(found.joints) == count)
    )
