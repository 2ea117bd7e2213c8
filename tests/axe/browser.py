"""Program of the browser: signs in, opens each page in each width and scheme, and prints what axe-core finds.

It runs under a Python of its own, which has playwright (`make axe`). CHROMIUM names the browser.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

_RUN = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
_SIDEWAYS = "document.documentElement.scrollWidth - innerWidth"


def main(url: str, key: str, axe: str, *pages: str) -> int:
    """How it ended: 1 where something was found."""
    script, found = Path(axe).read_text(encoding="utf8"), 0
    with sync_playwright() as playwright:
        program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for width in (375, 1440):
            for scheme in ("light", "dark"):
                size = {"width": width, "height": 900}
                context = chromium.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
                page = context.new_page()
                page.goto(f"{url}/console/enter?key={key}")
                for path in pages:
                    page.goto(url + path)
                    found += _looked_at(page, script, f"{width} {scheme} {path}")
                context.close()
        chromium.close()
    sys.stdout.write(f"{4 * len(pages)} looks, {found} findings\n")
    return int(found > 0)


def _looked_at(page: Page, script: str, what: str) -> int:
    page.evaluate(script)
    findings = [f"{one['id']}: {one['nodes'][0]['html'][:150]}" for one in page.evaluate(_RUN)]
    if (over := page.evaluate(_SIDEWAYS)) > 0:
        findings.append(f"the page scrolls sideways by {over} px")
    for finding in findings:
        sys.stdout.write(f"{what}: {finding}\n")
    return len(findings)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
