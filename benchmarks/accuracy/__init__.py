"""Figures on features and classifiers: each script prints a table with what it depends on."""
