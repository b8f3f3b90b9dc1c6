"""One file for each step, named in its order."""
