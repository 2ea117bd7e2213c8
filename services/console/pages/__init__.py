"""What do the pages look like? Templates that escape everything, one style, no script."""
