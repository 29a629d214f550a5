"""What a network costs: `multiply_adds`, counted on the meta device, so that no weight is touched.

The numbers are true multiply-adds of convolutions and matrix products, biases and everything elementwise left
out. Published tables differ in two ways that the tests undo: Microsoft's (SimpleBaseline, HRNet) count a
deconvolution once per output pixel, four times what a stride of 2 computes, and divide by 2^30; others count a
multiply and an add as two. `graph.cost` counts the same on an ONNX.

Test alone: `pytest tests/models/test_cost.py`.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edgepose.pose.geometry import Size


def parameters(module: nn.Module) -> int:
    """The number of learnt values; statistics of batch norm are not learnt."""
    return sum(value.numel() for value in module.parameters())


@torch.no_grad()
def multiply_adds(
    module: nn.Module,
    size: Size,  # (height, width) of the image
) -> int:
    """The multiply-adds of one image [1, 3, H, W] in evaluation mode."""
    network = copy.deepcopy(module).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, *size, device="meta"))
    return int(counter.get_total_flops()) // 2
