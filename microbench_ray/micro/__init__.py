"""A micro-benchmark: how many items it needs, how it is built, exported and scored."""
