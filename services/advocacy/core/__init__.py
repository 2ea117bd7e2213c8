"""What is true of an account's voice: its surveys, answers, asks, referrals and rewards? Pure functions of their arguments."""
