"""What does advocacy remember? Accounts, whom it asked, what they said, who referred whom, and what that is worth."""
