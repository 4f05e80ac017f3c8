"""The training service: submit, watch, cancel and resume jobs on a Ray cluster."""
