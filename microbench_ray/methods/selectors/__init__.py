"""Selectors: which items a method chooses."""
