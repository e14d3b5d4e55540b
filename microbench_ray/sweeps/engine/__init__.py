"""Engines compute shards. The results do not depend on the engine."""
