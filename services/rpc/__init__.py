"""What the gRPC services share: errors and their statuses, tokens, hosting, logs."""
