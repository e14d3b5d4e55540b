"""Submit a sweep to a Ray cluster and follow it."""
