"""What is a running service made of? Passages (one a consumed topic set), loops, an HTTP application, health."""
