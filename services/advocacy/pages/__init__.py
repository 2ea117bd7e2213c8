"""What do people see behind a link we sent them? Plain pages: no script, no request to anywhere, one style."""
