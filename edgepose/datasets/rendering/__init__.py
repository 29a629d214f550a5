"""Rendered figures with exact labels: what `synthetic:N` and the demo's clip are made of. numpy and OpenCV only."""

from edgepose.datasets.rendering.scenes import Scene, render_clip, render_still

__all__ = ["Scene", "render_clip", "render_still"]
