"""``python -m engine.whisper.bundled``: the engine of a whisper model without a ``binary``."""

import sys

from engine.whisper.bundled.main import main

sys.exit(main(sys.argv[1:]))
