"""Configurations: the experiments that ship, differences between runs, seeds."""
