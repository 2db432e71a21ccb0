"""What is computed from a trained net and arrays; nothing of sweeps."""
