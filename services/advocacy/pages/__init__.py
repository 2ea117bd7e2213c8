"""Hosted pages behind the links that we send: no script, no request to anywhere, one style."""
