"""How do services speak HTTP? The same errors, keys, pages and health everywhere."""
