"""The steps of the main plan, a module for each concern; `jobs.curate` puts them in order."""
