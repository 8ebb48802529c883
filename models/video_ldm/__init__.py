"""Video LDM (Blattmann et al., *Align your Latents*, CVPR 2023)."""
