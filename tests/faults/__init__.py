"""Runs that are killed, signalled and damaged at random, by the dozen: ``python -m tests.faults --help``."""
