"""The nightly audit of a leaderboard: sweeps, comparison with a baseline, verdict and history."""
