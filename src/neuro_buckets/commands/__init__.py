"""The commands that the service adds to `neuro`, each in the file of its name. Offered through the entry points in pyproject.toml."""
