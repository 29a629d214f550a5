"""Rendered figures with exact labels, for `synthetic:N` and the demo's clip. Needs only numpy and OpenCV."""

from edgepose.datasets.rendering.scenes import Scene, render_clip, render_still

__all__ = ["Scene", "render_clip", "render_still"]
