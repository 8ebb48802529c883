"""TATS: transformers over the codes of an autoencoder that does not know the time (ECCV 2022)."""

from .system import TATS, TATSHierarchical
from .transformer_stage import InterpolationTraining, TransformerTraining
from .vqgan_stage import VQGANTraining

TATS.stages = {"vqgan": VQGANTraining, "transformer": TransformerTraining}
TATSHierarchical.stages = {**TATS.stages, "interpolation": InterpolationTraining}

__all__ = ["TATS", "InterpolationTraining", "TATSHierarchical", "TransformerTraining", "VQGANTraining"]
