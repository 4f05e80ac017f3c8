"""What the prediction service needs: time to start, memory, and space on the disk."""
