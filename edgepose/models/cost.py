"""Count the parameters and the multiply-adds of a network.

The network is evaluated on PyTorch's meta device, so no weight is read and no arithmetic is done. The count covers
convolutions and matrix products. It leaves out biases and elementwise operations. `graph.cost` counts the same for an
ONNX graph.

Published tables count differently in two ways, which the tests convert. The tables of SimpleBaseline and HRNet count
a deconvolution once per output pixel, which is four times the work of a deconvolution with stride 2, and they divide
by 2^30. Other tables count a multiplication and an addition as two operations.

Run only the tests of this module: `pytest tests/models/test_cost.py`.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgepose.pose.geometry import Size


def parameters(module: nn.Module) -> int:
    """Return the number of learned values. The running statistics of batch norm are not included."""
    return sum(value.numel() for value in module.parameters())


@torch.no_grad()
def multiply_adds(
    module: nn.Module,
    size: Size,  # (height, width) of the image
) -> int:
    """Return the number of multiply-adds for one image [1, 3, H, W] in evaluation mode."""
    network = copy.deepcopy(module).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, *size, device="meta"))
    return int(counter.get_total_flops()) // 2
