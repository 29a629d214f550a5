"""Look up nodes and tensors of ONNX graphs, count their cost, and bring them to the form that all passes start from."""
