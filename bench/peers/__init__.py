"""What would a user pick instead? One folder each: a small program and its exact versions."""
