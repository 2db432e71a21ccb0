"""The sweep on more than one machine."""
