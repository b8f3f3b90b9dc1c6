"""The embedded whisper server: whisper.cpp in this process, with whisper-server's interface."""
