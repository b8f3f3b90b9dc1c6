"""Sound: what kind a file is, how long it takes, and its conversion by a program beside."""
