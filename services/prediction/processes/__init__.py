"""Several processes on one port: what they count, as one."""
