"""Measure what the gateway costs, compared with no proxy and with a minimal proxy."""
