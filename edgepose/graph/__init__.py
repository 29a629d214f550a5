"""ONNX graphs as export, quantisation and the runtime need them: lookups, and the form all passes start from."""
