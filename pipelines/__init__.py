"""The training pipeline: load, fit, evaluate, package, register, promote."""
