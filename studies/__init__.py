"""Studies that users can run: how good the numbers are, against published ones, simulation and held-out models."""
