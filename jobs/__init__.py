"""What a user runs: recipes, the command line, the main plan, the report."""
