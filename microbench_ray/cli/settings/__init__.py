"""One module per job: what its file in conf/ may hold, as dataclasses."""
