"""Commands that build and check the course: python -m tools.NAME."""
