"""How is each kind of metric kept and read? One function a kind; `table.py` lists them."""
