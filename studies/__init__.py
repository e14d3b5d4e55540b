"""Studies that check the numbers against published ones, simulations and held-out models: `python -m studies.NAME`."""
