"""Scores of a model: its programs for known problems, run in a sandbox."""
