"""Declaration of OpenVINO."""

from edgepose.backends.declaration import Declaration

DECLARATION = Declaration(
    module="edgepose.backends.openvino", imports=("openvino",), extra="cpu", packages=("openvino",)
)
