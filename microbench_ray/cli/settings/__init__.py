"""Schemas of the configuration: dataclasses, in one module per job."""
