"""The gRPC prediction service: answers from whatever the registry calls champion. Neither torch nor ray here."""
