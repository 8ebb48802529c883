"""Weights of I3D: finding, fetching, reading and proving the public files."""

from .archive import read_tensors
from .names import canonical
from .proof import prove
from .state import I3DState, load_i3d_state

__all__ = ["I3DState", "canonical", "load_i3d_state", "prove", "read_tensors"]
