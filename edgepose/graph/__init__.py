"""ONNX graphs as export, quantization and the runtime need them: lookups, and the form all passes start from."""
