"""Models: their specification, the catalog, and the choice of a variant."""
