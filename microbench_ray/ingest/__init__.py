"""From the logs of evaluation tools to benchmarks of ours: a reader per format, and what all of them share."""
