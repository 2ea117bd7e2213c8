"""What does notify remember? Accounts, every delivery with its reason, what people declined, and the switch."""
