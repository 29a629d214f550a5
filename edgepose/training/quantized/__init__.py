"""Quantization-aware fine-tuning of an ONNX graph: its float weights and scales learn to agree with the float network.

The prepared float graph runs in torch (`network.py`, one function per ONNX operator in `operators/`), with fake
quantization on exactly the tensors that the passes of `edgepose.quantize` would quantize (`start.py`, `fake.py`). Any
network that calibrates can therefore be fine-tuned, with its batch normalization folded, and without its training code.
`tune.py` is the loop, `result.py` writes what it found.
"""
