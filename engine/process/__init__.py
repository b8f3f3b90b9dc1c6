"""One engine's process: spawned, probed, read, stopped, reaped."""
