"""Generated from protos/training.proto by `make protos`."""
