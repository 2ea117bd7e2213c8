"""Demo: a made-up company as a stream of usage events, the same for every run of a seed."""

from waymark.demo.company import Highlight, Highlights, Referral, company, highlights

__all__ = ["Highlight", "Highlights", "Referral", "company", "highlights"]
