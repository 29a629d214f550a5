"""Which tensors a fine-tuned network has to reproduce."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import onnx
import torch

from edgepose.graph.prepare import prepare
from edgepose.training.quantized.matched import matched_tensors
from edgepose.training.quantized.network import GraphNetwork


def choosing_net(nets: ModuleType, *, squashed: bool, index: bool) -> onnx.ModelProto:
    """A network that ends in its maps, or in the index of the largest value of each map."""
    net = nets.Net()
    x = net.op("Relu", [net.conv("input", "stem", 3, 8, 3, stride=2)], "relu")
    maps = net.conv(x, "maps", 8, 5)
    if squashed:
        maps = net.op("Sigmoid", [maps], "probabilities")
    if index:
        flat = net.op("Flatten", [maps], "flat", axis=2)
        net.op("Cast", [net.op("ArgMax", [flat], "best", axis=1, keepdims=0)], "heatmaps", to=onnx.TensorProto.FLOAT)
    else:
        net.op("Identity", [maps], "heatmaps")
    made: onnx.ModelProto = net.model()
    return made


def test_outputs_are_compared_unless_the_network_chooses(nets: ModuleType) -> None:
    plain = prepare(choosing_net(nets, squashed=True, index=False))
    assert matched_tensors(plain, ("heatmaps",)) == ("heatmaps",)
    assert matched_tensors(prepare(choosing_net(nets, squashed=False, index=True)), ("heatmaps",)) == ("maps",)
    squashed = prepare(choosing_net(nets, squashed=True, index=True))
    assert matched_tensors(squashed, ("heatmaps",)) == ("probabilities",)


def test_a_gradient_reaches_the_layers_in_front_of_an_index(nets: ModuleType) -> None:
    model = prepare(choosing_net(nets, squashed=True, index=True))
    network = GraphNetwork(model, matched_tensors(model, ("heatmaps",)))
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, *nets.SIZE)).astype(np.float32))
    found = network(images)
    assert isinstance(found, torch.Tensor)
    found.square().mean().backward()
    assert all(part.grad is not None and part.grad.abs().max() > 0 for part in network.weight_parameters())
