"""Load the configuration from Lua, check it, and watch its files."""
