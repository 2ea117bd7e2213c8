"""What may a company say in `config/lifecycle.yaml`, and is what it says sound?"""
