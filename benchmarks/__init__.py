"""Speed and memory: pytest-benchmark suites, and scripts for larger measurements (`python -m benchmarks.NAME`)."""
