"""Accessibility of the console in a real browser: `make axe`. Not part of CI: it fetches axe-core by npm and needs Chromium."""
