"""The admin paths, and the commands that use them."""
