"""``python -m engine.llamacpp.bundled``, which the script ``llama-server`` runs."""

import os
import sys

from engine.llamacpp.bundled.server import main

sys.exit(main(sys.argv[1:], os.environ))
