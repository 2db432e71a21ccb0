"""Runs into packs: which share a program, how wide, in what order."""
