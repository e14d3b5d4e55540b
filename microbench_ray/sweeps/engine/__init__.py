"""Engines: where shards are computed. What they compute does not depend on which one it is."""
