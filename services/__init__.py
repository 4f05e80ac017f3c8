"""What people talk to: the prediction service and the command line."""
