"""The REST twin of the Open Inference Protocol: JSON and binary tensors over HTTP, answered by the same servicer."""
