"""Readers for the logs of evaluation tools, one module per format, and the job that turns logs into a benchmark."""
