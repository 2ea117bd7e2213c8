"""Which pages are there?"""

from collections.abc import Callable
from typing import Any

from services.console.http import accounts, lists, outbox, overview, signing

ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/sign-in", signing.ask_for_key),
    ("POST", "/sign-in", signing.sign_in),
    ("GET", "/enter", signing.enter),
    ("POST", "/sign-out", signing.sign_out),
    ("GET", "/style.css", signing.style),
    ("GET", "/", overview.overview),
    ("GET", "/health", overview.health),
    ("GET", "/accounts", accounts.accounts),
    ("GET", "/accounts/{account:id}", accounts.account),
    ("GET", "/outbox", outbox.outbox),
    ("GET", "/outbox/{delivery:plain}", outbox.delivery),
    ("GET", "/outbox/{delivery:plain}/mail", outbox.mail),
    ("POST", "/outbox/{delivery:plain}/release", outbox.release),
    ("GET", "/mode", outbox.confirm_mode),
    ("POST", "/mode", outbox.switch_mode),
    ("GET", "/tasks", outbox.tasks),
    ("POST", "/tasks/{task:plain}/done", outbox.task_done),
    ("GET", "/surveys", lists.surveys),
    ("GET", "/referrals", lists.referrals),
    ("GET", "/parked", lists.parked),
    ("POST", "/parked/redrive", lists.redrive),
)
"""Method, path under /console, and who answers."""
