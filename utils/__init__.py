"""The base of all other packages: errors, configuration, logging, clock and tasks."""
