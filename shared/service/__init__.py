"""The runtime of a service: consumers of topics, timers, supervised loops, and the context that services are built from."""
