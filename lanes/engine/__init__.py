"""The sweep while it runs."""
