"""Measures of generated video: statistics of one side, and distances between two."""
