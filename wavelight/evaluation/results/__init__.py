"""What runs have come to, as a page: measured rows beside the papers', and what they cost."""
