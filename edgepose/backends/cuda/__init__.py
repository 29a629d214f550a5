"""The driver layer: memory, streams and the kernels of a GPU."""
