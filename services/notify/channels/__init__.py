"""Channels: how a delivery leaves. A file a channel, which ends in its descriptor; `table.py` lists them."""
