"""How speech is heard by small models, where they are installed: each in its own file."""
