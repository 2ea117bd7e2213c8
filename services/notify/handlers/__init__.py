"""What does notify do when told, in a transaction? Plan, settle what became of it, and take consent."""
