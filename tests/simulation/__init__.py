"""Does the product keep its promises whatever goes wrong, and whenever? The same code in virtual time, seed by seed."""
