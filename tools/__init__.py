"""Programs for people who work on ginnel."""
