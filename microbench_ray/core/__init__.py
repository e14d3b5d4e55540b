"""Shared by all other packages: errors, logging, seeds, schemas, threads, memory, progress and storage."""
