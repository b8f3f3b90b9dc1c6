"""The configuration: loaded from Lua, checked, watched."""
