"""Engines: each translates a plan into its own terms, and decides nothing."""
