"""``python -m engine.llamacpp.bundled``: the script ``llama-server`` runs this."""

import os
import sys

from engine.llamacpp.bundled.server import main

sys.exit(main(sys.argv[1:], os.environ))
