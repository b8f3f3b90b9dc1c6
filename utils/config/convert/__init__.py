"""Convert configurations of other programs."""
