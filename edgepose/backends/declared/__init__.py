"""Declarations of the backends, one module each; `edgepose.backends.BACKENDS` lists them."""
