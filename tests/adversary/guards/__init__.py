"""Guards of the product, and a runner that takes each out of a copy of the tree, where the adversary's tests must fail."""
