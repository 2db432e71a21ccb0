"""Computations on a trained net and arrays; knows nothing of sweeps."""
