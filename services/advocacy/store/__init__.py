"""The tables of advocacy as repositories: accounts, invitations with their answers, referrals, rewards, and lists for REST."""
