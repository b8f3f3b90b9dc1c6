"""Write the pictures of the pages in ``docs/`` anew: ``python docs/pictures.py FOLDER``.

FOLDER has the screenshots that the tests of the pages made with ``SCREENSHOTS=FOLDER``. Chromium,
which ``CHROMIUM`` names or PATH has, makes small WebP files of them.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
# The name of each picture, and the screenshot that it shows.
PICTURES = {
    "landing": "landing-light-wide",
    "playground": "playground-answer-light-wide",
    "playground-phone": "playground-answer-dark-narrow",
    "user": "user-light-wide",
    "admin": "admin-busy-light-wide",
}
# Bytes; a page of documents is read over slow networks, too.
LARGEST = 60_000
_SMALLER = """async ([data, quality]) => {
  const file = await (await fetch(`data:image/png;base64,${data}`)).blob();
  const picture = await createImageBitmap(file);
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext('2d').drawImage(picture, 0, 0);
  const blob = await canvas.convertToBlob({ type: 'image/webp', quality });
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(blob);
  });
  return url.split(',')[1];
}"""


def main(folder: Path) -> None:
    """Write each picture at the best quality at which it is small enough."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        for name, shown in PICTURES.items():
            data = base64.b64encode((folder / f"{shown}.png").read_bytes()).decode()
            small = b""
            for quality in (0.9, 0.8, 0.7, 0.6, 0.5):
                small = base64.b64decode(page.evaluate(_SMALLER, [data, quality]))
                if len(small) <= LARGEST:
                    break
            (DOCS / f"{name}.webp").write_bytes(small)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
