"""A network with the outputs of RTMPose, for timing: its weights are random."""

from __future__ import annotations

from typing import Any

from torch import nn


class SimccNetwork(nn.Module):
    """Depthwise blocks, and a linear layer for each axis: images [N, 3, 256, 192] -> [N, 17, 384], [N, 17, 512]."""

    def __init__(self, joints: int = 17, width: int = 96) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in range(5):
            more = width if stage > 1 else width // 2
            layers += [nn.Conv2d(channels, more, 3, 2, 1), nn.ReLU(), nn.Conv2d(more, more, 3, 1, 1, groups=more)]
            layers += [nn.Conv2d(more, more, 1), nn.ReLU()]
            channels = more
        self.trunk = nn.Sequential(*layers, nn.Conv2d(channels, joints, 1), nn.Flatten(2))
        self.x, self.y = nn.Linear(48, 384), nn.Linear(48, 512)

    def forward(self, images: Any) -> Any:
        """Return the vectors of x and y."""
        features = self.trunk(images)
        return self.x(features), self.y(features)
