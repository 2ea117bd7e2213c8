"""HTTP as every service speaks it: errors, keys, pages of lists, bodies, health."""
