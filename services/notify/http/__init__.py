"""REST API of notify: outbox, tasks, mode, plays and consents; and the unsubscribe page."""
