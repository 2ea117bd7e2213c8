"""How much is too much? The limits of one event; beyond them it is parked."""

EVENT_BYTES = 1024 * 1024
ID_LENGTH = 512
NAME_LENGTH = 256
DEPTH = 32
"""Most objects and arrays inside each other: what is deeper would end some reader's recursion later on."""
