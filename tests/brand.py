"""A company whose brand says everything: the shipped definitions with every link that their texts can need."""

import shutil
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "config"
LINKS = """
links:
  billing: https://app.example.com/billing
  people: https://app.example.com/people
  plans: https://app.example.com/plans
  reviews: https://reviews.example.com/our-product
  case_study: https://www.example.com/customers/blue-ocean
"""


def branded_config(folder: Path) -> Path:
    """A copy of the shipped definitions, below this folder, whose brand says every link."""
    config = folder / "config"
    shutil.copytree(SHIPPED, config)
    brand = config / "brand.yaml"
    brand.write_text(brand.read_text("utf8") + LINKS, "utf8")
    return config
