"""A sweep: grid, shards, engine, cells, tables; and how it is handed to a cluster."""
