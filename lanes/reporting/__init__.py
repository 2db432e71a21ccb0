"""The report page of one directory or of several: leaderboard, curves, heat maps, one HTML file that needs nothing else."""
