"""Evaluation: what is measured of trained systems."""
