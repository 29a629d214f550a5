"""Label files in MATLAB and HDF5 form, as LSP, FLIC and MPII publish them.

`scipy` reads the .mat files and `h5py` the .h5 files (`pip install 'edgepose[data]'`). Both readers have crashed the
interpreter on damaged files, and a label file is user input, so they run in a child process (`child.py`) that this
package starts on the first read and starts again after a crash (`process.py`).
"""

from edgepose.datasets.labelfiles.content import Struct, read_array, read_datasets, read_struct

__all__ = ["Struct", "read_array", "read_datasets", "read_struct"]
