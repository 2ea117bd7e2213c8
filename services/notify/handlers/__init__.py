"""Handlers of notify, each in a transaction: decide, move deliveries, record consent."""
