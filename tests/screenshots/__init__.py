"""The pictures of the README: `make screenshots` takes them anew from a fresh demo."""
