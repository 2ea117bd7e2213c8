"""What may a person see and do? Pages behind a sign-in; only a POST of our own forms changes anything."""
