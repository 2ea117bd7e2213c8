"""How does a message leave? One file a channel; `table.py` lists them."""
