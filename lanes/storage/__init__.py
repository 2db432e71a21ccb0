"""What a sweep's directory holds, written whole, checked when read, by any number of workers at once."""
