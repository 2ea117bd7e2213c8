"""REST resources of lifecycle: accounts with their evidence, the funnel, and the definition itself."""
