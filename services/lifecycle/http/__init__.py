"""What may be asked of lifecycle? Accounts with their evidence, the funnel, and the definition itself."""
