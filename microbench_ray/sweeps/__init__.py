"""Sweeps: from a grid through shards, an engine and cells to tables, here or on a cluster."""
