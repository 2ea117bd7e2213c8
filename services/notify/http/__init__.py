"""What may be asked of notify? The outbox with its texts and reasons, mode, tasks, plays, consents; and the way out."""
