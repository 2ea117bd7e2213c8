"""The rules of surveys, asks, referrals and rewards: pure functions of their arguments."""
