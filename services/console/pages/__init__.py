"""Pages of the console: templates that escape everything, one style sheet, no script."""
