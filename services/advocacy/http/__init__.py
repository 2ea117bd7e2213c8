"""HTTP of advocacy: hosted pages for customers, and REST for what came of them."""
