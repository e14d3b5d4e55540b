"""Selectors: the choice of items."""
