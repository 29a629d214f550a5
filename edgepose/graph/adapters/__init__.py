"""Rewrite the inputs and outputs of networks to the forms that codecs take, with ordinary ONNX nodes.

Each function takes a graph and returns a changed copy.
"""
