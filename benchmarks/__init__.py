"""Measurements, not tests: run as modules from the root of the repository, never installed."""
