"""A server that runs already, here or elsewhere, and is only asked."""
