"""How far the outputs of a quantized network are from those of the float network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Outputs = Tensor | tuple[Tensor, ...]


def as_tuple(outputs: Outputs) -> tuple[Tensor, ...]:
    """Return the outputs of a network as a tuple."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def relative_error(found: Outputs, wanted: Outputs) -> Tensor:
    """Return the squared error relative to the variance of the wanted outputs over the batch, mean over the outputs.

    Args:
        found: The outputs of the quantized network, [B, ...] each.
        wanted: The outputs of the float network.
    """
    errors = []
    for given, target in zip(as_tuple(found), as_tuple(wanted), strict=True):
        spread = (target - target.mean(dim=0)).square().mean()
        errors.append((given - target).square().mean() / spread.clamp(min=1e-12))
    return torch.stack(errors).mean()


@torch.inference_mode()
def validation_error(network: nn.Module, crops: Sequence[Tensor], wanted: Sequence[tuple[Tensor, ...]]) -> float:
    """Return `relative_error` over all validation crops at once.

    Args:
        network: The quantized network.
        crops: The batches of crops.
        wanted: The outputs of the float network for each batch.
    """
    found = [as_tuple(network(batch)) for batch in crops]
    whole = [tuple(torch.cat(column) for column in zip(*rows, strict=True)) for rows in (found, wanted)]
    return float(relative_error(*whole))
