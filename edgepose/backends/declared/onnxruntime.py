"""Declaration of ONNX Runtime."""

from edgepose.backends.declaration import Declaration

DECLARATION = Declaration(
    module="edgepose.backends.onnxruntime",
    imports=("onnxruntime",),
    extra="cpu",
    packages=("onnxruntime", "onnxruntime-gpu"),
)
