"""espeak-ng, where it is installed, behind the interface of Piper's server."""
