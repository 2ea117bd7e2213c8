"""Program of the browser: signs in to a running demo and takes the README's pictures.

It runs under a Python of its own, which has playwright and Pillow (`make screenshots`). CHROMIUM names the browser.
"""

import os
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

_COLOURS = 64
"""A palette halves a picture of text, and nobody sees it."""
_DESK = {"width": 1280, "height": 760}
_PHONE = {"width": 390, "height": 640}


def main(enter: str, folder: str) -> None:
    """`enter` is the demo's link to its console."""
    program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    site = enter.partition("/console/")[0]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = chromium.new_context(viewport=_DESK, color_scheme="light").new_page()
        page.goto(enter)
        page.goto(f"{site}/console/")
        page.screenshot(path=str(Path(folder) / "overview.png"))
        page.goto(f"{site}/console/accounts?flag=at_risk&sort=score")
        page.click("table a.account >> nth=0")
        page.screenshot(path=str(Path(folder) / "account.png"))
        mail = _mail_of(page, site)
        phone = chromium.new_context(viewport=_PHONE, color_scheme="light").new_page()
        phone.set_content(mail)
        phone.screenshot(path=str(Path(folder) / "mail.png"))
        chromium.close()
    for picture in sorted(Path(folder).glob("*.png")):
        Image.open(picture).convert("RGB").quantize(_COLOURS).save(picture, optimize=True)


def _mail_of(page: Page, site: str) -> str:
    """The HTML of the latest mail of the outbox, as it would arrive."""
    page.goto(f"{site}/console/outbox?channel=email&play=nps_invite")
    page.click("table a[href^='/console/outbox/'] >> nth=0")
    return page.request.get(f"{page.url}/mail").text()


if __name__ == "__main__":
    main(*sys.argv[1:])
