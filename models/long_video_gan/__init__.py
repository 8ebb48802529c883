"""LongVideoGAN: long videos from temporal noise at low resolution, and their super-resolution (NeurIPS 2022)."""
