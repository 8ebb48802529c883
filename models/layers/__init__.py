"""Blocks that several systems share: the layers of StyleGAN2 and their resampling."""
