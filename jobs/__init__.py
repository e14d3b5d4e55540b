"""Entry points for `python` and `ray job submit`: wiring only."""
