"""The `drivetrain` command: a thin client of the pipeline, the registry and the services."""
