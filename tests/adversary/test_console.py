"""The console and the OpenAPI pages, as somebody finds them who knows their addresses and no key."""

import base64
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
import pytest_asyncio

from tests.adversary.product import SERVICES, Product, running
from tests.conftest import embedded

pytestmark = pytest.mark.asyncio(loop_scope="module")
WITH_REST = SERVICES[:4]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """As it comes: no setting of its own."""
    async with running(embedded(tmp_path_factory.mktemp("open"))) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """Docs and metrics behind a key."""
    settings = embedded(tmp_path_factory.mktemp("guarded"))
    async with running(settings, variables={"WAYMARK_PROTECT": "docs,metrics"}) as started:
        yield started


class Page(HTMLParser):
    """What a page loads, and what it would run or style by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or (given.get("href") if tag == "link" else None)
        if address:
            self.loads.append(address)
        elif tag in {"script", "style"}:
            self.inline.append(tag)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def policy_of(answer: httpx2.Response) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("service", WITH_REST)
async def test_the_openapi_page_loads_nothing_from_another_host(product: Product, service: str) -> None:
    answer = await product.http.get(f"/{service}/docs")
    page = Page(answer.text)
    assert answer.status_code == 200
    assert len(page.loads) >= 3
    assert page.inline == []
    for address in page.loads:
        whole = urljoin(f"{product.url}/{service}/docs", address)
        assert urlsplit(whole).netloc == urlsplit(product.url).netloc
        loaded = await product.http.get(whole)
        assert (loaded.status_code, loaded.headers["x-content-type-options"]) == (200, "nosniff"), whole
    assert "SwaggerUIBundle" in (await product.http.get(urljoin(f"/{service}/", page.loads[2]))).text


@pytest.mark.parametrize("path", [f"/{service}/{page}" for service in WITH_REST for page in ("docs", "redoc")])
async def test_the_policy_of_an_openapi_page_names_no_host_and_lets_nothing_inline_run(
    product: Product, path: str
) -> None:
    answer = await product.http.get(path, follow_redirects=True)
    sources = {source for named in policy_of(answer).values() for source in named}
    assert sources <= {"'none'", "'self'", "data:"}
    assert policy_of(answer)["default-src"] == ["'none'"]
    assert policy_of(answer)["frame-ancestors"] == ["'none'"]
    assert "http" not in answer.text.replace('http-equiv="', "")


ANSWERS = [
    "/console/sign-in",
    "/console/nowhere",
    "/lifecycle/docs",
    "/lifecycle/openapi.json",
    "/notify/u/no-such-link",
    "/advocacy/s/no-such-link",
    "/advocacy/r/no-such-link",
    "/advocacy/c/no-such-code",
    "/notify/v1/outbox",
    "/lifecycle/nowhere",
    "/ingest/readyz",
]


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_is_framed_nowhere_guessed_at_by_no_browser_and_runs_nothing_inline(
    product: Product, path: str
) -> None:
    answer = await product.http.get(path)
    policy = policy_of(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert not {source for named in policy.values() for source in named if source.startswith("'unsafe")}
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [path for path in ANSWERS if path.startswith(("/notify/u", "/advocacy"))])
async def test_an_address_with_a_link_in_it_is_told_to_nobody(product: Product, path: str) -> None:
    answer = await product.http.get(path)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


CLOSED = [f"/{name}/metrics" for name in SERVICES] + [
    f"/{name}/{page}" for name in WITH_REST for page in ("docs", "docs/swagger-ui.css", "openapi.json")
]


@pytest.mark.parametrize("path", CLOSED)
async def test_docs_and_metrics_are_open_as_ever_and_closed_where_a_setting_says_so(
    product: Product, guarded: Product, path: str
) -> None:
    assert (await product.call("GET", path, None)).status_code == 200
    refused = await guarded.call("GET", path, None)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert "openapi" not in refused.text
    assert "waymark_" not in refused.text


async def test_prometheus_and_a_browser_bring_the_key_in_their_own_ways(guarded: Product) -> None:
    def basic(key: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'prometheus:{key}'.encode()).decode()}"}

    async def status(path: str, headers: dict[str, str]) -> int:
        return (await guarded.call("GET", path, None, headers=headers)).status_code

    for path in ("/lifecycle/metrics", "/console/metrics", "/lifecycle/docs"):
        assert await status(path, {"Authorization": f"Bearer {guarded.keys['read']}"}) == 200
        assert await status(path, basic(guarded.keys["admin"])) == 200
        assert await status(path, basic(guarded.keys["browser"])) == 403
        assert await status(path, basic("of somebody who guesses")) == 401
        assert await status(path, {"Authorization": "Basic ###"}) == 401
    assert await status("/lifecycle/v1/accounts", basic(guarded.keys["admin"])) == 401
    assert await status("/lifecycle/readyz", {}) == 200
