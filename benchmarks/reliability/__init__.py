"""Scripts that break what can be broken, and look whether anything was lost."""
