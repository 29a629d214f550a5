"""The projects whose post-processing edgepose is compared with: one file per project, and one line in `registry`."""
