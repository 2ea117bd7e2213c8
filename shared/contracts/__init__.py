"""What travels between services: one module a topic, nothing but data.

Producers and consumers meet here and over REST; they share no tables. Every message names its
account (the partition key), carries an id derived from its cause, and three clocks where they differ:
`at` (when it happened on the account's own clock), `received_at`, `decided_at`.
"""
