"""Random weights that behave like trained ones, for networks that nobody trained."""

from __future__ import annotations

from torch import nn


def tamed(network: nn.Module) -> nn.Module:
    """Weights that keep a signal's size through ReLU, and batch norm that is not the identity.

    Weights of 0.001, as a head begins with, would leave nothing to see; normalized by real statistics a random
    network multiplies every rounding error, which no trained one does.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            inputs = 4 * module.in_channels if isinstance(module, nn.ConvTranspose2d) else module.weight[0].numel()
            coordinates = isinstance(module, nn.Linear) and module.out_features == 28
            within = 0.03 if coordinates else 1.0  # of the crop, or a cascade looks where rounding errors send it
            nn.init.normal_(module.weight, std=within * (2 / inputs) ** 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            for name, low, high in (("running_mean", -0.2, 0.2), ("running_var", 0.7, 1.4)):
                nn.init.uniform_(getattr(module, name), low, high)
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network.eval()
