"""Export networks to ONNX with their contract, and import networks that were trained elsewhere."""
