"""From a trained torch network to the ONNX graph that is served."""
