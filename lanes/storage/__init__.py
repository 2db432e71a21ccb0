"""A sweep's directory: files written whole, verified when read, and shared by any number of workers."""
