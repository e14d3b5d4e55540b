"""Folders on disk and in object stores, their lock, and tables in them."""
