"""Rewrite the inputs and outputs of a foreign graph to those of a codec, with ordinary ONNX nodes.

Each module has functions that take a ModelProto and return a changed copy. They need no other library than onnx.
"""
