"""Trained systems on equal terms: quality against what sampling costs."""
