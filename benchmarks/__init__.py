"""Measurements, not tests: run as modules from the root of the repository, never installed."""

import os

os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # as the command line does, for both sides of each ratio
