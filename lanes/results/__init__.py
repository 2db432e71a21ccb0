"""Tables, statistics, choosing and evaluating of what was trained."""
