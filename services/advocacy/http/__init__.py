"""What may be asked of advocacy? Hosted pages for customers, and what came of them over REST."""
