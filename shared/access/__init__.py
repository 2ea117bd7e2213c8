"""Access: who may ask what of this installation; one schema that the processes of every service read."""
