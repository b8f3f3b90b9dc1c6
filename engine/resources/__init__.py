"""The machine's memory: measure it, remember what engines need, wait for it, preload files."""
