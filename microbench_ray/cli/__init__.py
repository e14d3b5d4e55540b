"""The command line: composes and checks the configuration, and runs the jobs."""
