"""Fitting weights: objective, optimizers, the loop (torch alone), the worker and its launcher (Ray)."""
