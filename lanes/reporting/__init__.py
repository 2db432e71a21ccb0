"""The report page of one or several directories: leaderboard, curves and heat maps in one self-contained HTML file."""
