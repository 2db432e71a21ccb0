"""Published tables and figures, each as an experiment beside the published numbers."""
