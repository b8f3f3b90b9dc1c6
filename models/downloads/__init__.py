"""Fetch models from a hub into its own cache, where every other program finds them."""
