"""Video generators, one folder a system."""
