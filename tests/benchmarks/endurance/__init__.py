"""The prediction service under load for long, and under more load than it can bear."""
