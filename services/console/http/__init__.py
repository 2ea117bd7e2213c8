"""HTTP side of the console: pages behind a sign-in; only a POST of our own forms changes anything."""
