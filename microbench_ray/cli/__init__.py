"""The command line: composing and checking the configuration, and running a job."""
