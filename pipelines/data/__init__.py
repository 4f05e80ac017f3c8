"""Rows in: sources, splits, preprocessing."""
