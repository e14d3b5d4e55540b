"""What an audit says of a leaderboard: pure functions of benchmarks, estimates and tables of earlier nights."""
