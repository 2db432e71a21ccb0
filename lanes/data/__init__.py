"""Data sets: from a name, a description or a user's function to host arrays."""
