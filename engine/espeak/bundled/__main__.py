"""``python -m engine.espeak.bundled``: the engine of a model of the type ``espeak``."""

import sys

from engine.espeak.bundled.server import main

sys.exit(main(sys.argv[1:]))
