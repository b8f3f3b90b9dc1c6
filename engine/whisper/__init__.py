"""whisper.cpp's ``whisper-server``, and the embedded one with the same interface."""
