"""Submitting a sweep to a Ray cluster and following it."""
