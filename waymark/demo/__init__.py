"""What does the demo show? A made-up company, told by its usage events, the same for every run of a seed."""

from waymark.demo.company import company
from waymark.demo.stories import Referral, Stories, Story, stories

__all__ = ["Referral", "Stories", "Story", "company", "stories"]
